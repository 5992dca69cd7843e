package scim_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
)

// journal is what the workspace's journal holds, oldest first.
func (h house) journal(t testing.TB) []journal.Entry {
	t.Helper()
	entries, err := journal.List(context.Background(), h.DB, h.workspace, journal.Query{Limit: journal.MaxLimit})
	must(t, err)
	return entries
}

// written is the journal as lines: what was asked and what was answered.
func (h house) written(t testing.TB) []string {
	t.Helper()
	var lines []string
	for _, entry := range h.journal(t) {
		lines = append(lines, fmt.Sprintf("%s %s %d", entry.Method, entry.Address, entry.Status))
	}
	return lines
}

const patchOperations = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`

func TestEveryChangeIsInTheJournal(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	made := h.call(t, "POST", "/Users?attributes=id&access_token=canary", `{"userName":"ana", "active":true}`).want(t, 201)
	user := made.id(t)
	h.call(t, "GET", "/Users/"+user, "").want(t, 200)
	h.call(t, "HEAD", "/Users", "").want(t, 200)
	h.call(t, "PUT", "/Users/"+user, `{"userName":"ana","title":"Chief"}`).want(t, 200)
	h.call(t, "PATCH", "/Users/"+user+"/", patchOperations+`[{"op":"replace","path":"title","value":"Chief"}]}`).want(t, 200) // changes nothing
	group := h.call(t, "POST", "/Groups", `{"displayName":"Sales"}`).want(t, 201).id(t)
	h.call(t, "PATCH", "/Groups/"+group, patchOperations+`[{"op":"add","path":"members","value":[{"value":"`+user+`"}]}]}`).want(t, 204)
	h.call(t, "PATCH", "/Groups/"+group+"?attributes=displayName", patchOperations+`[{"op":"replace","path":"displayName","value":"Sale"}]}`).want(t, 200)
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"Sales"}`).want(t, 200)
	h.call(t, "DELETE", "/Groups/"+group, "").want(t, 204)
	h.call(t, "DELETE", "/Users/"+user, "").want(t, 204)

	want := []string{
		"POST /Users 201", "PUT /Users/" + user + " 200", "PATCH /Users/" + user + " 200", "POST /Groups 201", "PATCH /Groups/" + group + " 204",
		"PATCH /Groups/" + group + " 200", "PUT /Groups/" + group + " 200", "DELETE /Groups/" + group + " 204", "DELETE /Users/" + user + " 204",
	}
	if diff := cmp.Diff(want, h.written(t)); diff != "" {
		t.Error(diff)
	}
	first := h.journal(t)[0]
	if first.Connection != h.connection.ID || first.Resource.String() != user || first.Correlation.String() != made.header.Get("X-Correlation-Id") ||
		first.Profile != "okta" || first.Query != "attributes=id" || first.Received.IsZero() || first.Detail != "" || *first.Body != `{"userName":"ana", "active":true}` {
		t.Errorf("entry %+v", first)
	}
	if events := h.events(t, core.UserProvisioned); len(events) != 1 || events[0].Correlation != first.Correlation {
		t.Errorf("the entry leads to other events: %+v", events)
	}
	if got := w.other.journal(t); len(got) != 0 {
		t.Errorf("the other workspace's journal holds %+v", got)
	}
}

func TestRefusedChangesAreInTheJournal(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	nobody := core.NewID().String()
	for _, test := range []struct {
		method, path, body string
		status             int
		header             []string
	}{
		{"POST", "/Users", `{"userName":`, 400, nil},
		{"POST", "/Users", `{"displayName":"x"}`, 400, nil},
		{"POST", "/Users", `{"userName":"ANA"}`, 409, nil},
		{"POST", "/Users", `{"userName":"` + strings.Repeat("a", 1<<20) + `"}`, 413, nil},
		{"POST", "/Groups", `x`, 415, []string{"Content-Type", "text/plain"}},
		{"PUT", "/Users/" + nobody, `{"userName":"x"}`, 404, nil},
		{"PUT", "/Users/" + user, `{"userName":"x"}`, 412, []string{"If-Match", `"9"`}},
		{"DELETE", "/Users/" + nobody, "", 404, nil},
		{"DELETE", "/Groups/%00%ff", "", 404, nil},
		{"POST", "/Printers/" + strings.Repeat("x", 2000), `{}`, 404, nil},
	} {
		h.call(t, test.method, test.path, test.body, test.header...).want(t, test.status)
	}
	before := len(h.journal(t))
	for _, test := range []struct {
		method, path, body string
		status             int
		header             []string
	}{
		{"POST", "/Users", `{"userName":"x"}`, 401, []string{"Authorization", "Bearer wrong"}},
		{"POST", "/Users/" + user, `{}`, 405, nil},
		{"POST", "/Users/.search", `{"filter":"("}`, 400, nil},
		{"GET", "/Users?filter=(", "", 400, nil},
		{"GET", "/Users/" + nobody, "", 404, nil},
		{"POST", "/Users", `{"userName":"x"}`, 406, []string{"Accept", "text/html"}},
	} {
		h.call(t, test.method, test.path, test.body, test.header...).want(t, test.status)
	}
	entries := h.journal(t)
	if len(entries) != before {
		t.Errorf("%v", h.written(t))
	}
	want := []string{
		"POST /Users 201", "POST /Users 400", "POST /Users 400", "POST /Users 409", "POST /Users 413", "POST /Groups 415", "PUT /Users/" + nobody + " 404",
		"PUT /Users/" + user + " 412", "DELETE /Users/" + nobody + " 404", "DELETE /Groups/?? 404", "POST /Printers/" + strings.Repeat("x", 490) + " 404",
	}
	if diff := cmp.Diff(want, h.written(t)); diff != "" {
		t.Error(diff)
	}
	for i, entry := range entries[1:] {
		if entry.Detail == "" || (entry.Body != nil) != slices.Contains([]int{1, 2, 5, 6}, i) {
			t.Errorf("entry %d is %+v", i, entry)
		}
	}
	if entries[3].Resource.String() != user {
		t.Errorf("what a second create met is %s, want %s", entries[3].Resource, user)
	}
}

