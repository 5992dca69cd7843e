package scim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

func TestPages(t *testing.T) {
	h := open(t, directory.Okta).acme
	var all []string
	for i := range 11 {
		all = append(all, h.join(t, fmt.Sprint("user", i)))
	}
	for _, test := range []struct {
		parameters             string
		start, items, from, to int
	}{
		{"", 1, 11, 0, 11}, {"?count=5", 1, 5, 0, 5}, {"?startIndex=6&count=5", 6, 5, 5, 10}, {"?startIndex=11&count=5", 11, 1, 10, 11},
		{"?startIndex=12&count=5", 12, 0, 11, 11}, {"?startIndex=0&count=1", 1, 1, 0, 1}, {"?startIndex=-7&count=-1", 1, 0, 0, 0}, {"?count=0", 1, 0, 0, 0},
		{"?count=100000", 1, 11, 0, 11}, {"?startIndex=2000000000&count=1", 2_000_000_000, 0, 11, 11}, {"?filter=active+eq+true&startIndex=3&count=2", 3, 2, 2, 4},
		{"?sortBy=userName&unknown=1&count=1", 1, 1, 0, 1},
	} {
		got := h.call(t, "GET", "/Users"+test.parameters, "").want(t, 200)
		got.is(t, 11.0, "totalResults")
		got.is(t, float64(test.start), "startIndex")
		got.is(t, float64(test.items), "itemsPerPage")
		ids := []string{}
		for _, one := range got.at(t, "Resources").([]any) {
			ids = append(ids, one.(map[string]any)["id"].(string))
		}
		if diff := cmp.Diff(append([]string{}, all[test.from:test.to]...), ids); diff != "" {
			t.Errorf("%s: %s", test.parameters, diff)
		}
	}
	for i := range 3 {
		h.team(t, fmt.Sprint("team", i))
	}
	h.call(t, "GET", "/Groups?startIndex=2&count=1", "").want(t, 200).is(t, "team1", "Resources", 0, "displayName")
	h.call(t, "GET", "/Groups?count=0", "").want(t, 200).is(t, 3.0, "totalResults")
}

func TestProjectionOfAnswers(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.call(t, "POST", "/Users?attributes=userName", file(t, "okta/create-user.json")).want(t, 201)
	if diff := cmp.Diff(map[string]any{"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:User"}, "id": user.id(t), "userName": "test.user@okta.local"}, user.body); diff != "" {
		t.Error(diff)
	}
	group := h.team(t, "Sales", user.id(t))
	whole := h.call(t, "GET", "/Users/"+user.id(t), "").want(t, 200)
	whole.is(t, nil, "groups")
	h.call(t, "GET", "/Users?attributes=groups.display", "").want(t, 200).is(t, "Sales", "Resources", 0, "groups", 0, "display")
	excluded := h.call(t, "GET", "/Users/"+user.id(t)+"?excludedAttributes=emails,name.givenName", "").want(t, 200)
	excluded.is(t, nil, "emails")
	excluded.is(t, nil, "name", "givenName")
	excluded.is(t, "User", "name", "familyName")
	h.call(t, "GET", "/Groups/"+group+"?attributes=displayName", "").want(t, 200).is(t, nil, "members")
}

func TestUnknownAttributesAreKept(t *testing.T) {
	h := open(t, directory.Okta).acme
	made := h.call(t, "POST", "/Users", `{"userName":"ana","shoeSize":44.50,"pets":[{"kind":"cat","lives":9}],"urn:x:y:User":{"a":{"b":[1,null,"c"]}},"nothing":null,"Ключ":"значение"}`).want(t, 201)
	read := h.call(t, "GET", "/Users/"+made.id(t), "").want(t, 200)
	if diff := cmp.Diff(made.body, read.body); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(read.text, `"shoeSize":44.50`) || !strings.Contains(read.text, `"Ключ":"значение"`) {
		t.Errorf("read %s", read.text)
	}
	read.is(t, "urn:x:y:User", "schemas", 1)
	group := h.call(t, "POST", "/Groups", `{"displayName":"Sales","colour":"blue"}`).want(t, 201)
	h.call(t, "PATCH", "/Groups/"+group.id(t)+"?attributes=colour", `{"Operations":[{"op":"replace","path":"colour","value":"red"}]}`).want(t, 200).is(t, "red", "colour")
}

