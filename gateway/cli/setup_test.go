package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/gateway/api"
)

const publicURL = "https://postern.example.com"

func TestConnectionCreate(t *testing.T) {
	d := newDesk(t)
	acme, other := d.workspace("acme"), d.workspace("other")
	secret := file(t, "canary-client-secret")
	out := d.do("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--issuer", "https://acme.okta.com", "--client-id", "0oa1",
		"--client-secret", secret, "--logout-issuers", "https://login.acme.example", "--public-url", publicURL)
	all, err := d.people.Connections(t.Context(), d.db, acme)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	made := all[0]
	if made.Kind != directory.Okta || made.Issuer != "https://acme.okta.com" || made.ClientID != "0oa1" || made.ClientSecret != secret || !slices.Equal(made.LogoutIssuers, []string{"https://login.acme.example"}) {
		t.Errorf("made %+v", made)
	}
	for _, line := range []string{
		"SCIM base URL              https://postern.example.com/scim/v2\n",
		"redirect URI               https://postern.example.com/sso/" + made.ID.String() + "/callback\n",
		"sign-out redirect URI      https://postern.example.com/sso/signed-out\n",
		"Logout Endpoint URL        https://postern.example.com/webhooks/" + made.ID.String() + "/universal-logout\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	at := strings.Index(out, "pst_scim_")
	if at < 0 || strings.Count(out, "pst_scim_") != 1 || strings.Contains(out, "canary") || strings.Contains(out, "Note:") {
		t.Fatal(out)
	}
	if got, err := d.people.AuthenticateConnection(t.Context(), seal.NewSecret(strings.Fields(out[at:])[0])); err != nil || got.ID != made.ID {
		t.Errorf("the token opens %v, %v", got, err)
	}
	if types, _ := d.events(acme); strings.Join(types, " ") != "workspace.created connection.created connection.token_created" {
		t.Errorf("events %v", types)
	}

	// The same name in another workspace, as Entra ID, for a script.
	page := d.json("connection", "create", "entra", "--workspace", "other", "--name", "Okta", "--public-url", publicURL+"/", "--days", "30",
		"--issuer", "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", "--client-id", "c", "--client-secret", "env:POSTERN_TEST_ELSEWHERE")
	theirs, err := d.people.Connections(t.Context(), d.db, other)
	if err != nil || len(theirs) != 1 {
		t.Fatal(theirs, err)
	}
	id := theirs[0].ID.String()
	for name, want := range map[string]string{
		"id": id, "workspace": "other", "name": "Okta", "kind": "entra", "scim_base_url": publicURL + "/scim/v2", "redirect_uri": publicURL + "/sso/" + id + "/callback",
		"sign_in": publicURL + "/sso/" + id + "/start", "post_logout_redirect_uri": publicURL + "/sso/signed-out",
		"universal_logout": publicURL + "/webhooks/" + id + "/universal-logout",
	} {
		if page[name] != want {
			t.Errorf("%s is %v, want %s", name, page[name], want)
		}
	}
	if got, err := d.people.AuthenticateConnection(t.Context(), seal.NewSecret(page["token"].(string))); err != nil || got.Workspace != other {
		t.Errorf("the token opens %v, %v", got, err)
	}
	tokens, err := d.people.ConnectionTokens(t.Context(), d.db, other, theirs[0].ID)
	if err != nil || len(tokens) != 1 || tokens[0].ID.String() != page["token_id"] || tokens[0].Expires == nil || time.Until(*tokens[0].Expires) < 29*24*time.Hour {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
}

func TestConnectionCreateRefuses(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.do("connection", "create", "generic", "--workspace", "acme", "--name", "One", "--public-url", publicURL)
	create := func(more ...string) []string {
		return append([]string{"connection", "create", "okta", "--workspace", "acme", "--public-url", publicURL}, more...)
	}
	named := func(more ...string) []string { return create(append([]string{"--name", "Two"}, more...)...) }
	d.refused(5, "name: another connection has this name", create("--name", "One")...)
	d.refused(2, "--name", create()...)
	d.refused(2, "must be one of", "connection", "create", "ping", "--workspace", "acme", "--name", "Two", "--public-url", publicURL)
	d.refused(4, `there is no workspace "nobody": there is acme`, "connection", "create", "okta", "--workspace", "nobody", "--name", "Two", "--public-url", publicURL)
	d.refused(2, "--public-url: https is needed", "connection", "create", "okta", "--workspace", "acme", "--name", "Two", "--public-url", "http://postern.example.com")
	d.refused(2, "--client-id: sign-in needs", named("--issuer", "https://acme.okta.com")...)
	d.refused(2, "--issuer: sign-in needs", named("--client-id", "x")...)
	d.refused(2, "--issuer: a https address", named("--client-id", "x", "--issuer", "http://acme.okta.com")...)
	d.refused(2, "--issuer: a https address", named("--client-id", "x", "--issuer", "acme.okta.com")...)
	d.refused(2, "--client-secret: put the secret in a file", named("--client-id", "x", "--issuer", "https://acme.okta.com", "--client-secret", "canary")...)
	d.refused(2, "--logout-issuers: ", named("--logout-issuers", "login.acme.example")...)
	d.refused(2, "--days: 0 to 3650", named("--days=-1")...)
	if all, err := d.people.Connections(t.Context(), d.db, acme); err != nil || len(all) != 1 {
		t.Errorf("%d connections, %v", len(all), err)
	}
}

func TestConnectionUpdateAndShow(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	out := d.do("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--public-url", publicURL)
	if !strings.Contains(out, `postern connection update "Okta" --workspace acme --issuer URL`) {
		t.Error(out)
	}
	got := d.json("connection", "update", "okta", "--workspace", "acme", "--issuer", "https://acme.okta.com", "--client-id", "0oa1", "--client-secret", "env:POSTERN_TEST_ELSEWHERE")
	if got["issuer"] != "https://acme.okta.com" || got["client_id"] != "0oa1" || got["client_secret"] != "env:POSTERN_TEST_ELSEWHERE" {
		t.Errorf("updated %v", got)
	}
	out = d.do("connection", "update", got["id"].(string), "--workspace", "acme", "--name", "Okta US")
	if !strings.Contains(out, "The connection Okta US is now") || !strings.Contains(out, "0oa1") || !strings.Contains(out, "Note: the variable POSTERN_TEST_ELSEWHERE is not set") {
		t.Error(out)
	}
	d.do("connection", "update", "Okta US", "--workspace", "acme") // nothing
	if types, _ := d.events(acme); strings.Join(types[3:], " ") != "connection.updated connection.updated" {
		t.Errorf("events %v", types)
	}
	shown := d.json("connection", "show", "Okta US", "--workspace", "acme", "--public-url", publicURL)
	if shown["scim_base_url"] != publicURL+"/scim/v2" || shown["client_id"] != "0oa1" || shown["token"] != nil {
		t.Errorf("shown %v", shown)
	}
	if text := d.do("connection", "show", "Okta US", "--workspace", "acme", "--public-url", publicURL); strings.Contains(text, "pst_scim_") || strings.Contains(text, "Nobody can sign in") {
		t.Error(text)
	}
	d.refused(2, "--issuer: sign-in needs", "connection", "update", "Okta US", "--workspace", "acme", "--issuer", "")
	d.refused(4, `there is no connection "Okta": there is Okta US`, "connection", "update", "Okta", "--workspace", "acme")
	d.refused(4, "postern connection create", "connection", "update", got["id"].(string), "--workspace", "other")
	d.do("connection", "update", "Okta US", "--workspace", "acme", "--issuer", "", "--client-id", "", "--client-secret", "")
	found, err := d.people.Connections(t.Context(), d.db, acme)
	if err != nil || found[0].Issuer != "" || found[0].ClientID != "" || found[0].Name != "Okta US" {
		t.Errorf("taken away: %+v %v", found, err)
	}
}

func TestConnectionTokens(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	first := d.json("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--public-url", publicURL)
	out := d.do("connection", "token", "Okta", "--workspace", "acme", "--days", "90")
	at := strings.Index(out, "pst_scim_")
	if at < 0 || !strings.Contains(out, `postern connection token revoke "Okta" `+first["token_id"].(string)+" --workspace acme") {
		t.Fatal(out)
	}
	second := strings.Fields(out[at:])[0]
	for _, token := range []string{first["token"].(string), second} {
		if _, err := d.people.AuthenticateConnection(t.Context(), seal.NewSecret(token)); err != nil {
			t.Error(err)
		}
	}
	d.refused(5, "both slots hold a live token", "connection", "token", first["id"].(string), "--workspace", "acme")
	list := d.json("connection", "token", "list", "Okta", "--workspace", "acme")["tokens"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["id"] != first["token_id"] || list[0].(map[string]any)["last_used"] == nil || list[1].(map[string]any)["expires"] == nil {
		t.Errorf("listed %v", list)
	}
	if text := d.do("connection", "token", "list", "Okta", "--workspace", "acme"); strings.Contains(text, "pst_") || strings.Count(text, "\n") != 3 || !strings.Contains(text, "never") {
		t.Error(text)
	}
	d.refused(2, "give the token's id, not the token", "connection", "token", "revoke", "Okta", "pst_scim_canary", "--workspace", "acme")
	d.refused(4, "there is no such token", "connection", "token", "revoke", "Okta", core.NewID().String(), "--workspace", "acme")
	d.refused(4, "there is no connection", "connection", "token", "revoke", first["id"].(string), first["token_id"].(string), "--workspace", "other")
	d.do("connection", "token", "revoke", "Okta", first["token_id"].(string), "--workspace", "acme")
	if _, err := d.people.AuthenticateConnection(t.Context(), seal.NewSecret(first["token"].(string))); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("the revoked token: %v", err)
	}
	if _, err := d.people.AuthenticateConnection(t.Context(), seal.NewSecret(second)); err != nil {
		t.Errorf("the other token: %v", err)
	}
	if types, _ := d.events(acme); types[len(types)-1] != "connection.token_revoked" {
		t.Errorf("events %v", types)
	}
}

func TestTokens(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	d.refused(2, "--scopes: say what reports may do: "+strings.Join(api.Scopes(), ", "), "token", "create", "--workspace", "acme", "--name", "reports")
	d.refused(2, `--scopes: "accounts:all" is none of`, "token", "create", "--workspace", "acme", "--name", "reports", "--scopes", "accounts:read,accounts:all")
	made := d.json("token", "create", "--workspace", "acme", "--name", "reports", "--scopes", "accounts:read,activity:read")
	account, err := d.people.AuthenticateServiceAccount(t.Context(), seal.NewSecret(made["token"].(string)))
	if err != nil || account.Name != "reports" || account.Workspace != acme || !slices.Equal(account.Scopes, []string{"accounts:read", "activity:read"}) {
		t.Fatal(account, err)
	}
	d.refused(5, "--scopes: the service account reports is there with accounts:read, activity:read", "token", "create", "--workspace", "acme", "--name", "reports", "--scopes", "apps:write")
	out := d.do("token", "create", "--workspace", "acme", "--name", "reports", "--days", "1")
	if strings.Count(out, "pst_api_") != 1 || !strings.Contains(out, "accounts:read activity:read") {
		t.Error(out)
	}
	d.refused(5, "both slots hold a live token", "token", "create", "--workspace", "acme", "--name", "reports")
	listed := d.json("token", "list", "--workspace", "acme")["service_accounts"].([]any)
	if len(listed) != 1 || len(listed[0].(map[string]any)["tokens"].([]any)) != 2 {
		t.Errorf("listed %v", listed)
	}
	if text := d.do("token", "list", "--workspace", "acme"); strings.Contains(text, "pst_") || !strings.Contains(text, "reports: accounts:read activity:read") {
		t.Error(text)
	}
	if text := d.do("token", "list", "--workspace", "other"); text != "no service accounts\n" {
		t.Error(text)
	}
	d.refused(4, "there is no such token", "token", "revoke", made["id"].(string), "--workspace", "other")
	d.refused(2, "not the token", "token", "revoke", "pst_api_canary", "--workspace", "acme")
	d.do("token", "revoke", made["id"].(string), "--workspace", "acme")
	d.refused(4, "there is no such token", "token", "revoke", made["id"].(string), "--workspace", "acme")
	if _, err := d.people.AuthenticateServiceAccount(t.Context(), seal.NewSecret(made["token"].(string))); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("the revoked token: %v", err)
	}
	types, _ := d.events(acme)
	if want := "workspace.created service_account.created service_account.token_created service_account.token_created service_account.token_revoked"; strings.Join(types, " ") != want {
		t.Errorf("events %v", types)
	}
}

func TestUserRole(t *testing.T) {
	d := newDesk(t)
	acme, other := d.workspace("acme"), d.workspace("other")
	connect := func(workspace, name string) core.ID {
		return id(t, d.json("connection", "create", "okta", "--workspace", workspace, "--name", name, "--public-url", publicURL)["id"])
	}
	okta, entra := connect("acme", "Okta"), connect("acme", "Entra")
	theirs := d.person(other, connect("other", "Okta"), "dana@acme.example")
	d.refused(4, `nobody is called "dana@acme.example" here yet`, "user", "role", "dana@acme.example", "--workspace", "acme", "--role", "owner")
	dana := d.person(acme, okta, "dana@acme.example")
	got := d.json("user", "role", "Dana@acme.example", "--workspace", "acme", "--role", "owner")
	if got["id"] != dana.ID.String() || got["role"] != "owner" || got["was"] != "user" {
		t.Errorf("changed %v", got)
	}
	types, actors := d.events(acme)
	if types[len(types)-1] != "user.updated" || !strings.HasPrefix(actors[len(actors)-1], "Postern's command line") {
		t.Errorf("%v by %v", types, actors)
	}
	if out := d.do("user", "role", dana.ID.String(), "--workspace", "acme", "--role", "owner"); !strings.Contains(out, "Dana is owner already.") {
		t.Error(out)
	}
	if again, _ := d.events(acme); len(again) != len(types) {
		t.Errorf("nothing changed, and still: %v", again)
	}
	twin := d.person(acme, entra, "dana@acme.example")
	d.refused(2, "--connection: dana@acme.example is a user of Okta and of Entra: say which", "user", "role", "dana@acme.example", "--workspace", "acme", "--role", "admin")
	d.refused(4, `there is no connection "Ping": there is Okta, Entra`, "user", "role", "dana@acme.example", "--workspace", "acme", "--connection", "Ping", "--role", "admin")
	d.refused(4, "there is no such user", "user", "role", theirs.ID.String(), "--workspace", "acme", "--role", "admin")
	d.refused(2, "--role must be one of", "user", "role", "dana@acme.example", "--workspace", "acme", "--role", "king")
	if out := d.do("user", "role", "dana@acme.example", "--workspace", "acme", "--connection", "entra", "--role", "admin"); !strings.Contains(out, "Dana is admin now (was user).") {
		t.Error(out)
	}
	if user, err := d.people.User(t.Context(), d.db, acme, twin.ID); err != nil || user.Role != directory.RoleAdmin {
		t.Error(user.Role, err)
	}
	d.refused(3, "Dana is the last owner of the workspace; make somebody else an owner first", "user", "role", dana.ID.String(), "--workspace", "acme", "--role", "login_only")
	if user, err := d.people.User(t.Context(), d.db, acme, dana.ID); err != nil || user.Role != directory.RoleOwner {
		t.Errorf("the last owner is %s, %v", user.Role, err)
	}
	d.do("user", "role", twin.ID.String(), "--workspace", "acme", "--role", "owner")
	if out := d.do("user", "role", dana.ID.String(), "--workspace", "acme", "--role", "login_only"); !strings.Contains(out, "Dana is login_only now (was owner).") {
		t.Error(out)
	}
	if user, err := d.people.User(t.Context(), d.db, other, theirs.ID); err != nil || user.Role != directory.RoleUser {
		t.Errorf("another workspace's user is %s, %v", user.Role, err)
	}
}