// The entry and the effect are one transaction: what cannot be written down does not happen.
func TestNoEffectWithoutItsEntry(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	group := h.team(t, "Sales", user)
	before, entries := h.stored(t), len(h.journal(t))
	_, err := h.DB.Exec(t.Context(), `
		create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
		create trigger refuse before insert on provisioning_requests for each row execute function refuse()`)
	must(t, err)
	for _, request := range []string{
		`POST /Users {"userName":"eve"}`, `PUT /Users/` + user + ` {"userName":"eve"}`, `PATCH /Users/` + user + ` {"Operations":[{"op":"replace","path":"active","value":false}]}`,
		`DELETE /Users/` + user + ` `, `POST /Groups {"displayName":"New"}`, `PATCH /Groups/` + group + ` {"Operations":[{"op":"remove","path":"members"}]}`,
		`DELETE /Groups/` + group + ` `,
	} {
		part := strings.SplitN(request, " ", 3)
		h.call(t, part[0], part[1], part[2]).wantError(t, 500, "")
	}
	_, err = h.DB.Exec(t.Context(), `drop trigger refuse on provisioning_requests`)
	must(t, err)
	if after := h.stored(t); after != before || len(h.journal(t)) != entries {
		t.Errorf("something happened: %s", after)
	}
	if got := h.members(t, group); !got[user] {
		t.Error("the member is gone")
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	h := open(t, directory.Okta).acme
	const canary = "canary-Zk3"
	user := h.call(t, "POST", "/Users", `{"userName":"ana","password":"`+canary+`","urn:x:y:User":{"apiToken":{"deep":["`+canary+`"]},"kept":1},"Client_SECRET":"`+canary+`","notes":"kept"}`).want(t, 201).id(t)
	for _, operations := range []string{
		`[{"op":"replace","value":{"password":"C"}}]`,
		`[{"op":"replace","path":"password","value":"C"}]`,
		`[{"op":"Add","path":"urn:ietf:params:scim:schemas:core:2.0:User:PassWord","value":"C"}]`,
		`[{"op":"replace","path":"notes","value":"{\"password\":\"C\"}"}]`,
		`[{"op":"replace","path":"notes","value":"[{\"p\\u0061ssword\":\"C\"}]"}]`,
		`[{"op":"replace","path":"notes","value":"{password:C"}]`,
		`[{"op":"replace","path":"custom[token eq \"C\"].x","value":"y"}]`,
		`[{"op":"add","path":"extra","value":[{"name":"password","value":"C"}]}]`,
		`[{"op":"add","value":{"p\u0061ssword":"C"}}]`,
		`[{"op":"replace","path":"active","value":"no"},{"op":"replace","path":"password","value":["C"]}]`,
	} {
		h.call(t, "PATCH", "/Users/"+user, patchOperations+strings.ReplaceAll(operations, "C", canary)+`}`)
	}
	h.call(t, "POST", "/Bulk", `{"Operations":[{"method":"POST","bulkId":"a","path":"/Users","data":{"userName":"eve","password":"`+canary+`"}},{"password":"`+canary+`"}]}`)
	h.call(t, "POST", "/Bulk", `{"Operations":"`+canary+`","password":"`+canary+`"}`)
	var redactions int
	for _, entry := range h.journal(t) {
		if entry.Body == nil {
			continue
		}
		if strings.Contains(*entry.Body, canary) && !strings.Contains(*entry.Body, `"Operations":"canary`) {
			t.Errorf("kept: %s", *entry.Body)
		}
		redactions += strings.Count(*entry.Body, "[redacted]")
	}
	if redactions < 14 {
		t.Errorf("%d redactions", redactions)
	}
	first := h.journal(t)[0]
	if want := `{"userName":"ana","password":"[redacted]","urn:x:y:User":{"apiToken":"[redacted]","kept":1},"Client_SECRET":"[redacted]","notes":"kept"}`; *first.Body != want {
		t.Errorf("the body is %s", *first.Body)
	}
	h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"emails[value eq \"token@example.com\"].type","value":"work"},{"op":"replace","path":"title","value":"secretary {"}]}`)
	if entries := h.journal(t); strings.Contains(*entries[len(entries)-1].Body, "redacted") {
		t.Errorf("what is no secret was redacted: %s", *entries[len(entries)-1].Body)
	}
}

func TestRulesThatFiredAreNamed(t *testing.T) {
	h := open(t, directory.Entra).acme
	user := h.join(t, "ana")
	answered := h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"Replace","path":"active","value":"False"}]}`).want(t, 200)
	entries := h.journal(t)
	rules := entries[len(entries)-1].Rules
	if len(rules) < 2 || answered.header.Get("Postern-Rules") != strings.Join(rules, ", ") {
		t.Errorf("the header names %q, the journal %v", answered.header.Get("Postern-Rules"), rules)
	}
	_, _ = h.bulk(t, `[{"method":"PATCH","path":"/Users/`+user+`","data":`+patchOperations+`[{"op":"replace","path":"active","value":true}]}}]`)
	if entries = h.journal(t); len(entries[len(entries)-1].Rules) != 0 {
		t.Errorf("an operation has the rules of others: %v", entries[len(entries)-1].Rules)
	}
}

