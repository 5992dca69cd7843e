package push

import (
	"context"
	"net/http"
	"time"

	"postern/core"
	"postern/core/seal"
)

// Style is whose requests are played.
type Style string

// The styles. They differ in bodies, not in meaning.
const (
	// Okta is a catalogue (OIN) app: profiles by PUT, activation and members by PATCH.
	Okta Style = "okta"
	// OktaWizard is an app made with Okta's App Integration Wizard: everything by PUT.
	OktaWizard Style = "okta-wizard"
	// Entra is Microsoft Entra ID as it speaks by default: capitalised ops, booleans as text.
	Entra Style = "entra"
	// EntraCompliant is Entra ID with the flag aadOptscim062020 in its tenant URL.
	EntraCompliant Style = "entra-compliant"
)

// IsEntra reports whether the style is one of Microsoft's.
func (s Style) IsEntra() bool { return s == Entra || s == EntraCompliant }

// User is a person as the identity provider knows them.
type User struct {
	ID          string // the provider's id, sent as externalId
	UserName    string
	GivenName   string
	FamilyName  string
	DisplayName string
	Email       string
}

// Team is a group as the identity provider knows it.
type Team struct {
	ID          string // the provider's id; Entra sends it as externalId, Okta sends none
	DisplayName string
}

// Member is a user inside a team, by the id the SCIM server gave.
type Member struct {
	ID       string
	UserName string
}

// Result is what a push led to. It is filled as far as the push came, also beside an error.
type Result struct {
	ID        string // what the SCIM server calls the user or team
	Exchanges []Exchange
}

// Client sends to one SCIM server. Its zero HTTP client has a timeout of a minute, like Okta's.
type Client struct {
	Style Style
	URL   string // such as https://postern.example/scim/v2
	Token seal.Secret
	HTTP  *http.Client
	// MatchExternalID makes Entra look users up by externalId, as tenants that match on objectId do.
	MatchExternalID bool
	// Now is the clock for durations; nil means time.Now.
	Now func() time.Time
}

// CheckConnection sends what the provider's "Test connection" button sends.
func (c *Client) CheckConnection(ctx context.Context) (Result, error) {
	call := c.begin()
	if c.Style.IsEntra() {
		err := call.get(ctx, "/Users?filter="+escape("userName eq "+quote(core.NewID().String())), &struct{}{})
		return call.result, err
	}
	if err := call.get(ctx, "/Users?startIndex=1&count=2", &struct{}{}); err != nil {
		return call.result, err
	}
	err := call.get(ctx, "/Groups?startIndex=1&count=100", &struct{}{})
	return call.result, err
}

// PushUser looks the user up and creates or updates it, active. The result's ID is the server's.
func (c *Client) PushUser(ctx context.Context, user User) (Result, error) {
	call := c.begin()
	filter := "userName eq " + quote(user.UserName)
	if c.Style.IsEntra() && c.MatchExternalID {
		filter = "externalId eq " + quote(user.ID)
	}
	path := "/Users?filter=" + escape(filter)
	if !c.Style.IsEntra() {
		path += "&startIndex=1&count=100"
	}
	id, err := call.find(ctx, path)
	if err != nil {
		return call.result, err
	}
	if id == "" {
		body := oktaNewUser(user)
		if c.Style.IsEntra() {
			body = entraNewUser(user)
		}
		return call.create(ctx, "/Users", body)
	}
	call.result.ID = id
	if c.Style.IsEntra() {
		return call.result, call.send(ctx, http.MethodPatch, "/Users/"+id, entraUpdate(c.Style, user), nil)
	}
	return call.result, call.merge(ctx, id, oktaProfile(user))
}

// Deactivate switches a user off by the id PushUser returned.
func (c *Client) Deactivate(ctx context.Context, id string) (Result, error) {
	return c.activate(ctx, id, false)
}

// Reactivate switches a user on again.
func (c *Client) Reactivate(ctx context.Context, id string) (Result, error) {
	return c.activate(ctx, id, true)
}

func (c *Client) activate(ctx context.Context, id string, active bool) (Result, error) {
	call := c.begin()
	call.result.ID = id
	if c.Style == OktaWizard {
		return call.result, call.merge(ctx, id, map[string]any{"active": active})
	}
	return call.result, call.send(ctx, http.MethodPatch, "/Users/"+id, activation(c.Style, active), nil)
}

// Delete removes a user. Entra sends DELETE; Okta never deletes, so in its styles the user is
// deactivated, which is all a server ever sees of a deletion in Okta.
func (c *Client) Delete(ctx context.Context, id string) (Result, error) {
	if !c.Style.IsEntra() {
		return c.Deactivate(ctx, id)
	}
	call := c.begin()
	call.result.ID = id
	return call.result, call.send(ctx, http.MethodDelete, "/Users/"+id, nil, nil)
}
