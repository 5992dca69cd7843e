package oidc

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/seal"
)

// clockSkew is how far an IdP's auth_time may be from our own clock.
const clockSkew = 10 * time.Second

// maxIDToken is for tokens that list a person's groups.
const maxIDToken = 64 << 10

// identity is who an IdP says has signed in.
type identity struct {
	issuer        string
	subject       string // sub; oid with Entra, whose sub differs for every client
	pairwise      string // Entra's sub
	userName      string // preferred_username
	email         string // only when the IdP has verified it
	givenName     string
	familyName    string
	displayName   string
	sid           string
	authenticated time.Time // auth_time; zero when the IdP sent none
	acr           string
	amr           []string
	token         seal.Secret // the ID token that says so
}

// names are the claims about a person that the userinfo endpoint has too.
type names struct {
	PreferredUsername string `json:"preferred_username"`
	Email             string `json:"email"`
	EmailVerified     truth  `json:"email_verified"`
	GivenName         string `json:"given_name"`
	FamilyName        string `json:"family_name"`
	Name              string `json:"name"`
}

// truth is true, or "true" as some IdPs write it.
type truth bool

// UnmarshalJSON implements json.Unmarshaler. What is neither is false.
func (t *truth) UnmarshalJSON(text []byte) error {
	*t = string(text) == "true" || string(text) == `"true"`
	return nil
}

// claims are an ID token's (OpenID Connect Core 1.0 §2), with Entra's tid and oid and Google's hd.
type claims struct {
	names
	Subject       string       `json:"sub"`
	Nonce         string       `json:"nonce"`
	Authorized    string       `json:"azp"`
	AccessHash    string       `json:"at_hash"`
	SID           string       `json:"sid"`
	Authenticated *json.Number `json:"auth_time"`
	ACR           string       `json:"acr"`
	AMR           []string     `json:"amr"`
	Tenant        string       `json:"tid"`
	Object        string       `json:"oid"`
	HostedDomain  string       `json:"hd"`
}

// The stages beside core/jwt's at which an ID token is refused.
const (
	stageNonce  = "nonce"
	stageAzp    = "azp"
	stageAtHash = "at_hash"
	stageTenant = "tenant"
	stageHosted = "hosted_domain"
)

// algorithms are what a connection's tokens may be signed with.
func algorithms(connection directory.Connection) []jose.SignatureAlgorithm {
	accepted := []jose.SignatureAlgorithm{}
	for _, algorithm := range connection.SignIn.AcceptedAlgorithms() {
		accepted = append(accepted, jose.SignatureAlgorithm(algorithm))
	}
	return accepted
}

// expected is what an ID token has to be.
func (p *provider) expected() jwt.Expected {
	return jwt.Expected{
		Types: []string{"", "JWT"}, Algorithms: algorithms(p.connection), Issuers: p.connection.SignInIssuers(), Audiences: []string{p.connection.ClientID},
		KeysURI: p.keysURI(), Expiry: jwt.Required, NeedIssued: true, MaxSize: maxIDToken,
		// An ID token that could be mistaken for a logout token is neither.
		Without: []string{"events"},
	}
}

// keysURI is where the keys are, unless the issuer's own document says so to whoever knows the issuer.
// Google's second spelling is no address that could be asked.
func (p *provider) keysURI() string {
	if p.connection.JWKSURI == "" && p.connection.IsGoogle() {
		return p.keys
	}
	return p.connection.JWKSURI
}

