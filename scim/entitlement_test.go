package scim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
)

// governed lets a house's connection grant, and adds an owner whom no identity provider knows and as
// many shared accounts as are named.
func (h house) governed(t testing.TB, names ...string) []core.ID {
	t.Helper()
	h.Service.Accounts = h.Lifecycle.Accounts
	cause := core.NewCause(core.System, time.Now())
	var made []core.ID
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		made = nil
		_, err := h.Directory.ChangeConnection(t.Context(), tx, cause, h.workspace, h.connection.ID, func(c *directory.Connection) {
			c.Provisioning.Entitlements = true
		})
		if err != nil {
			return err
		}
		if _, err := h.Lifecycle.Accounts.Vault.Prepare(t.Context(), tx, h.workspace); err != nil {
			return err
		}
		owner, err := h.Directory.InsertUser(t.Context(), tx, directory.User{Workspace: h.workspace, UserName: "owner", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		app, err := h.Lifecycle.Accounts.CreateApp(t.Context(), tx, cause, h.workspace, accounts.NewApp{
			Name: "Bank", Domains: []string{"bank.example.com"}, SignInURL: "https://bank.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			account, err := h.Lifecycle.Accounts.CreateAccount(t.Context(), tx, cause, h.workspace, accounts.NewAccount{
				App: app.ID, Username: name, Password: seal.NewSecret("first password of " + name), Owner: owner.ID,
			})
			if err != nil {
				return err
			}
			made = append(made, account.ID)
		}
		return nil
	}))
	return made
}

// TestEntitlementsAreImported reads what Okta Identity Governance reads, in its order.
func TestEntitlementsAreImported(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	bank := h.governed(t, "payments", "payroll", "taxes")
	w.other.governed(t, "theirs")

	types := h.call(t, "GET", "/ResourceTypes", "").want(t, 200)
	for _, urn := range []string{"urn:okta:scim:schemas:core:1.0:Role", "urn:okta:scim:schemas:core:1.0:Entitlement"} {
		if !strings.Contains(types.text, urn) {
			t.Errorf("the resource types lack %s", urn)
		}
		h.call(t, "GET", "/Schemas/"+urn, "").want(t, 200)
	}
	list := h.call(t, "GET", "/Entitlements?startIndex=1&count=2", "").want(t, 200)
	list.is(t, 3.0, "totalResults")
	list.is(t, 2.0, "itemsPerPage")
	list.is(t, bank[0].String()+"-collaborator", "Resources", 0, "id")
	list.is(t, "Use Bank (payments)", "Resources", 0, "displayName")
	list.is(t, "Entitlement", "Resources", 0, "type")
	h.call(t, "GET", "/Entitlements?startIndex=1&count=1", "").want(t, 200).is(t, 1.0, "itemsPerPage")
	roles := h.call(t, "GET", `/Roles?filter=displayName+co+"payroll"`, "").want(t, 200)
	roles.is(t, 1.0, "totalResults")
	roles.is(t, bank[1].String()+"-owner", "Resources", 0, "id")
	one := h.call(t, "GET", "/Roles/"+bank[1].String()+"-owner", "").want(t, 200)
	one.is(t, publicURL+"/scim/v2/Roles/"+bank[1].String()+"-owner", "meta", "location")

	for _, address := range []string{
		"/Roles/" + bank[1].String() + "-collaborator", "/Roles/" + bank[1].String(), "/Entitlements/nothing", "/Entitlements/" + core.NewID().String() + "-collaborator",
	} {
		h.call(t, "GET", address, "").wantError(t, 404, "")
		w.other.call(t, "GET", strings.Replace(address, "-collaborator", "-owner", 1), "").wantError(t, 404, "")
	}
}

func TestWithoutTheSwitchThereAreNoEntitlements(t *testing.T) {
	w := open(t, directory.Okta)
	w.other.governed(t, "theirs")
	h := w.acme
	for _, address := range []string{"/Entitlements", "/Roles", "/Roles/x", "/ResourceTypes/Role", "/Schemas/urn:okta:scim:schemas:core:1.0:Role"} {
		h.call(t, "GET", address, "").wantError(t, 404, "")
	}
	ana := h.call(t, "POST", "/Users", `{"userName":"ana","entitlements":[{"value":"what the IdP likes"}]}`).want(t, 201)
	ana.is(t, "what the IdP likes", "entitlements", 0, "value")
}

