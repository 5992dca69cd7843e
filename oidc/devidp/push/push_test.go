package push_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

const token = "canary-scim-token"

// recorder is a SCIM server that remembers what it was sent and knows just enough to go on.
type recorder struct {
	t        *testing.T
	client   push.Client
	lock     sync.Mutex
	sent     []string // "METHOD path?query body"
	existing string   // the id that lookups find
	status   int      // when set: every answer
	echo     bool     // answer with the Authorization header
}

func record(t *testing.T, style push.Style) *recorder {
	r := &recorder{t: t}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.client = push.Client{Style: style, URL: server.URL + "/scim/v2", Token: seal.NewSecret(token)}
	return r
}

func (r *recorder) serve(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	if request.Header.Get("Authorization") != "Bearer "+token {
		r.t.Errorf("authorization: %q", request.Header.Get("Authorization"))
	}
	if len(body) > 0 && request.Header.Get("Content-Type") != "application/scim+json; charset=utf-8" {
		r.t.Errorf("content type: %q", request.Header.Get("Content-Type"))
	}
	path, _ := url.QueryUnescape(strings.TrimPrefix(request.URL.RequestURI(), "/scim/v2"))
	if strings.Contains(request.URL.RawQuery, "+") {
		r.t.Errorf("a filter with + for a blank: %s", request.URL.RawQuery)
	}
	r.lock.Lock()
	r.sent = append(r.sent, strings.TrimSpace(request.Method+" "+path+" "+string(body)))
	status, existing, echo := r.status, r.existing, r.echo
	r.lock.Unlock()
	w.Header().Set("Content-Type", "application/scim+json")
	switch {
	case status != 0:
		detail := "refused"
		if echo {
			detail = request.Header.Get("Authorization")
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":%q,"status":"%d"}`, detail, status)
	case request.Method == http.MethodGet && request.URL.Query().Get("filter") != "":
		if existing == "" {
			_, _ = io.WriteString(w, `{"totalResults":0,"Resources":[]}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"totalResults":1,"Resources":[{"id":%q}]}`, existing)
	case request.Method == http.MethodGet:
		_, _ = io.WriteString(w, `{"id":"u1","userName":"ana@acme.example","active":true,"title":"kept","groups":[{"value":"g"}]}`)
	case request.Method == http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"new"}`)
	case request.Method == http.MethodPut:
		_, _ = w.Write(body)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// want compares what was sent, JSON by meaning. Okta's random password only has to be there.
func (r *recorder) want(lines ...string) {
	r.t.Helper()
	r.lock.Lock()
	defer r.lock.Unlock()
	if len(r.sent) != len(lines) {
		r.t.Fatalf("sent %d requests, want %d:\n%s", len(r.sent), len(lines), strings.Join(r.sent, "\n"))
	}
	for i, line := range lines {
		if diff := cmp.Diff(parse(r.t, line), parse(r.t, r.sent[i])); diff != "" {
			r.t.Errorf("request %d (-want +sent):\n%s", i+1, diff)
		}
	}
	r.sent = nil
}

type request struct {
	Line string
	Body any
}

func parse(t *testing.T, line string) request {
	t.Helper()
	at := strings.Index(line, " {")
	if at < 0 {
		return request{Line: line}
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(line[at:]), &body); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if password, ok := body["password"].(string); ok && password != "" {
		body["password"] = "random"
	}
	return request{line[:at], body}
}

func ana() push.User {
	return push.User{
		ID: "00u1", UserName: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima", DisplayName: "Ana Lima", Email: "ana@acme.example",
	}
}

const (
	patchOp  = `"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]`
	oktaBody = `"userName":"ana@acme.example","externalId":"00u1","displayName":"Ana Lima","name":{"givenName":"Ana","familyName":"Lima"},
		"emails":[{"primary":true,"value":"ana@acme.example","type":"work"}],"active":true,"groups":[]`
)

func TestOktaUser(t *testing.T) {
	for _, style := range []push.Style{push.Okta, push.OktaWizard} {
		r := record(t, style)
		result, err := r.client.PushUser(t.Context(), ana())
		if err != nil || result.ID != "new" || len(result.Exchanges) != 2 {
			t.Fatalf("%+v %v", result, err)
		}
		r.want(`GET /Users?filter=userName eq "ana@acme.example"&startIndex=1&count=100`,
			`POST /Users {"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"locale":"en-US","password":"x",`+oktaBody+`}`)
		if shown := result.Exchanges[1].Request; !strings.Contains(shown, `"password":"[redacted]"`) {
			t.Errorf("the placeholder password is shown: %s", shown)
		}
		r.existing = "u1"
		if result, err = r.client.PushUser(t.Context(), ana()); err != nil || result.ID != "u1" {
			t.Fatalf("%+v %v", result, err)
		}
		r.want(`GET /Users?filter=userName eq "ana@acme.example"&startIndex=1&count=100`, `GET /Users/u1`,
			`PUT /Users/u1 {"id":"u1","title":"kept",`+oktaBody+`}`)
	}
}

func TestActivation(t *testing.T) {
	for _, test := range []struct {
		style   push.Style
		off, on []string
	}{
		{push.Okta,
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"replace","value":{"active":false}}]}`},
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"replace","value":{"active":true}}]}`}},
		{push.OktaWizard,
			[]string{`GET /Users/u1`, `PUT /Users/u1 {"id":"u1","userName":"ana@acme.example","title":"kept","groups":[],"active":false}`},
			[]string{`GET /Users/u1`, `PUT /Users/u1 {"id":"u1","userName":"ana@acme.example","title":"kept","groups":[],"active":true}`}},
		{push.Entra,
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"Replace","path":"active","value":"False"}]}`},
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"Replace","path":"active","value":"True"}]}`}},
		{push.EntraCompliant,
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"replace","path":"active","value":false}]}`},
			[]string{`PATCH /Users/u1 {` + patchOp + `,"Operations":[{"op":"replace","path":"active","value":true}]}`}},
	} {
		r := record(t, test.style)
		if _, err := r.client.Deactivate(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
		r.want(test.off...)
		if _, err := r.client.Reactivate(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
		r.want(test.on...)
		if _, err := r.client.Delete(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
		if test.style.IsEntra() {
			r.want(`DELETE /Users/u1`)
		} else {
			r.want(test.off...)
		}
	}
}

func TestEntraUser(t *testing.T) {
	r := record(t, push.Entra)
	if result, err := r.client.PushUser(t.Context(), ana()); err != nil || result.ID != "new" {
		t.Fatalf("%+v %v", result, err)
	}
	r.want(`GET /Users?filter=userName eq "ana@acme.example"`,
		`POST /Users {"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
			"externalId":"00u1","userName":"ana@acme.example","active":true,"displayName":"Ana Lima",
			"emails":[{"primary":true,"type":"work","value":"ana@acme.example"}],"meta":{"resourceType":"User"},
			"name":{"formatted":"Ana Lima","familyName":"Lima","givenName":"Ana"},"roles":[]}`)
	r.existing = "u1"
	r.client.MatchExternalID = true
	if _, err := r.client.PushUser(t.Context(), ana()); err != nil {
		t.Fatal(err)
	}
	r.want(`GET /Users?filter=externalId eq "00u1"`, `PATCH /Users/u1 {`+patchOp+`,"Operations":[
		{"op":"Replace","path":"active","value":"True"},
		{"op":"Replace","path":"displayName","value":"Ana Lima"},
		{"op":"Replace","path":"emails[type eq \"work\"].value","value":"ana@acme.example"},
		{"op":"Replace","path":"name.givenName","value":"Ana"},
		{"op":"Replace","path":"name.familyName","value":"Lima"},
		{"op":"Replace","path":"name.formatted","value":"Ana Lima"},
		{"op":"Replace","path":"externalId","value":"00u1"},
		{"op":"Replace","path":"userName","value":"ana@acme.example"}]}`)
	r.client.Style = push.EntraCompliant
	if _, err := r.client.PushUser(t.Context(), ana()); err != nil {
		t.Fatal(err)
	}
	r.want(`GET /Users?filter=externalId eq "00u1"`, `PATCH /Users/u1 {`+patchOp+`,"Operations":[
		{"op":"replace","path":"emails[type eq \"work\"].value","value":"ana@acme.example"},
		{"op":"replace","value":{"active":true,"displayName":"Ana Lima","name.givenName":"Ana","name.familyName":"Lima",
			"name.formatted":"Ana Lima","externalId":"00u1","userName":"ana@acme.example"}}]}`)
}

func TestTeam(t *testing.T) {
	team := push.Team{ID: "guid", DisplayName: `R&D "east"`}
	one, two := push.Member{ID: "u1", UserName: "ana"}, push.Member{ID: "u2", UserName: "ben"}
	members := []push.Member{one, two}
	oktaList := `[{"value":"u1","display":"ana"},{"value":"u2","display":"ben"}]`
	entraList := `[{"$ref":null,"value":"u1"},{"$ref":null,"value":"u2"}]`
	oktaGroup := `"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"R&D \"east\""`
	rename := func(id string) string {
		return `PATCH /Groups/` + id + ` {` + patchOp + `,"Operations":[{"op":"replace","value":{"id":"` + id + `","displayName":"R&D \"east\""}}]}`
	}
	filter := `filter=displayName eq "R&D \"east\""`
	tests := []struct {
		style                push.Style
		create, again, moved []string
	}{
		{push.Okta,
			[]string{`GET /Groups?` + filter, `POST /Groups {` + oktaGroup + `,"members":[]}`, rename("new"),
				`PATCH /Groups/new {` + patchOp + `,"Operations":[{"op":"replace","path":"members","value":` + oktaList + `}]}`},
			[]string{`GET /Groups?` + filter, rename("g1"),
				`PATCH /Groups/g1 {` + patchOp + `,"Operations":[{"op":"replace","path":"members","value":` + oktaList + `}]}`},
			[]string{rename("g1"), `PATCH /Groups/g1 {` + patchOp + `,"Operations":[
				{"op":"remove","path":"members[value eq \"u2\"]"},{"op":"add","path":"members","value":[{"value":"u1","display":"ana"}]}]}`}},
		{push.OktaWizard,
			[]string{`GET /Groups?` + filter, `POST /Groups {` + oktaGroup + `,"members":` + oktaList + `}`},
			[]string{`GET /Groups?` + filter, `PUT /Groups/g1 {"id":"g1",` + oktaGroup + `,"members":` + oktaList + `}`}, nil},
		{push.Entra,
			[]string{`GET /Groups?excludedAttributes=members&` + filter,
				`POST /Groups {"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
					"externalId":"guid","displayName":"R&D \"east\"","meta":{"resourceType":"Group"}}`,
				`PATCH /Groups/new {` + patchOp + `,"Operations":[{"op":"Add","path":"members","value":` + entraList + `}]}`},
			[]string{`GET /Groups?excludedAttributes=members&` + filter,
				`PATCH /Groups/g1 {` + patchOp + `,"Operations":[{"op":"Add","path":"members","value":` + entraList + `}]}`},
			[]string{`PATCH /Groups/g1 {` + patchOp + `,"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"u1"}]},
				{"op":"Remove","path":"members","value":[{"$ref":null,"value":"u2"}]}]}`}},
		{push.EntraCompliant, nil, nil,
			[]string{`PATCH /Groups/g1 {` + patchOp + `,"Operations":[{"op":"add","path":"members","value":[{"$ref":null,"value":"u1"}]},
				{"op":"remove","path":"members[value eq \"u2\"]"}]}`}},
	}
	for _, test := range tests {
		r := record(t, test.style)
		if test.create != nil {
			if result, err := r.client.PushTeam(t.Context(), team, members); err != nil || result.ID != "new" {
				t.Fatalf("%s: %+v %v", test.style, result, err)
			}
			r.want(test.create...)
			r.existing = "g1"
			if result, err := r.client.PushTeam(t.Context(), team, members); err != nil || result.ID != "g1" {
				t.Fatalf("%s: %+v %v", test.style, result, err)
			}
			r.want(test.again...)
		}
		if test.moved != nil {
			if _, err := r.client.ChangeMembers(t.Context(), "g1", team, []push.Member{one}, []push.Member{two}); err != nil {
				t.Fatal(err)
			}
			r.want(test.moved...)
		}
		if _, err := r.client.DeleteTeam(t.Context(), "g1"); err != nil {
			t.Fatal(err)
		}
		r.want(`DELETE /Groups/g1`)
	}
}

func TestRefusals(t *testing.T) {
	for status, kind := range map[int]core.Kind{
		400: core.KindInvalid, 401: core.KindUnauthenticated, 403: core.KindDenied, 404: core.KindNotFound, 409: core.KindConflict,
		412: core.KindStale, 413: core.KindTooLarge, 429: core.KindRateLimited, 500: core.KindUnavailable, 307: core.KindInvalid,
	} {
		r := record(t, push.Okta)
		r.status, r.echo = status, true
		result, err := r.client.Deactivate(t.Context(), "u1")
		if core.KindOf(err) != kind || len(result.Exchanges) != 1 || result.Exchanges[0].Status != status {
			t.Errorf("%d: %v %+v", status, err, result)
		}
		if shown := fmt.Sprintf("%+v %v", result, err); strings.Contains(shown, token) {
			t.Errorf("the token is shown: %s", shown)
		}
	}
	r := record(t, push.Entra)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if result, err := r.client.PushUser(ended, ana()); core.KindOf(err) != core.KindUnavailable || result.Exchanges[0].Failure == "" {
		t.Errorf("no answer: %v %+v", err, result)
	}
	if _, err := r.client.CheckConnection(t.Context()); err != nil {
		t.Error(err)
	}
}
