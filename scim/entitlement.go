package scim

import (
	"net/http"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/scim/resource"
)

var (
	entitlementType = resource.Entitlement()
	roleType        = resource.Role()
)

// grantable is a kind of entitlement as SCIM shows it: which role on an account it is, and in which
// attribute of a user it stands.
type grantable struct {
	kind      *resource.Type
	role      accounts.Role
	attribute string // of the user
	verb      string
}

// The two kinds. Using an account is an Entitlement, owning it a Role: Okta Identity Governance imports
// both and grants them in the user's attributes of those names.
var (
	usage     = grantable{entitlementType, accounts.Collaborator, "entitlements", "Use"}
	ownership = grantable{roleType, accounts.Owner, "roles", "Own"}

	grantables = []grantable{usage, ownership}
)

// id is what the identity provider calls the entitlement. One account is two of them.
func (g grantable) id(account core.ID) string { return account.String() + "-" + string(g.role) }

// account reads an id of this kind.
func (g grantable) account(id string) (core.ID, bool) {
	text, found := strings.CutSuffix(id, "-"+string(g.role))
	if !found {
		return core.ID{}, false
	}
	account, err := core.ParseID(text)
	return account, err == nil
}

func (g grantable) displayName(app, username string) string {
	return g.verb + " " + app + " (" + username + ")"
}

// grantableResource is an account as something that can be granted.
func (s *Service) grantableResource(g grantable, account accounts.Account) *resource.Object {
	id := g.id(account.ID)
	description := "Sign in to " + account.AppName + " as " + account.Username + " without being shown the password."
	if g.role == accounts.Owner {
		description = "Use " + account.Username + " in " + account.AppName + ", see its password and share it."
	}
	return resource.NewObject(
		"schemas", []any{g.kind.Core.ID}, "id", id, "displayName", g.displayName(account.AppName, account.Username), "type", g.kind.Name,
		"description", description,
		"meta", resource.NewObject("resourceType", g.kind.Name, "created", account.Created.UTC().Format(time.RFC3339Nano),
			"lastModified", account.Created.UTC().Format(time.RFC3339Nano), "location", s.base()+g.kind.Endpoint+"/"+id),
	)
}

// grants reports whether the connection may grant access to accounts.
func (r *request) grants() bool { return r.Accounts != nil && r.connection.Provisioning.Entitlements }

// governs refuses connections that may not grant: for them the addresses do not exist.
func (r *request) governs() error {
	if !r.grants() {
		return core.NotFound("address")
	}
	return nil
}

// get answers for one entitlement.
func (g grantable) get(r *request) (answer, error) {
	if err := r.governs(); err != nil {
		return answer{}, err
	}
	id, ok := g.account(r.id)
	if !ok {
		return answer{}, core.NotFound(strings.ToLower(g.kind.Name))
	}
	account, err := r.Accounts.Account(r.Context(), r.DB, r.connection.Workspace, id)
	if core.KindOf(err) == core.KindNotFound {
		return answer{}, core.NotFound(strings.ToLower(g.kind.Name))
	}
	if err != nil {
		return answer{}, err
	}
	body := r.projection(g.kind).Apply(r.grantableResource(g, account)).Append(make([]byte, 0, 512))
	return answer{status: http.StatusOK, body: body}, nil
}

// show puts what a user holds of this kind into a resource, in the place of what stands there.
func (g grantable) show(o *resource.Object, held []accounts.Held) {
	var values []any
	for _, one := range held {
		if one.Role == g.role {
			values = append(values, resource.NewObject("value", g.id(one.Account), "display", g.displayName(one.AppName, one.Username), "type", g.kind.Name))
		}
	}
	if values == nil {
		o.Delete(g.attribute)
		return
	}
	o.Set(g.attribute, values)
}

// showHeld shows what a user holds as their attributes entitlements and roles.
func showHeld(o *resource.Object, held []accounts.Held) {
	for _, g := range grantables {
		g.show(o, held)
	}
}

// takeEntitlements takes what a normalised document wants a user to hold out of it. What no account
// is known by is refused: granting less than was asked would look like success.
func takeEntitlements(o *resource.Object) ([]accounts.Entitlement, error) {
	var wanted []accounts.Entitlement
	for _, g := range grantables {
		value, _ := o.Take(g.attribute)
		list, _ := value.([]any)
		for _, element := range list {
			text, isText := element.(string)
			if inner, ok := element.(*resource.Object); ok {
				text, isText = inner.Text("value"), true
			}
			account, ok := g.account(text)
			if !isText || !ok {
				return nil, core.Invalid(g.attribute, "there is no such %s; import them anew", strings.ToLower(g.kind.Name)).WithCode("invalidValue")
			}
			wanted = append(wanted, accounts.Entitlement{Account: account, Role: g.role})
		}
	}
	return wanted, nil
}