func TestEntitlementsAreGrants(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	bank := h.governed(t, "payments", "payroll")
	theirs := w.other.governed(t, "theirs")
	use := func(account int) string {
		return fmt.Sprintf(`{"value":"%s-collaborator","display":"anything"}`, bank[account])
	}
	own := func(account int) string { return fmt.Sprintf(`{"value":"%s-owner"}`, bank[account]) }

	made := h.call(t, "POST", "/Users", `{"userName":"ana","active":true,"entitlements":[`+use(0)+`]}`).want(t, 201)
	made.is(t, "Use Bank (payments)", "entitlements", 0, "display")
	ana, err := core.ParseID(made.id(t))
	must(t, err)
	roles := func(want ...accounts.Role) {
		t.Helper()
		for account, role := range want {
			got, err := h.Lifecycle.Accounts.MayUse(t.Context(), h.DB, h.workspace, ana, bank[account])
			if err != nil && core.KindOf(err) != core.KindDenied {
				t.Fatal(err)
			}
			if got != role {
				t.Errorf("account %d: %q, want %q", account, got, role)
			}
		}
	}
	patch := func(operations string) reply {
		t.Helper()
		return h.call(t, "PATCH", "/Users/"+ana.String(), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+operations+`]}`)
	}
	roles(accounts.Collaborator, "")
	patch(`{"op":"add","path":"entitlements","value":[`+use(1)+`]}`).want(t, 200)
	roles(accounts.Collaborator, accounts.Collaborator)
	list := h.call(t, "GET", "/Users", "").want(t, 200)
	list.is(t, bank[1].String()+"-collaborator", "Resources", 0, "entitlements", 1, "value")
	patch(`{"op":"remove","path":"entitlements[value eq \"`+bank[0].String()+`-collaborator\"]"}`).want(t, 200)
	roles("", accounts.Collaborator)
	patch(`{"op":"replace","value":{"roles":[`+own(0)+`]}}`).want(t, 200).is(t, "Role", "roles", 0, "type")
	roles(accounts.Owner, accounts.Collaborator)

	// A PUT that does not mention them leaves them; one that does replaces them.
	h.call(t, "PUT", "/Users/"+ana.String(), `{"userName":"ana","displayName":"Ana"}`).want(t, 200).is(t, bank[0].String()+"-owner", "roles", 0, "value")
	roles(accounts.Owner, accounts.Collaborator)
	h.call(t, "PUT", "/Users/"+ana.String(), `{"userName":"ana","roles":[],"entitlements":[`+use(0)+`]}`).want(t, 200)
	roles(accounts.Collaborator, "")

	// Nothing that is no entitlement, or somebody else's, and nothing of a refused request.
	for _, value := range []string{theirs[0].String() + "-collaborator", core.NewID().String() + "-collaborator", bank[1].String() + "-owner", bank[1].String(), "admin"} {
		patch(`{"op":"add","path":"displayName","value":"Nobody"},{"op":"add","path":"entitlements","value":[{"value":"`+value+`"}]}`).wantError(t, 400, "invalidValue")
	}
	patch(`{"op":"add","path":"entitlements","value":[`+use(1)+`]},{"op":"add","path":"roles","value":[`+own(1)+`]}`).wantError(t, 400, "invalidValue")
	h.call(t, "GET", "/Users/"+ana.String(), "").want(t, 200).is(t, nil, "displayName")
	roles(accounts.Collaborator, "")

	patch(`{"op":"replace","value":{"active":false,"entitlements":[`+use(0)+`,`+use(1)+`]}}`).want(t, 200).is(t, nil, "entitlements")
	patch(`{"op":"replace","value":{"active":true}}`).want(t, 200)
	roles("", "")
}

// What a connection grants is what its filters and orders see.
func TestEntitlementsAreFound(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	bank := h.governed(t, "payments", "payroll")
	value := func(account int, role string) string { return bank[account].String() + "-" + role }
	for _, held := range []string{
		`"userName":"ana","entitlements":[{"value":"` + value(0, "collaborator") + `"},{"value":"` + value(1, "collaborator") + `"}]`,
		`"userName":"bob","roles":[{"value":"` + value(1, "owner") + `"}]`,
		`"userName":"eve","title":"none"`,
	} {
		h.call(t, "POST", "/Users", `{"active":true,`+held+`}`).want(t, 201)
	}
	for filter, want := range map[string][]string{
		`entitlements.value eq "` + value(0, "collaborator") + `"`:                  {"ana"},
		`entitlements[value eq "` + value(1, "collaborator") + `" and type pr]`:     {"ana"},
		`entitlements eq "` + value(1, "owner") + `"`:                               {},
		`roles.value eq "` + value(1, "owner") + `"`:                                {"bob"},
		`roles.display co "payroll"`:                                                {"bob"},
		`roles pr or entitlements pr`:                                               {"ana", "bob"},
		`not (roles pr) and not (entitlements pr)`:                                  {"eve"},
		`userName eq "ana" and entitlements.type eq "Entitlement"`:                  {"ana"},
		`urn:ietf:params:scim:schemas:core:2.0:User:roles.display sw "own bank (p"`: {"bob"},
		`roles.value eq "` + w.other.governed(t, "theirs")[0].String() + `-owner"`:  {},
	} {
		h.wantNames(t, "/Users"+query(filter)+"&sortBy=userName", want...)
	}
	h.wantNames(t, "/Users?sortBy=entitlements.display", "ana", "bob", "eve")
	h.wantNames(t, "/Users?sortBy=roles.display", "bob", "ana", "eve")
	// Whoever does not grant sees what the identity provider said.
	second := h.connect(t, "second", directory.Okta)
	second.call(t, "POST", "/Users", `{"userName":"zoe","roles":[{"value":"chief"}]}`).want(t, 201)
	second.wantNames(t, "/Users"+query(`roles.value eq "chief"`), "zoe")
}
