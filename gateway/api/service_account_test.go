package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
	"postern/gateway/api"
)

// served fills in service accounts: one to be changed and removed, and one with an owner too many, credentials, a rotation and a finding; and a
// credential of the one that may use its own alone.
func (w *world) served(t *testing.T, all *things) {
	t.Helper()
	var third directory.User
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		third, err = w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.ID, UserName: "third" + core.NewID().String(), Active: true, Role: directory.RoleUser})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	owners := `"owners":[{"user":"` + w.ana.ID.String() + `"},{"user":"` + third.ID.String() + `"}]`
	all.serviceAccounts = w.must(t, 201, "POST", "/service-accounts", `{"name":"first",`+owners+`}`)["id"].(string)
	second := "/service-accounts/" + w.must(t, 201, "POST", "/service-accounts", `{"name":"second",`+owners+`}`)["id"].(string)
	list := items(w.must(t, 201, "POST", second+"/owners", `{"user":"`+w.ben.ID.String()+`"}`))
	all.serviceOwners = list[len(list)-1]["id"].(string)
	key := `{"name":"key","kind":"key","held":"vault","value":"` + canary + `"}`
	all.serviceCredentials = w.must(t, 201, "POST", second+"/credentials", key)["id"].(string)
	other := w.must(t, 201, "POST", second+"/credentials", strings.Replace(key, `"key"`, `"other"`, 1))["id"].(string)
	all.serviceRotations = w.must(t, 201, "POST", "/service-credentials/"+other+"/rotations", `{"value":"`+canary+`"}`)["id"].(string)
	token := w.must(t, 201, "POST", second+"/credentials", `{"name":"API","kind":"token","held":"postern"}`)["secret"].(string)
	asked := httptest.NewRequest(http.MethodGet, "/api/v1/apps", nil)
	asked.Header.Set("Authorization", "Bearer "+token)
	asked.Header.Set("User-Agent", "Mozilla/5.0")
	if recorder, _ := w.send(t, asked); recorder.Code != 403 {
		t.Fatal(recorder.Code)
	}
	findings := items(w.must(t, 200, "GET", "/service-findings?state=open", ""))
	if len(findings) != 1 || findings[0]["kind"] != "interactive_use" {
		t.Fatal(findings)
	}
	all.serviceFindings = findings[0]["id"].(string)
	user := ""
	for _, one := range items(w.must(t, 200, "GET", "/service-accounts?search=credentials", "")) {
		user = one["id"].(string)
	}
	// What it reads there must not be what no answer may hold.
	all.credentials = w.must(t, 201, "POST", "/service-accounts/"+user+"/credentials", `{"name":"own","kind":"key","held":"vault","value":"a key of its own"}`)["id"].(string)
}

