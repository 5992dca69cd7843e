package directory

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"postern/core"
)

// ClientAuthentication is how Postern proves to an identity provider's token endpoint that it is the
// client (OpenID Connect Core 1.0 §9).
type ClientAuthentication string

// The ways. The zero one is chosen by the discovery document: client_secret_basic where it is offered,
// else client_secret_post, and none when the connection has no secret.
const (
	AuthenticateDetected ClientAuthentication = ""
	AuthenticateBasic    ClientAuthentication = "client_secret_basic"
	AuthenticatePost     ClientAuthentication = "client_secret_post"
	AuthenticateKey      ClientAuthentication = "private_key_jwt" // with the workspace's own key; there is no secret
	AuthenticateNone     ClientAuthentication = "none"            // a public client: PKCE alone
)

// Pushing is whether authorization requests are pushed (RFC 9126).
type Pushing string

// The choices. The zero one pushes where the discovery document offers it.
const (
	PushDetected Pushing = ""
	PushAlways   Pushing = "always"
	PushNever    Pushing = "never"
)

// Preset is a provider with ways of its own that a Generic connection leads to.
type Preset string

// The presets.
const (
	NoPreset Preset = ""
	Keycloak Preset = "keycloak"
	Google   Preset = "google" // two spellings of iss; hd has to be one of the HostedDomains
)

// GoogleIssuer is the issuer that means the Google preset, whether it is named or not.
const GoogleIssuer = "https://accounts.google.com"

// SignIn is how people sign in through a connection. The zero value is the default.
type SignIn struct {
	Preset Preset `json:"preset,omitempty"`
	// Algorithms are what an ID token may be signed with, whatever the provider's documents list.
	// None: DefaultAlgorithms.
	Algorithms     []string             `json:"algorithms,omitempty"`
	Authentication ClientAuthentication `json:"authentication,omitempty"`
	// AssertionToTokenEndpoint makes the token endpoint the aud of private_key_jwt assertions, which
	// some providers (Entra ID) want, instead of the issuer.
	AssertionToTokenEndpoint bool    `json:"assertion_to_token_endpoint,omitempty"`
	Pushing                  Pushing `json:"pushing,omitempty"`
	// Scopes are what is asked for; openid is always among it. None: openid, profile and email.
	Scopes []string `json:"scopes,omitempty"`
	// ACRValues are asked for, and one of them must be the ID token's acr. None: any.
	ACRValues []string `json:"acr_values,omitempty"`
	// MaxAge is how many seconds ago the provider may have seen the person; it must say auth_time.
	// Nil: however long.
	MaxAge *int   `json:"max_age,omitempty"`
	Prompt string `json:"prompt,omitempty"` // login, consent or select_account; empty: the provider decides
	// JustInTime lets a sign-in create a user who was not provisioned. Domains are those their address
	// must be of; none: any.
	JustInTime bool     `json:"just_in_time,omitempty"`
	Domains    []string `json:"domains,omitempty"`
	// HostedDomains are the Google Workspace domains whose people may sign in.
	HostedDomains []string `json:"hosted_domains,omitempty"`
	// Tenant is the Entra tenant whose people may sign in: a GUID, which tid must be. Empty: the one in
	// the issuer.
	Tenant string `json:"tenant,omitempty"`
}

// DefaultAlgorithms are what an ID token may be signed with.
func DefaultAlgorithms() []string { return []string{"RS256", "ES256", "PS256"} }

// SigningAlgorithms are all an ID token may ever be signed with: neither "none" nor one with a secret
// both sides know.
func SigningAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// AcceptedAlgorithms are what an ID token of this connection may be signed with.
func (s SignIn) AcceptedAlgorithms() []string {
	if len(s.Algorithms) == 0 {
		return DefaultAlgorithms()
	}
	return s.Algorithms
}

// AskedScopes are what an authorization request asks for.
func (s SignIn) AskedScopes() []string {
	if len(s.Scopes) == 0 {
		return []string{"openid", "profile", "email"}
	}
	if slices.Contains(s.Scopes, "openid") {
		return s.Scopes
	}
	return append([]string{"openid"}, s.Scopes...)
}

// IsGoogle reports whether a connection leads to Google.
func (c Connection) IsGoogle() bool {
	return c.SignIn.Preset == Google || c.Issuer == GoogleIssuer
}

// SignInIssuers are the values of iss that an ID token of this connection may have: Google writes its
// own in two ways.
func (c Connection) SignInIssuers() []string {
	if c.IsGoogle() {
		return []string{c.Issuer, strings.TrimPrefix(c.Issuer, "https://")}
	}
	return []string{c.Issuer}
}

// Tenant is the Entra tenant whose people may sign in through this connection; empty when it leads to
// none of Microsoft's.
func (c Connection) Tenant() string {
	if c.Kind != Entra {
		return ""
	}
	if c.SignIn.Tenant != "" {
		return c.SignIn.Tenant
	}
	tenant, _ := microsoftTenant(c.Issuer)
	return tenant
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// microsoftTenant is the first part of the path of an issuer of Microsoft's; false for anybody else's.
func microsoftTenant(issuer string) (string, bool) {
	parsed, err := url.Parse(issuer)
	if err != nil {
		return "", false
	}
	switch parsed.Hostname() {
	case "login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net":
		tenant, _, _ := strings.Cut(strings.TrimPrefix(parsed.Path, "/"), "/")
		return tenant, true
	}
	return "", false
}

var (
	scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749 §3.3
	domain     = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)
)

