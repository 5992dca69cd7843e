package scim_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
)

// account adds one shared account, owned by a user.
func (h house) account(t testing.TB, owner string) string {
	t.Helper()
	id, err := core.ParseID(owner)
	must(t, err)
	var made accounts.Account
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `update users set role = 'owner' where workspace_id = $1 and id = $2`, h.workspace, id)
		if err != nil {
			return err
		}
		cause := core.NewCause(core.System, time.Now())
		app, err := h.Lifecycle.Accounts.CreateApp(t.Context(), tx, cause, h.workspace, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		made, err = h.Lifecycle.Accounts.CreateAccount(t.Context(), tx, cause, h.workspace, accounts.NewAccount{
			App: app.ID, Username: "shared", Password: seal.NewSecret("first"), Owner: id,
		})
		return err
	}))
	return made.ID.String()
}

// probe is a request with what belongs to somebody else in it: {U} a user's id, {G} a
// group's, {A} an account's, {C} a cursor; {OWN} is a group of the one who asks.
type probe struct{ method, path, body string }

// probes of each address. A route without any fails the test.
var probes = map[string][]probe{
	"/": {
		{"GET", "/?filter=id+eq+%22{U}%22", ""}, {"GET", "/?filter=id+eq+%22{G}%22+or+meta.location+co+%22{U}%22", ""}, {"GET", "/?cursor={C}&count=1", ""},
	},
	"/Users": {
		{"GET", "/Users?filter=id+eq+%22{U}%22", ""}, {"GET", "/Users?filter=userName+eq+%22victim%22", ""}, {"GET", "/Users?filter=externalId+eq+%22ext-victim%22", ""},
		{"GET", "/Users?filter=groups.value+eq+%22{G}%22", ""}, {"GET", "/Users?filter=manager+eq+%22{U}%22", ""}, {"GET", "/Users?filter=emails.value+co+%22victim%22", ""},
		{"GET", "/Users?filter=meta.location+ew+%22{U}%22", ""}, {"GET", "/Users?cursor={C}&count=1", ""}, {"GET", "/Users?sortBy=userName&filter=userName+sw+%22v%22", ""},
		{"POST", "/Users", `{"userName":""}`},
	},
	"/Users/{id}": {
		{"GET", "/Users/{U}", ""}, {"GET", "/Users/{U}?attributes=groups", ""}, {"HEAD", "/Users/{U}", ""}, {"PUT", "/Users/{U}", `{"userName":"stolen"}`},
		{"PATCH", "/Users/{U}", patchOperations + `[{"op":"replace","path":"title","value":"stolen"}]}`}, {"DELETE", "/Users/{U}", ""},
		{"GET", "/Users/{G}", ""},
	},
	"/Groups": {
		{"GET", "/Groups?filter=id+eq+%22{G}%22", ""}, {"GET", "/Groups?filter=displayName+eq+%22Victims%22", ""}, {"GET", "/Groups?filter=members.value+eq+%22{U}%22", ""},
		{"GET", "/Groups?filter=id+eq+%22{G}%22+and+members+eq+%22{U}%22", ""}, {"GET", "/Groups?filter=members%5Bvalue+eq+%22{U}%22%5D", ""}, {"GET", "/Groups?cursor={C}&count=1", ""},
		{"POST", "/Groups", `{"displayName":"New","members":[{"value":"{U}"}]}`}, {"POST", "/Groups", `{"displayName":"New","members":[{"value":"{G}"}]}`},
	},
	"/Groups/{id}": {
		{"GET", "/Groups/{G}", ""}, {"GET", "/Groups/{G}?excludedAttributes=members", ""}, {"HEAD", "/Groups/{G}", ""}, {"PUT", "/Groups/{G}", `{"displayName":"stolen"}`},
		{"PATCH", "/Groups/{G}", patchOperations + `[{"op":"remove","path":"members[value eq \"{U}\"]"}]}`}, {"DELETE", "/Groups/{G}", ""},
		{"PATCH", "/Groups/{OWN}", patchOperations + `[{"op":"add","path":"members","value":[{"value":"{U}"}]}]}`},
		{"PATCH", "/Groups/{OWN}", patchOperations + `[{"op":"remove","path":"members[value eq \"{U}\"]"}]}`},
		{"PUT", "/Groups/{OWN}", `{"displayName":"Own","members":[{"value":"{U}"}]}`},
	},
	"/Groups/{id}/members": {{"GET", "/Groups/{G}/members", ""}, {"GET", "/Groups/{G}/members?filter=value+eq+%22{U}%22", ""}, {"GET", "/Groups/{OWN}/members?cursor={C}", ""}},
	"/Bulk": {
		{"POST", "/Bulk", bulkRequest + `[{"method":"PATCH","path":"/Users/{U}","data":` + patchOperations + `[{"op":"replace","path":"title","value":"stolen"}]}},
			{"method":"PUT","path":"/Groups/{G}","data":{"displayName":"stolen"}},{"method":"DELETE","path":"/Users/{U}"},{"method":"DELETE","path":"/Groups/{G}","version":"W/\"1\""},
			{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"New","members":[{"value":"{U}"}]}},
			{"method":"PATCH","path":"/Groups/{OWN}","data":` + patchOperations + `[{"op":"add","path":"members","value":[{"value":"{U}"}]}]}}]}`},
	},
	"/.search": {{"POST", "/.search", `{"filter":"id eq \"{U}\" or id eq \"{G}\""}`}, {"POST", "/.search", `{"cursor":"{C}","count":1}`}},
	"/Users/.search": {
		{"POST", "/Users/.search", `{"filter":"id eq \"{U}\" or userName eq \"victim\""}`}, {"POST", "/Users/.search", `{"cursor":"{C}","count":1}`},
	},
	"/Groups/.search":        {{"POST", "/Groups/.search", `{"filter":"id eq \"{G}\" or members[value eq \"{U}\"]"}`}},
	"/Entitlements":          {{"GET", "/Entitlements?filter=id+eq+%22{A}-collaborator%22", ""}},
	"/Entitlements/{id}":     {{"GET", "/Entitlements/{A}-collaborator", ""}, {"GET", "/Entitlements/{U}", ""}},
	"/Roles":                 {{"GET", "/Roles?filter=id+eq+%22{A}-owner%22", ""}},
	"/Roles/{id}":            {{"GET", "/Roles/{A}-owner", ""}},
	"/Me":                    {{"GET", "/Me", ""}, {"PATCH", "/Me", patchOperations + `[{"op":"replace","path":"title","value":"stolen"}]}`}, {"DELETE", "/Me", ""}},
	"/ServiceProviderConfig": {{"GET", "/ServiceProviderConfig", ""}},
	"/Schemas":               {{"GET", "/Schemas", ""}},
	"/Schemas/{id}":          {{"GET", "/Schemas/{U}", ""}},
	"/ResourceTypes":         {{"GET", "/ResourceTypes", ""}},
	"/ResourceTypes/{id}":    {{"GET", "/ResourceTypes/{U}", ""}},
}