func TestServiceAccountsByAPI(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	owners := `"owners":[{"user":"` + w.ana.ID.String() + `"},{"user":"` + w.ben.ID.String() + `"}]`
	body := `{"name":"ci","purpose":"deploys","unit":"platform","risk":4,"sensitivity":2,"scopes":["credentials:use","accounts/` + account + `:read"],"networks":["192.0.2.0/24"],` + owners + `}`
	made := w.must(t, 201, "POST", "/service-accounts", body)
	at := "/service-accounts/" + made["id"].(string)
	if made["owned"] != true || made["blast_radius"] != 20.0+6.0 || made["version"] != 1.0 {
		t.Fatal(made)
	}
	for what, faulty := range map[string]string{
		"one owner":       strings.Replace(body, owners, `"owners":[{"user":"`+w.ana.ID.String()+`"}]`, 1),
		"no owner":        strings.Replace(body, owners, `"owners":[]`, 1),
		"another's owner": strings.Replace(body, w.ben.ID.String(), w.gus.ID.String(), 1),
		"no such scope":   strings.Replace(body, "credentials:use", "accounts:fly", 1),
		"no scope at all": strings.Replace(body, "credentials:use", "everything", 1),
		"no network":      strings.Replace(body, "192.0.2.0/24", "192.0.2.0/99", 1),
		"risk 6":          strings.Replace(body, `"risk":4`, `"risk":6`, 1),
	} {
		if status, got := w.ask(t, "acme", "POST", "/service-accounts", strings.Replace(faulty, `"ci"`, `"`+what+`"`, 1)); status != 400 {
			t.Errorf("%s: %d %v", what, status, got)
		}
	}
	if status, _ := w.ask(t, "acme", "POST", "/service-accounts", body); status != 409 {
		t.Errorf("a name twice: %d", status)
	}
	reach := w.must(t, 200, "PUT", at+"/reaches", `{"reaches":[{"name":"Billing","unit":"finance","risk":5,"sensitivity":5},{"name":"Wiki","app":"`+app+`","risk":1,"sensitivity":1}]}`)
	if reach["blast_radius"] != 52.0 || len(reach["terms"].([]any)) != 4 || len(reach["parts"].([]any)) < 2 {
		t.Fatal(reach)
	}
	if advice := items(w.must(t, 200, "GET", "/service-advice?budget=50", "")); len(advice) != 2 || advice[1]["account"] != made["id"] {
		t.Fatal(advice)
	}
	if groups := items(w.must(t, 200, "GET", "/service-groups?by=unit", "")); len(groups) != 2 || groups[0]["key"] == groups[1]["key"] {
		t.Fatal(groups) // the platform's, and those of no unit
	}
	// Its token opens one account, by the address, and no other, nor the list.
	token := w.must(t, 201, "POST", at+"/credentials", `{"name":"API","kind":"token","held":"postern","expires":"2090-01-01T00:00:00Z","every_days":90}`)
	w.tokens["ci"] = token["secret"].(string)
	defer delete(w.tokens, "ci")
	other := w.must(t, 201, "POST", "/accounts", `{"app":"`+app+`","username":"second","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)["id"].(string)
	for path, want := range map[string]int{
		"/accounts/" + account: 200, "/accounts/" + account + "/grants": 200, "/accounts/" + other: 403, "/accounts": 403, "/apps": 403,
		"/accounts/" + strings.ToUpper(account): 200, "/accounts/nonsense": 403, "/users/" + w.ana.ID.String() + "/accounts": 403, "/users/" + account + "/accounts": 404, "/credentials": 200,
	} {
		if status, got := w.ask(t, "ci", "GET", path, ""); status != want {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
	if status, _ := w.ask(t, "ci", "PUT", "/accounts/"+account+"/tags", `{"tags":[]}`); status != 403 {
		t.Errorf("a verb it was not given: %d", status)
	}
	// What it was given it reads itself, and nobody else does.
	w.hidden = nil
	login := w.must(t, 201, "POST", at+"/credentials", `{"name":"key","kind":"key","held":"vault","value":"kept for ci","consumers":["builder"]}`)["id"].(string)
	if own := items(func() map[string]any { _, got := w.ask(t, "ci", "GET", "/credentials", ""); return got }()); len(own) != 2 {
		t.Fatal(own)
	}
	status, value := w.ask(t, "ci", "POST", "/credentials/"+login+"/value", `{"consumer":"builder"}`)
	if status != 200 || value["value"] != "kept for ci" || value["version"] != 1.0 {
		t.Fatal(status, value)
	}
	for _, as := range []string{"acme", "globex"} {
		if status, got := w.ask(t, as, "POST", "/credentials/"+login+"/value", `{}`); status != 404 {
			t.Errorf("%s: %d %v", as, status, got)
		}
	}
	// Who knows a value is told: a person. What a service account made, nobody does.
	robot, err := core.ParseID(made["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.services.AddCredential(t.Context(), core.NewCause(w.ana.Actor(), time.Now()), w.acme.ID, robot, services.NewCredential{Name: "typed", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("typed by ana")})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range items(w.must(t, 200, "GET", at+"/credentials", "")) {
		known, _ := one["versions"].([]any)[0].(map[string]any)["known_by"].(map[string]any)
		if one["name"] == "typed" != (known["user"] == w.ana.ID.String() && known["since"] != nil) {
			t.Errorf("got %v", one)
		}
	}
	begun := w.must(t, 201, "POST", "/service-credentials/"+login+"/rotations", `{"value":"the next for ci"}`)
	steps := "/service-rotations/" + begun["id"].(string) + "/steps"
	w.must(t, 200, "POST", steps, `{"to":"distributed"}`)
	if status, got := w.ask(t, "acme", "POST", steps, `{"to":"verified"}`); status != 409 || got["code"] != "not_seen" {
		t.Fatal(status, got)
	}
	if _, value := w.ask(t, "ci", "POST", "/credentials/"+login+"/value", `{"consumer":"builder"}`); value["value"] != "the next for ci" {
		t.Fatal(value)
	}
	if done := w.must(t, 200, "POST", steps, `{"to":"done"}`); done["state"] != "done" || len(done["steps"].([]any)) != 5 {
		t.Fatal(done)
	}
	if uses := items(w.must(t, 200, "GET", at+"/uses", "")); len(uses) < 2 {
		t.Fatal(uses)
	}
	w.tokensOfAnApp(t, at, account)
	w.must(t, 204, "DELETE", at, "")
	if status, _ := w.ask(t, "ci", "GET", "/accounts/"+account, ""); status != 401 {
		t.Errorf("removed, it gets in: %d", status)
	}
}

// tokensOfAnApp has an account's app make tokens for a service account, which keeps them until they have ended there.
func (w *world) tokensOfAnApp(t *testing.T, at, account string) {
	t.Helper()
	app := &coretest.Mint{Password: canary, Says: rotation.Unreachable}
	wanted := `{"name":"forge","kind":"token","held":"app","account":"` + account + `","consumers":["builder"]}`
	if status, got := w.ask(t, "acme", "POST", at+"/credentials", wanted); status != 400 || !strings.Contains(fmt.Sprint(got), "nobody makes tokens") {
		t.Fatal(status, got)
	}
	w.rotations.Connectors = rotation.Connectors{"browser": app}
	var open core.ID // of the account, which is checked first
	if err := w.db.QueryRow(t.Context(), `select id from rotations where account_id = $1 and finished is null`, account).Scan(&open); err != nil {
		t.Fatal(err)
	}
	if err := w.rotations.Advance(t.Context(), w.acme.ID, open); err != nil {
		t.Fatal(err)
	}
	made := w.must(t, 201, "POST", at+"/credentials", wanted)
	if made["secret"] != nil {
		t.Fatal(made)
	}
	carry := func() map[string]any {
		t.Helper()
		if err := w.services.Carry(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, one := range items(w.must(t, 200, "GET", at+"/credentials", "")) {
			if one["id"] == made["id"] {
				return one
			}
		}
		return nil
	}
	if one := carry(); one["detail"] != "The app says so." || one["retry"] == nil || len(one["versions"].([]any)) != 0 {
		t.Fatal(one)
	}
	value := "/credentials/" + made["id"].(string) + "/value"
	if status, got := w.ask(t, "ci", "POST", value, `{"consumer":"builder"}`); status != 403 {
		t.Fatal(status, got)
	}
	path := "/service-credentials/" + made["id"].(string)
	w.must(t, 201, "POST", path+"/rotations", `{}`) // ask again now
	if one := carry(); one["detail"] != nil || len(one["versions"].([]any)) != 1 {
		t.Fatal(one)
	}
	if status, got := w.ask(t, "ci", "POST", value, `{"consumer":"builder"}`); status != 200 || got["value"] != "team-token-1" || got["username"] != "team" {
		t.Fatal(status, got)
	}
	if status, got := w.ask(t, "acme", "DELETE", at, ""); status != 409 || got["code"] != "app_tokens" {
		t.Fatal(status, got)
	}
	if status, _ := w.ask(t, "ci", "DELETE", path+"?abandon=true", ""); status != 403 {
		t.Fatal(status)
	}
	w.must(t, 204, "DELETE", path, "")
	if one := carry(); one != nil || len(app.Living()) != 0 {
		t.Fatal(one, app.Living())
	}
}

func TestEveryScopeIsInTheGrammar(t *testing.T) {
	for _, scope := range api.Scopes() {
		if err := api.CheckScopes([]string{scope}); err != nil {
			t.Errorf("%s: %v", scope, err)
		}
	}
}