func TestVersions(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	read := h.call(t, "GET", "/Users/"+user, "")
	read.is(t, read.header.Get("ETag"), "meta", "version")
	if got := h.call(t, "GET", "/Users/"+user, "", "If-None-Match", read.header.Get("ETag")).want(t, 304); got.text != "" {
		t.Error("304 with a body")
	}
	h.call(t, "GET", "/Users/"+user, "", "If-None-Match", `W/"9", "8"`).want(t, 200)
	const patch = `{"Operations":[{"op":"replace","path":"title","value":"T"}]}`
	h.call(t, "PATCH", "/Users/"+user, patch, "If-Match", read.header.Get("ETag")).want(t, 200).is(t, `W/"2"`, "meta", "version")
	h.call(t, "PATCH", "/Users/"+user, patch, "If-Match", read.header.Get("ETag")).wantError(t, 412, "")
	h.call(t, "PATCH", "/Users/"+user, patch, "If-Match", "*").want(t, 200).is(t, `W/"2"`, "meta", "version") // no change, no version
	h.call(t, "DELETE", "/Users/"+user, "", "If-Match", `W/"1"`).wantError(t, 412, "")
	h.call(t, "DELETE", "/Users/"+user, "", "If-Match", `W/"2"`).want(t, 204)
	group := h.team(t, "Sales")
	if got := h.call(t, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"replace","path":"displayName","value":"New"}]}`).want(t, 204).header.Get("ETag"); got != `W/"2"` {
		t.Errorf("ETag is %s", got)
	}
	h.call(t, "GET", "/Groups/"+group, "", "If-None-Match", `W/"2"`).want(t, 304)
}

func TestHead(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	server := httptest.NewServer(h.engine)
	defer server.Close()
	for path, status := range map[string]int{"/Users/" + user: 200, "/Users": 200, "/Users/" + core.NewID().String(): 404, "/ServiceProviderConfig": 200, "/Me": 501} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/scim/v2"+path, nil)
		must(t, err)
		request.Header.Set("Authorization", "Bearer "+h.token)
		answered, err := server.Client().Do(request)
		must(t, err)
		answered.Body.Close()
		if answered.StatusCode != status || answered.ContentLength <= 0 || answered.Header.Get("Content-Type") != "application/scim+json" {
			t.Errorf("%s: %d, %d bytes, %v", path, answered.StatusCode, answered.ContentLength, answered.Header)
		}
	}
}

// A person who is deprovisioned is out when the answer is there.
func TestDeactivationEndsSessions(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, h house, user string){
		"PATCH": func(t *testing.T, h house, user string) {
			h.call(t, "PATCH", "/Users/"+user, file(t, "okta/patch-deactivate.json")).want(t, 200)
		},
		"PUT": func(t *testing.T, h house, user string) {
			h.call(t, "PUT", "/Users/"+user, `{"userName":"ana","active":false}`).want(t, 200)
		},
		"DELETE": func(t *testing.T, h house, user string) { h.call(t, "DELETE", "/Users/"+user, "").want(t, 204) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, directory.Okta).acme
			user := h.join(t, "ana")
			id, err := core.ParseID(user)
			must(t, err)
			cause := core.NewCause(h.connection.Actor(), time.Now())
			must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				_, _, err := h.Directory.StartSession(t.Context(), tx, cause, directory.NewSession{
					Workspace: h.workspace, User: id, Connection: h.connection.ID, Authenticated: time.Now(),
				})
				return err
			}))
			send(t, h, user)
			live, err := h.Directory.Sessions(t.Context(), h.DB, h.workspace, id)
			must(t, err)
			if len(live) != 0 {
				t.Errorf("%d sessions are live", len(live))
			}
			events := h.events(t, core.UserDeprovisioned)
			if len(events) != 1 || events[0].Actor.Kind != core.ActorConnection || events[0].Origin.UserAgent == "" {
				t.Fatalf("events %+v", events)
			}
		})
	}
}