// most bounds the lists.
const most = 50

// normalised is what is kept: domains and GUIDs in small letters.
func (s SignIn) normalised() SignIn {
	for _, list := range []*[]string{&s.Domains, &s.HostedDomains} {
		lower := make([]string, 0, len(*list))
		for _, one := range *list {
			lower = append(lower, strings.ToLower(strings.TrimPrefix(strings.TrimSpace(one), "@")))
		}
		*list = lower
		if len(lower) == 0 {
			*list = nil
		}
	}
	s.Tenant = strings.ToLower(s.Tenant)
	return s.clone()
}

func (s SignIn) clone() SignIn {
	for _, list := range []*[]string{&s.Algorithms, &s.Scopes, &s.ACRValues, &s.Domains, &s.HostedDomains} {
		if len(*list) == 0 {
			*list = nil
		}
		*list = slices.Clone(*list)
	}
	if s.MaxAge != nil {
		s.MaxAge = new(*s.MaxAge)
	}
	return s
}

func (s SignIn) equal(other SignIn) bool { return reflect.DeepEqual(s.clone(), other.clone()) }

// checkSignIn refuses sign-in settings that mean nothing or let strangers in. The field it names is of
// the connection, "sign_in." in front of those of SignIn.
func (c Connection) checkSignIn() error {
	s := c.SignIn
	invalid := func(field, format string, args ...any) error { return core.Invalid("sign_in."+field, format, args...) }
	switch {
	case s.Preset != NoPreset && s.Preset != Keycloak && s.Preset != Google:
		return invalid("preset", "a preset is keycloak or google, or empty")
	case s.Preset != NoPreset && c.Kind != Generic:
		return invalid("preset", "only a generic connection has a preset")
	case s.Preset == Keycloak && c.Issuer != "" && !strings.Contains(c.Issuer, "/realms/"):
		return core.Invalid("issuer", "Keycloak's issuer ends with /realms/ and the realm's name")
	case c.IsGoogle() && c.Issuer != "" && len(s.HostedDomains) == 0:
		return invalid("hosted_domains", "Google signs everybody in: say which Google Workspace domains may come")
	case !c.IsGoogle() && len(s.HostedDomains) > 0:
		return invalid("hosted_domains", "only Google has hosted domains")
	case !slices.Contains([]ClientAuthentication{AuthenticateDetected, AuthenticateBasic, AuthenticatePost, AuthenticateKey, AuthenticateNone}, s.Authentication):
		return invalid("authentication", "a client authenticates with client_secret_basic, client_secret_post, private_key_jwt or none, or as the provider offers when empty")
	case !slices.Contains([]Pushing{PushDetected, PushAlways, PushNever}, s.Pushing):
		return invalid("pushing", "requests are pushed always or never, or when the provider offers it")
	case !slices.Contains([]string{"", "login", "consent", "select_account"}, s.Prompt):
		return invalid("prompt", "a prompt is login, consent or select_account, or empty")
	case s.MaxAge != nil && (*s.MaxAge < 0 || *s.MaxAge > 31_536_000):
		return invalid("max_age", "an age is 0 seconds to a year")
	case s.MaxAge != nil && c.Kind == Entra:
		return invalid("max_age", "Entra ID does not know max_age: use Conditional Access's sign-in frequency, or the prompt login")
	}
	for _, algorithm := range s.Algorithms {
		if !slices.Contains(SigningAlgorithms(), algorithm) {
			return invalid("algorithms", "%q is none of %s", algorithm, strings.Join(SigningAlgorithms(), ", "))
		}
	}
	for _, list := range []struct {
		field  string
		values []string
		form   *regexp.Regexp
		what   string
	}{
		{"scopes", s.Scopes, scopeToken, "a scope"}, {"acr_values", s.ACRValues, scopeToken, "an acr value without blanks"},
		{"domains", s.Domains, domain, "a domain such as acme.example"}, {"hosted_domains", s.HostedDomains, domain, "a domain such as acme.example"},
	} {
		if len(list.values) > most {
			return invalid(list.field, "at most %d", most)
		}
		for _, value := range list.values {
			if len(value) > longest || !list.form.MatchString(value) {
				return invalid(list.field, "%q is not %s", value, list.what)
			}
		}
	}
	return c.checkTenant()
}

// checkTenant sees to it that a connection to Entra ID means one tenant: the common endpoints sign in
// everybody who has an account with Microsoft.
func (c Connection) checkTenant() error {
	set := c.SignIn.Tenant
	if set != "" && c.Kind != Entra {
		return core.Invalid("sign_in.tenant", "only Entra ID has tenants")
	}
	if set != "" && !guid.MatchString(set) {
		return core.Invalid("sign_in.tenant", "a tenant is named by its id, such as 00000000-0000-0000-0000-000000000000")
	}
	named, microsoft := microsoftTenant(c.Issuer)
	if !microsoft || c.Kind != Entra {
		return nil
	}
	if !guid.MatchString(strings.ToLower(named)) {
		return core.Invalid("issuer", "the issuer must name one tenant by its id, not %q: https://login.microsoftonline.com/TENANT-ID/v2.0", named)
	}
	if set != "" && !strings.EqualFold(set, named) {
		return core.Invalid("sign_in.tenant", "the issuer is of another tenant")
	}
	return nil
}
