package gateway

import (
	"strings"

	"postern/core"
	"postern/webhooks"
)

// Addresses are where an IdP finds Postern: what is pasted into its forms.
type Addresses struct {
	SCIM            string `json:"scim_base_url"`
	Token           string `json:"token_endpoint"` // of OAuth, for an IdP that has a client or asserts itself
	SignIn          string `json:"sign_in"`        // where a person begins
	Redirect        string `json:"redirect_uri"`
	SignedOut       string `json:"post_logout_redirect_uri"`
	UniversalLogout string `json:"universal_logout"` // endpoint, and the audience of its tokens
}

// AddressesOf tells the addresses of a connection under a public URL.
func AddressesOf(publicURL string, connection core.ID) Addresses {
	base := strings.TrimSuffix(publicURL, "/")
	return Addresses{
		SCIM:            base + "/scim/v2",
		Token:           base + "/scim/oauth/token",
		SignIn:          base + "/sso/" + connection.String() + "/start",
		Redirect:        base + "/sso/" + connection.String() + "/callback",
		SignedOut:       base + "/sso/signed-out",
		UniversalLogout: (&webhooks.Service{PublicURL: publicURL}).LogoutURL(connection),
	}
}
