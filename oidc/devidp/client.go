package devidp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"postern/core"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

// Client is an application that signs people in here.
type Client struct {
	ID            string
	Secret        seal.Secret
	RedirectURIs  []string
	SignedOutURIs []string // where a person may be sent after signing out
	// Style chooses the claims. Okta: sub is the person's id. Entra: sub is different for every client,
	// and oid and tid say who it is.
	Style push.Style
}

// storedClient is a client in the folder: only a hash of its secret is kept.
type storedClient struct {
	ID            string     `json:"id"`
	SecretHash    []byte     `json:"secret_hash"`
	RedirectURIs  []string   `json:"redirect_uris"`
	SignedOutURIs []string   `json:"signed_out_uris"`
	Style         push.Style `json:"style"`
}

// AddClient adds a client, or replaces the one with the same id. It may be called while serving.
func (s *Server) AddClient(client Client) error {
	if client.ID == "" || client.Secret.IsZero() || len(client.RedirectURIs) == 0 {
		return core.Invalid("client", "a client needs an id, a secret and a redirect address")
	}
	if client.Style == "" {
		client.Style = push.Okta
	}
	stored := storedClient{
		ID: client.ID, SecretHash: seal.HashToken(client.Secret.Reveal()), RedirectURIs: slices.Clone(client.RedirectURIs),
		SignedOutURIs: slices.Clone(client.SignedOutURIs), Style: client.Style,
	}
	return s.change(func(state *state) error {
		for i, known := range state.Clients {
			if known.ID == client.ID {
				state.Clients[i] = stored
				return nil
			}
		}
		state.Clients = append(state.Clients, stored)
		return nil
	})
}

func (s *Server) client(id string) (storedClient, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, known := range s.state.Clients {
		if known.ID == id {
			return known, nil
		}
	}
	return storedClient{}, core.NotFound("client")
}

// opClient is a client as zitadel's provider asks for it: confidential, code flow, short lived tokens.
type opClient struct{ stored storedClient }

func (c opClient) GetID() string                       { return c.stored.ID }
func (c opClient) RedirectURIs() []string              { return c.stored.RedirectURIs }
func (c opClient) PostLogoutRedirectURIs() []string    { return c.stored.SignedOutURIs }
func (c opClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c opClient) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c opClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c opClient) GrantTypes() []oidc.GrantType        { return []oidc.GrantType{oidc.GrantTypeCode} }
func (c opClient) LoginURL(request string) string      { return "/login?request=" + request }
func (c opClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c opClient) IDTokenLifetime() time.Duration      { return time.Hour }

// DevMode would loosen checks of redirect addresses; even here they are exact.
func (c opClient) DevMode() bool { return false }
func (c opClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (c opClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (c opClient) IsScopeAllowed(string) bool { return false }

// IDTokenUserinfoClaimsAssertion puts name and address into the ID token itself.
func (c opClient) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c opClient) ClockSkew() time.Duration             { return 0 }
