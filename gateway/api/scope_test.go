package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/core"
)

var (
	anID       = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	aParameter = regexp.MustCompile(`\{\w+\}`)
)

// narrowly sends a request of the service account that has one scope alone, limited to a resource if one is given.
func (w *world) narrowly(t *testing.T, asked *http.Request, scope, id string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	limit := func(to string) {
		if _, err := w.db.Exec(t.Context(), `update service_accounts set scopes = array[$1] where workspace_id = $2 and name = $3`, to, w.acme.ID, scope); err != nil {
			t.Fatal(err)
		}
	}
	if id != "" {
		limit(strings.Replace(scope, ":", "/"+id+":", 1))
		defer limit(scope)
	}
	asked.Header.Set("Authorization", "bearer "+w.tokens[scope])
	return w.send(t, asked)
}

// named is the first id of an operation's address; "" if there is none.
func (th things) named(t *testing.T, one operation) string {
	t.Helper()
	pattern, path := strings.Split(one.Path, "/"), strings.Split(th.fill(t, one.Path), "/")
	if at := slices.IndexFunc(pattern, aParameter.MatchString); at >= 0 {
		return anID.FindString(path[at])
	}
	return ""
}

// elsewhere gives the ids in an operation's request that its address does not name first: further ones, the query's and the body's.
func elsewhere(t *testing.T, one operation, all things) []string {
	t.Helper()
	made := all.fill(t, one.Path) + " " + request(t, one, all).URL.RawQuery
	if len(one.RequestBody) > 0 {
		made += " " + all.fill(t, bodies[one.OperationID])
	}
	first := all.named(t, one)
	return slices.DeleteFunc(anID.FindAllString(made, -1), func(id string) bool { return id == first })
}

// Where an address names a second thing it is the first one's, or there is no such thing.
func TestAScopeForOneResourceReachesNoPartOfAnother(t *testing.T) {
	w := newWorld(t)
	all := w.things(t)
	counted := 0
	for _, one := range w.document.operations {
		if len(aParameter.FindAllString(one.Path, -1)) < 2 {
			continue
		}
		counted++
		other := core.NewID().String()
		if strings.Contains(one.Path, "/accounts/") {
			other = w.must(t, 201, "POST", "/accounts", `{"app":"`+all.apps+`","username":"other","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)["id"].(string)
		}
		asked := request(t, one, all)
		asked.URL.Path = strings.Replace(asked.URL.Path, all.named(t, one), other, 1)
		if recorder, got := w.narrowly(t, asked, one.scope(), other); recorder.Code != 404 {
			t.Errorf("%s of another one: %d %v", one.OperationID, recorder.Code, got)
		}
	}
	if counted < 5 {
		t.Errorf("only %d operations name two things", counted)
	}
}

func TestAServiceAccountSharesOneAccountAlone(t *testing.T) {
	w := newWorld(t)
	app, mine, _ := w.account(t)
	other := w.must(t, 201, "POST", "/accounts", `{"app":"`+app+`","username":"other","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)["id"].(string)
	owners := `"owners":[{"user":"` + w.ana.ID.String() + `"},{"user":"` + w.ben.ID.String() + `"}]`
	made := w.must(t, 201, "POST", "/service-accounts", `{"name":"desk","scopes":["grants/`+mine+`:write"],`+owners+`}`)
	if scopes := made["scopes"].([]any); len(scopes) != 1 || scopes[0] != "grants/"+mine+":write" {
		t.Fatal(scopes)
	}
	w.tokens["desk"] = w.must(t, 201, "POST", "/service-accounts/"+made["id"].(string)+"/credentials", `{"name":"API","kind":"token","held":"postern"}`)["secret"].(string)
	defer delete(w.tokens, "desk")
	share := `{"user":"` + w.ben.ID.String() + `","role":"collaborator"}`
	var grant string
	for _, one := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/accounts/" + strings.ToUpper(mine) + "/grants", share, 201},
		{"PUT", "/accounts/" + mine + "/succession", `{"successors":[]}`, 200},
		{"POST", "/accounts/" + other + "/grants", share, 403},
		{"POST", "/accounts/" + mine + "/links", `{"owner":"` + w.ana.ID.String() + `","domains":["partner.example.org"]}`, 403},
		{"GET", "/accounts/" + mine + "/grants", "", 403},
		{"POST", "/posture/reassignments", `{"owners":[{"user":"` + w.ben.ID.String() + `"}],"accounts":["` + mine + `"]}`, 403},
		{"PUT", "/succession", `{"successors":[]}`, 403},
		{"DELETE", "/grants/GRANT", "", 403},
	} {
		status, got := w.ask(t, "desk", one.method, strings.Replace(one.path, "GRANT", grant, 1), one.body)
		if status != one.want || status == 403 && got["code"] != "missing_scope" {
			t.Errorf("%s %s: %d %v", one.method, one.path, status, got)
		}
		if status == 201 {
			grant = got["id"].(string)
		}
	}
}