// A reading is kept when a rule was needed for it, and then only: with what it asked for, without secrets.
func TestReadingsThatNeededARuleAreInTheJournal(t *testing.T) {
	w := open(t, directory.Entra)
	h := w.acme
	user := h.join(t, "ana")
	before := len(h.journal(t))
	for _, path := range []string{
		"/Users/" + user, "/Users" + query(`userName eq "ana"`), "/Users" + query(`userName eq "ana" and active eq true`), "/Groups", "/Users" + query(`nonsense`),
		"/Users/" + core.NewID().String(),
	} {
		h.call(t, "GET", path, "")
	}
	search := func(filter string) string {
		return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"` + filter + `","count":7}`
	}
	h.call(t, "POST", "/Users/.search", search(`userName eq \"ana\"`)).want(t, 200)
	if kept := h.journal(t)[before:]; len(kept) != 0 {
		t.Fatalf("readings without a rule are kept: %+v", kept)
	}
	first := h.call(t, "GET", "/Users"+query(`userName eq ana`)+"&access_token=canary&startIndex=1", "").want(t, 200)
	h.call(t, "HEAD", "/Groups"+query(`displayName eq sales`), "").want(t, 200)
	h.call(t, "POST", "/Users/.search", search(`externalId eq 1-2-3`)).want(t, 200)
	h.call(t, "POST", "/Users/.search", search(`userName eq ana and apiToken eq canary`)).want(t, 200)
	h.call(t, "GET", "/Users"+query(`active gt true and userName eq ana`), "").wantError(t, 400, "invalidFilter")
	var got []string
	entries := h.journal(t)[before:]
	for _, entry := range entries {
		got = append(got, fmt.Sprintf("%s %s?%s %d", entry.Method, entry.Address, entry.Query, entry.Status))
		if !slices.Equal(entry.Rules, []string{"bare_value"}) || entry.Body != nil || !entry.Resource.IsZero() || entry.Profile != "entra" {
			t.Errorf("kept %+v", entry)
		}
	}
	want := []string{
		"GET /Users?filter=userName+eq+ana&startIndex=1 200", "HEAD /Groups?filter=displayName+eq+sales 200",
		"POST /Users/.search?count=7&filter=externalId+eq+1-2-3 200", "POST /Users/.search?count=7&filter=%5Bredacted%5D 200",
		"GET /Users?filter=active+gt+true+and+userName+eq+ana 400",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if entries[0].Correlation.String() != first.header.Get("X-Correlation-Id") || entries[4].Detail == "" {
		t.Errorf("kept %+v and %+v", entries[0], entries[4])
	}
	if changes, err := journal.List(t.Context(), h.DB, h.workspace, journal.Query{Changes: true}); err != nil || len(changes) != before {
		t.Errorf("%d of them are changes, want %d: %v", len(changes), before, err)
	}
	if got := w.other.journal(t); len(got) != 0 {
		t.Errorf("the other workspace's journal holds %+v", got)
	}
}
