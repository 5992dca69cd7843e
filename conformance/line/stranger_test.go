package line

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local"
	"postern/deploy/local/demo"
	"postern/gateway/api"
	"postern/oidc/devidp/push"
)

// stranger is another workspace at the same Postern, with an IdP, a token of each kind and an
// account of its own.
type stranger struct {
	s          *stage
	API        demo.API
	workspace  core.ID
	connection core.ID
	scim       seal.Secret
	api        seal.Secret
	app        core.ID
	account    core.ID
	user       core.ID // who owns the account
	password   seal.Secret
}

// strangerClient is what the IdP calls Postern behind the stranger's connection.
const strangerClient = "postern-globex"

// stranger plants the other workspace, through the slices, as an operator would.
func (s *stage) stranger(t testing.TB) *stranger {
	t.Helper()
	people := &directory.Directory{DB: s.DB}
	text, err := s.Folder.Secret("key", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewLocalKey([]byte(text.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	secrets := &vault.Vault{DB: s.DB, Keys: keys}
	logins := &accounts.Accounts{DB: s.DB, Vault: secrets, Directory: people}
	cause := core.NewCause(core.System, time.Now())
	other := &stranger{s: s, password: seal.NewSecret("Globex-" + core.NewID().String())}
	err = s.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		ctx := t.Context()
		workspace, err := people.CreateWorkspace(ctx, tx, cause, "globex", "Globex")
		if err != nil {
			return err
		}
		other.workspace = workspace.ID
		if _, err := secrets.Prepare(ctx, tx, workspace.ID); err != nil {
			return err
		}
		connection, err := people.CreateConnection(ctx, tx, cause, workspace.ID, directory.NewConnection{
			Name: "Globex Okta", Kind: directory.Okta, Issuer: s.Stack.IdP, ClientID: strangerClient,
		})
		if err != nil {
			return err
		}
		other.connection = connection.ID
		if other.scim, err = people.CreateConnectionToken(ctx, tx, cause, workspace.ID, connection.ID, nil); err != nil {
			return err
		}
		account, err := people.CreateServiceAccount(ctx, tx, cause, workspace.ID, "scripts", api.Scopes())
		if err != nil {
			return err
		}
		if other.api, err = people.CreateServiceAccountToken(ctx, tx, cause, workspace.ID, account.ID, nil); err != nil {
			return err
		}
		owner, err := people.InsertUser(ctx, tx, directory.User{
			ID: core.NewID(), Workspace: workspace.ID, Connection: connection.ID, UserName: "owner@globex.example", Email: "owner@globex.example",
			Active: true, Role: directory.RoleOwner,
		})
		if err != nil {
			return err
		}
		other.user = owner.ID
		app, err := logins.CreateApp(ctx, tx, cause, workspace.ID, accounts.NewApp{
			Name: "Globex wiki", Domains: []string{"wiki.globex.example"}, SignInURL: "https://wiki.globex.example/login", Connector: "browser",
		})
		if err != nil {
			return err
		}
		other.app = app.ID
		shared, err := logins.CreateAccount(ctx, tx, cause, workspace.ID, accounts.NewAccount{
			App: app.ID, Username: "globex-shared", Password: other.password, Owner: owner.ID,
		})
		other.account = shared.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other.API = demo.API{URL: s.Stack.Gateway, Token: other.api.Reveal()}
	s.secrets.plant("the other workspace's SCIM token", other.scim.Reveal())
	s.secrets.plant("the other workspace's API token", other.api.Reveal())
	s.secrets.plant("the other workspace's password", other.password.Reveal())
	return other
}

func (o *stranger) idp() *idp {
	return o.s.listening(&push.Client{Style: push.Okta, URL: o.s.Stack.Gateway + "/scim/v2", Token: o.scim})
}

// join pushes somebody to the other workspace.
func (o *stranger) join(t testing.TB, userName string) string {
	t.Helper()
	result, err := o.idp().PushUser(t.Context(), push.User{ID: "globex-" + userName, UserName: userName, DisplayName: userName, Email: userName})
	return answered(t, result, err).ID
}

// leave deactivates somebody of the other workspace.
func (o *stranger) leave(t testing.TB, userName string) {
	t.Helper()
	result, err := o.idp().Deactivate(t.Context(), o.join(t, userName))
	answered(t, result, err)
}

// logout is where the stranger's IdP sends Universal Logout.
func (o *stranger) logout() string {
	return o.s.Stack.Gateway + "/webhooks/" + o.connection.String() + "/universal-logout"
}

// strangerSeesNothing uses every right token of one workspace on the ids of the other, both ways.
func (s *stage) strangerSeesNothing(t *testing.T, ana resident, other *stranger) {
	gil, err := core.ParseID(other.join(t, "gil@globex.example"))
	if err != nil {
		t.Fatal(err)
	}
	ours := side{
		name: "ours", api: s.API, scim: s.Stack.SCIM["okta"].Token, user: ana.user, team: ana.team, account: ana.account,
		app: s.appOf(t, ana.account), rotation: s.rotations(t, ana.account)[0].ID, userName: ana.name,
	}
	ours.grant = ask[listed[struct{ ID core.ID }]](t, s.API, "/accounts/"+ana.account.String()+"/grants").Items[0].ID
	theirs := side{name: "theirs", api: other.API, scim: other.scim.Reveal(), user: gil, account: other.account, app: other.app, userName: "gil@globex.example"}
	theirs.grant = ask[listed[struct{ ID core.ID }]](t, other.API, "/accounts/"+other.account.String()+"/grants").Items[0].ID
	// What was logged out before has its certificate once its rotations have ended.
	s.eventually(time.Minute, "every certificate to be complete", func() bool {
		open := true
		if err := s.DB.QueryRow(t.Context(), `select exists (select from certificates where due is not null)`).Scan(&open); err != nil {
			t.Fatal(err)
		}
		return !open
	})
	s.reaches(t, theirs, ours)
	s.reaches(t, ours, theirs)

	t.Run("their IdP logs out one of ours", func(t *testing.T) {
		before := s.facts(t, s.API)
		token := s.forge(t).sign(t, mint{}, other.logout(), strangerClient)
		s.secrets.plant("a logout token", token)
		s.send(t, sent{Path: other.logout(), Token: token, Type: jsonType, Body: `{"sub_id":{"format":"email","email":"` + ana.email + `"}}`}).
			oauthError(t, http.StatusNotFound, "not_found")
		s.unchanged(t, s.API, before)
	})
	t.Run("our owner opens their account", func(t *testing.T) {
		before := s.facts(t, other.API)
		owner := s.inside(t, "okta", local.OwnerName)
		// Another workspace's id is answered as one that nobody has.
		for _, out := range []struct{ method, path string }{{"GET", ""}, {"POST", "/fill"}, {"POST", "/reveal"}, {"POST", "/rotate"}, {"POST", "/check"}} {
			header := map[string]string{"Accept": "text/html", "X-Postern-Console": "1", "Sec-Fetch-Site": "same-origin"}
			theirs, seen := owner.with(t, out.method, "/accounts/"+other.account.String()+out.path, header)
			nobodys, text := owner.with(t, out.method, "/accounts/"+core.NewID().String()+out.path, header)
			if theirs != nobodys || theirs/100 != 4 {
				t.Errorf("%s %s: %d, and for an id nobody has %d: %s %s", out.method, out.path, theirs, nobodys, seen, text)
			}
			if strings.Contains(seen, "globex-shared") || strings.Contains(seen, other.password.Reveal()) {
				t.Errorf("%s %s shows the account: %s", out.method, out.path, seen)
			}
		}
		s.unchanged(t, other.API, before)
	})
}

func (s *stage) appOf(t testing.TB, account core.ID) core.ID {
	t.Helper()
	return ask[struct{ App core.ID }](t, s.API, "/accounts/"+account.String()).App
}

// side is what a workspace has, and the tokens to reach it by.
type side struct {
	name                                      string
	api                                       demo.API
	scim                                      string
	user, team, account, app, rotation, grant core.ID
	userName                                  string
}

// reaches tries to get at what another workspace has. Each id is answered as one nobody has, and
// nothing changes on either side.
func (s *stage) reaches(t *testing.T, from, to side) {
	before, own := s.facts(t, to.api), s.facts(t, from.api)
	for name, test := range map[string]struct {
		sent
		status int
	}{
		"GET /Users/{id}":                      {sent{Method: "GET", Path: "/scim/v2/Users/" + to.user.String()}, 404},
		"PUT /Users/{id}":                      {sent{Method: "PUT", Path: "/scim/v2/Users/" + to.user.String(), Body: `{"userName":"taken@over.example","active":false}`}, 404},
		"PATCH /Users/{id}":                    {sent{Method: "PATCH", Path: "/scim/v2/Users/" + to.user.String(), Body: patchOps + `[{"op":"replace","path":"active","value":false}]}`}, 404},
		"DELETE /Users/{id}":                   {sent{Method: "DELETE", Path: "/scim/v2/Users/" + to.user.String()}, 404},
		"GET /Groups/{id}":                     {sent{Method: "GET", Path: "/scim/v2/Groups/" + to.team.String()}, 404},
		"PATCH /Groups/{id}":                   {sent{Method: "PATCH", Path: "/scim/v2/Groups/" + to.team.String(), Body: patchOps + `[{"op":"remove","path":"members"}]}`}, 404},
		"DELETE /Groups/{id}":                  {sent{Method: "DELETE", Path: "/scim/v2/Groups/" + to.team.String()}, 404},
		"POST /Groups with a member of theirs": {sent{Path: "/scim/v2/Groups", Body: `{"displayName":"Spies","members":[{"value":"` + to.user.String() + `"}]}`}, 400},
	} {
		if to.team.IsZero() && strings.Contains(test.Path, "/Groups/") {
			continue
		}
		t.Run("SCIM of "+from.name+": "+name, func(t *testing.T) {
			out := test.sent
			out.Token, out.Type = from.scim, scimType
			kind := ""
			if test.status == 400 {
				kind = "invalidValue"
			}
			s.send(t, out).scimError(t, test.status, kind)
			s.unchanged(t, to.api, before)
			s.unchanged(t, from.api, own)
		})
	}
	t.Run("SCIM of "+from.name+" finds nobody", func(t *testing.T) {
		got := s.send(t, sent{Method: http.MethodGet, Path: "/scim/v2/Users?filter=" + url.QueryEscape(`userName eq "`+to.userName+`"`), Token: from.scim})
		if got.status != http.StatusOK || !strings.Contains(got.text, `"totalResults":0`) {
			t.Errorf("answered %d %s", got.status, got.text)
		}
	})
	for name, test := range map[string]struct {
		sent
		status int
		code   string
	}{
		"GET /accounts/{id}":               {sent{Method: "GET", Path: "/accounts/" + to.account.String()}, 404, "not_found"},
		"GET /accounts/{id}/grants":        {sent{Method: "GET", Path: "/accounts/" + to.account.String() + "/grants"}, 404, "not_found"},
		"GET /accounts/{id}/exposures":     {sent{Method: "GET", Path: "/accounts/" + to.account.String() + "/exposures"}, 404, "not_found"},
		"GET /accounts/{id}/rotations":     {sent{Method: "GET", Path: "/accounts/" + to.account.String() + "/rotations"}, 404, "not_found"},
		"POST /accounts/{id}/rotations":    {sent{Path: "/accounts/" + to.account.String() + "/rotations"}, 404, "not_found"},
		"POST /accounts/{id}/verification": {sent{Path: "/accounts/" + to.account.String() + "/verification"}, 404, "not_found"},
		"POST /accounts/{id}/grants":       {sent{Path: "/accounts/" + to.account.String() + "/grants", Body: `{"user":"` + from.user.String() + `","role":"owner"}`}, 404, "not_found"},
		"POST grants to one of theirs":     {sent{Path: "/accounts/" + from.account.String() + "/grants", Body: `{"user":"` + to.user.String() + `","role":"owner"}`}, 400, "invalid"},
		"DELETE /grants/{id}":              {sent{Method: "DELETE", Path: "/grants/" + to.grant.String()}, 404, "not_found"},
		"GET /rotations/{id}":              {sent{Method: "GET", Path: "/rotations/" + to.rotation.String()}, 404, "not_found"},
		"GET /users/{id}":                  {sent{Method: "GET", Path: "/users/" + to.user.String()}, 404, "not_found"},
		"GET /apps/{id}":                   {sent{Method: "GET", Path: "/apps/" + to.app.String()}, 404, "not_found"},
		"POST /accounts in their app":      {sent{Path: "/accounts", Body: `{"app":"` + to.app.String() + `","username":"x","password":"xxxxxxxx","owner":"` + from.user.String() + `"}`}, 400, "invalid"},
		"POST /accounts for one of theirs": {sent{Path: "/accounts", Body: `{"app":"` + from.app.String() + `","username":"x","password":"xxxxxxxx","owner":"` + to.user.String() + `"}`}, 400, "invalid"},
	} {
		if to.rotation.IsZero() && strings.HasPrefix(test.Path, "/rotations/") {
			continue
		}
		t.Run("API of "+from.name+": "+name, func(t *testing.T) {
			out := test.sent
			out.Path, out.Token = "/api/v1"+out.Path, from.api.Token
			if out.Body != "" {
				out.Type = jsonType
			}
			s.send(t, out).problem(t, test.status, test.code)
			s.unchanged(t, to.api, before)
			s.unchanged(t, from.api, own)
		})
	}
	t.Run("API of "+from.name+" finds nothing", func(t *testing.T) {
		for _, path := range []string{
			"/teams?member=" + to.user.String(), "/users?user_name=" + url.QueryEscape(to.userName),
			"/events?target=" + to.account.String(), "/events?target=" + to.user.String(),
		} {
			if found := ask[listed[any]](t, from.api, path); len(found.Items) != 0 {
				t.Errorf("%s: %v", path, found.Items)
			}
		}
		everything := s.facts(t, from.api)
		for _, id := range []core.ID{to.user, to.account, to.app, to.grant} {
			if strings.Contains(everything, id.String()) {
				t.Errorf("%s is known in another workspace", id)
			}
		}
	})
}