// On every route, with every method, what belongs to another workspace, or to another connection of
// the same one, is answered exactly as what nobody has: status, headers and body.
func TestNoRouteTellsOfOthers(t *testing.T) {
	w := open(t, directory.Okta)
	w.Accounts = w.Lifecycle.Accounts
	victim := w.acme
	twin := victim.connect(t, "Twin", directory.Okta)
	_, err := w.DB.Exec(t.Context(), `update connections set provisioning = '{"entitlements": true}'`)
	must(t, err)
	user := victim.call(t, "POST", "/Users", `{"userName":"victim","externalId":"ext-victim","emails":[{"value":"victim@example.com","type":"work"}]}`).want(t, 201).id(t)
	victim.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"manager","value":"`+user+`"}]}`).want(t, 200)
	victim.join(t, "second")
	group := victim.team(t, "Victims", user)
	account := victim.account(t, user)
	cursor, _ := victim.call(t, "GET", "/Users?cursor&count=1", "").want(t, 200).at(t, "nextCursor").(string)
	if cursor == "" {
		t.Fatal("no cursor")
	}
	see := func() string {
		return victim.call(t, "GET", "/Users/"+user+"?attributes=userName,title,manager,groups,meta", "").text + victim.call(t, "GET", "/Groups/"+group, "").text
	}
	before := see()

	for name, stranger := range map[string]house{"another workspace": w.other, "another connection": twin} {
		// One of their own of each, so that a list is not empty for want of anything.
		own := stranger.team(t, "Own", stranger.join(t, "own"))
		stranger.join(t, "second")
		otherCursor, _ := stranger.call(t, "GET", "/Users?cursor&count=1&sortBy=displayName", "").at(t, "nextCursor").(string)
		theirs := strings.NewReplacer("{U}", user, "{G}", group, "{A}", account, "{OWN}", own, "{C}", cursor)
		nobody, nothing, none := core.NewID().String(), core.NewID().String(), core.NewID().String()
		nobodys := strings.NewReplacer("{U}", nobody, "{G}", nothing, "{A}", none, "{OWN}", own, "{C}", otherCursor)
		hide := strings.NewReplacer(user, nobody, group, nothing, account, none)
		for _, address := range slices.Sorted(maps.Keys(w.Routes())) {
			tried := map[string]bool{}
			for _, p := range probes[address] {
				tried[p.method] = true
				if name == "another connection" && strings.Contains(p.path, "{A}") {
					continue // the accounts are the workspace's
				}
				known := stranger.call(t, p.method, theirs.Replace(p.path), theirs.Replace(p.body))
				unknown := stranger.call(t, p.method, nobodys.Replace(p.path), nobodys.Replace(p.body))
				for _, answered := range []http.Header{known.header, unknown.header} {
					answered.Del("X-Correlation-Id")
				}
				if diff := cmp.Diff(unknown.text, hide.Replace(known.text)); diff != "" || known.status != unknown.status {
					t.Errorf("%s: %s %s can be told from nobody's (%d and %d): %s", name, p.method, p.path, known.status, unknown.status, diff)
				}
				if diff := cmp.Diff(unknown.header, known.header); diff != "" {
					t.Errorf("%s: the headers of %s %s differ: %s", name, p.method, p.path, diff)
				}
				if strings.Contains(known.text, "victim") || strings.Contains(known.text, "Victims") {
					t.Errorf("%s: %s %s tells %s", name, p.method, p.path, known.text)
				}
			}
			for _, method := range w.Routes()[address] {
				if method != "*" && !tried[method] {
					t.Errorf("nothing is tried with %s %s", method, address)
				}
			}
		}
	}
	if diff := cmp.Diff(before, see()); diff != "" {
		t.Errorf("something of the victim's was changed: %s", diff)
	}
}