// claimsOf reads the claims of a verified ID token and checks those that concern this sign-in.
func (p *provider) claimsOf(token jwt.Token, accessToken, nonce string) (claims, error) {
	var said claims
	if err := json.Unmarshal(token.Claims, &said); err != nil {
		return claims{}, core.Unauthenticated("the ID token's claims cannot be read").WithCode(jwt.StageMalformed).Because(err)
	}
	refuse := func(stage, text string) (claims, error) {
		return claims{}, core.Unauthenticated("%s", text).WithCode(stage)
	}
	client := p.connection.ClientID
	switch {
	case said.Subject == "":
		return refuse(jwt.StageSubject, "the ID token does not say who it is about")
	case nonce == "" || subtle.ConstantTimeCompare([]byte(said.Nonce), []byte(nonce)) != 1:
		return refuse(stageNonce, "the ID token belongs to another sign-in")
	case said.Authorized != "" && said.Authorized != client, said.Authorized == "" && len(token.Audience) > 1:
		return refuse(stageAzp, "the ID token was made for another client")
	case said.AccessHash != "" && accessToken != "" && said.AccessHash != hashOf(token.Algorithm, accessToken):
		return refuse(stageAtHash, "the ID token does not belong to the access token")
	}
	if p.connection.Kind == directory.Entra {
		if tenant := p.connection.Tenant(); said.Object == "" || said.Tenant == "" || tenant != "" && !strings.EqualFold(said.Tenant, tenant) {
			return refuse(stageTenant, "the ID token is of another tenant, or does not say who and of which tenant (oid, tid)")
		}
	}
	if p.connection.IsGoogle() && !slices.Contains(p.connection.SignIn.HostedDomains, strings.ToLower(said.HostedDomain)) {
		return refuse(stageHosted, "the account is of no Google Workspace domain that may sign in here (hd)")
	}
	return said, nil
}

// identity is the person of the claims. An Entra person is who oid says, in the tenant that the issuer
// names; an address is never theirs for certain.
func (c claims) identity(connection directory.Connection) identity {
	who := identity{
		subject: c.Subject, userName: c.PreferredUsername, sid: c.SID, acr: c.ACR, amr: c.AMR,
		givenName: c.GivenName, familyName: c.FamilyName, displayName: c.Name,
	}
	if c.Authenticated != nil {
		if at, err := c.Authenticated.Float64(); err == nil && at > 0 {
			who.authenticated = time.Unix(int64(at), 0)
		}
	}
	if connection.Kind == directory.Entra {
		who.subject, who.pairwise = c.Object, c.Subject
	} else if c.EmailVerified {
		who.email = c.Email
	}
	return who
}

// hashOf is at_hash (OpenID Connect Core 1.0 §3.1.3.6).
func hashOf(algorithm, text string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(algorithm, "256"):
		whole := sha256.Sum256([]byte(text))
		sum = whole[:]
	case strings.HasSuffix(algorithm, "384"):
		whole := sha512.Sum384([]byte(text))
		sum = whole[:]
	default:
		whole := sha512.Sum512([]byte(text))
		sum = whole[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// tokenFault says in an administrator's words why an ID token was refused.
func tokenFault(err error) error {
	fault := core.AsError(err)
	if fault.Kind == core.KindUnavailable {
		return fault.WithCode(codeProviderDown)
	}
	text, known := map[string]string{
		jwt.StageType: "it is no ID token", jwt.StageAlgorithm: "its signature's algorithm is not one of this connection's",
		jwt.StageIssuer: "it is of another issuer", jwt.StageKey: "its key is not one of the identity provider's",
		jwt.StageSignature: "its signature is not the identity provider's", jwt.StageAudience: "it is meant for another client",
		jwt.StageExpired: "it has expired, or does not say when it does", jwt.StageNotYet: "it is from the future, or does not say when it was made: check the clocks",
		jwt.StageSubject: "it does not say who it is about", stageNonce: "it belongs to another sign-in", stageAzp: "it is meant for another client",
		stageAtHash: "it does not belong to the access token", stageTenant: "it is of another tenant, or lacks oid or tid",
		stageHosted: "it is of no Google Workspace domain that may sign in here",
	}[fault.Code]
	if !known {
		text = "it is malformed"
	}
	refused := core.Denied("the identity provider's token was not accepted: %s", text).WithCode(codeTokenRefused).Because(err)
	if fault.Code == stageTenant || fault.Code == stageHosted {
		refused = refused.WithCode(codeOutsider)
	}
	return refused
}
