package console_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
	"postern/core/lifecycle"
	"postern/scim/resource"
)

// keep puts a request of acme's Okta into the journal.
func (w *world) keep(t testing.TB, entry journal.Entry) core.ID {
	t.Helper()
	entry.ID, entry.Received = core.NewID(), time.Now()
	if entry.Workspace.IsZero() {
		entry.Workspace, entry.Connection = w.acme.ID, w.okta.ID
	}
	if entry.Correlation.IsZero() {
		entry.Correlation = core.NewID()
	}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		journal.Queue(batch, entry)
		return tx.SendBatch(ctx, batch).Close()
	})
	return entry.ID
}

// depart has acme's Okta take many people away and returns the hold that opens.
func (w *world) depart(t testing.TB, count int) lifecycle.Hold {
	t.Helper()
	cause := core.NewCause(w.okta.Actor(), time.Now())
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.directory.ChangeConnection(ctx, tx, cause, w.acme.ID, w.okta.ID, func(c *directory.Connection) {
			c.Provisioning.GuardShare, c.Provisioning.GuardFloor = 1, 1
		})
		return err
	})
	var people []core.ID
	for i := range count {
		name := "leaver-" + string(rune('a'+i)) + "@acme.example"
		user, err := w.lifecycle.Provision(t.Context(), cause, directory.User{
			Workspace: w.acme.ID, Connection: w.okta.ID, UserName: name, DisplayName: "Leaver <i>" + name[7:8], Active: true, Role: directory.RoleUser,
		})
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, user.ID)
	}
	for i, one := range people {
		var err error
		if i == 2 {
			err = w.lifecycle.Remove(t.Context(), cause, w.acme.ID, one, nil)
		} else {
			_, err = w.lifecycle.Deprovision(t.Context(), cause, w.acme.ID, one)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	open, err := w.lifecycle.Holds(t.Context(), w.db, w.acme.ID, true)
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	return open[0]
}

// expect asks for a page and holds it against what it has to show and must not.
func (w *world) expect(t testing.TB, who, path string, status int, has, not []string) string {
	t.Helper()
	answer, body := w.ask(t, who, http.MethodGet, path, nil)
	if answer.StatusCode != status {
		t.Errorf("%s %s: %d, want %d", who, path, answer.StatusCode, status)
	}
	for _, text := range has {
		if !strings.Contains(body, text) {
			t.Errorf("%s %s lacks %q", who, path, text)
		}
	}
	for _, text := range append(not, " style=", " onclick=", "javascript:") {
		if strings.Contains(body, text) {
			t.Errorf("%s %s shows %q", who, path, text)
		}
	}
	return body
}

func TestConnectionsSayHowTheyGetIn(t *testing.T) {
	w := newWorld(t)
	var client directory.Client
	w.expect(t, "zoe", "/connections", 200, []string{"Okta", "cannot get in", "never", "20 % and 10 people within an hour", "30 days"}, []string{"Token endpoint"})
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		cause := core.NewCause(core.System, time.Now())
		if _, err = w.directory.CreateConnectionToken(ctx, tx, cause, w.acme.ID, w.okta.ID, new(time.Now().Add(48*time.Hour))); err != nil {
			return err
		}
		if _, err = w.directory.CreateConnectionToken(ctx, tx, cause, w.acme.ID, w.okta.ID, new(time.Now().Add(-time.Hour))); err != nil {
			return err
		}
		if client, _, err = w.directory.CreateConnectionClient(ctx, tx, cause, w.acme.ID, w.okta.ID, nil); err != nil {
			return err
		}
		_, err = w.directory.CreateConnection(ctx, tx, cause, w.acme.ID, directory.NewConnection{Name: "Lab", Kind: directory.Generic, Provisioning: directory.Provisioning{
			Profile: directory.ProfileStrict, GuardFloor: -1, JournalDays: 1,
			Assertion: directory.Assertion{Issuer: "https://login.example.com", Subject: "subject-1", Audience: "a"},
		}})
		return err
	})
	w.keep(t, journal.Entry{Method: "DELETE", Address: "/Users/" + w.people["eve"].ID.String(), Resource: w.people["eve"].ID, Status: 204})
	w.keep(t, journal.Entry{Method: "GET", Address: "/Users", Status: 200}) // no change
	w.expect(t, "zoe", "/connections", 200, []string{
		w.server.URL + "/scim/v2", w.server.URL + "/scim/oauth/token", client.ClientID, ">Soon<", ">Expired<", "deleted Eve Moreau", "4 active",
		"strict: the RFCs to the letter (set)", ">off<", "1 day<", "https://login.example.com, subject-1",
	}, []string{"Globex", "Entra"})
	for _, path := range []string{"/connections", "/connections/" + w.okta.ID.String()} {
		w.expect(t, "ana", path, 403, nil, []string{"scim/v2"})
	}
	w.expect(t, "gus", "/connections/"+w.okta.ID.String(), 404, nil, []string{"Okta"})
}

func TestRequestsAreToldInWords(t *testing.T) {
	w := newWorld(t)
	ana, eve := w.people["ana"].ID, w.people["eve"].ID
	var team directory.Team
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		team, err = w.directory.InsertTeam(ctx, tx, directory.Team{Workspace: w.acme.ID, Connection: w.okta.ID, DisplayName: "Press & Co"})
		return err
	})
	users, groups := "/Users/"+ana.String(), "/Groups/"+team.ID.String()
	for _, test := range []struct {
		entry journal.Entry
		want  string
	}{
		{journal.Entry{Method: "POST", Address: "/Users", Resource: ana, Status: 201, Body: new(`{"userName":"x"}`)}, "Created Ana Ito"},
		{journal.Entry{Method: "POST", Address: "/Users", Status: 409, Body: new(`{"userName":"new@acme.example"}`), Detail: "userName is taken"}, "Tried to create new@acme.example"},
		{journal.Entry{Method: "PUT", Address: users, Resource: ana, Status: 200, Body: new(`{"active":"False"}`)}, "Replaced Ana Ito as inactive"},
		{journal.Entry{Method: "PATCH", Address: users, Resource: ana, Status: 200, Body: new(`{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)}, "Deactivated Ana Ito"},
		{journal.Entry{Method: "PATCH", Address: users, Resource: ana, Status: 200, Body: new(`{"Operations":[{"op":"replace","value":{"active":true}}]}`)}, "Activated Ana Ito"},
		{journal.Entry{Method: "PATCH", Address: users, Resource: ana, Status: 400, Body: new(`{"Operations":[{"op":"replace","path":"active","value":[{"value":false}]}]}`)}, "Tried to deactivate Ana Ito"},
		{journal.Entry{Method: "PATCH", Address: users, Resource: ana, Status: 200, Body: new(`{"Operations":[{"op":"add","path":"title","value":"x"},{"op":"add","value":{"nickName":"y"}}]}`)}, "Changed Ana Ito: nickName, title"},
		{journal.Entry{Method: "PATCH", Address: groups, Resource: team.ID, Status: 204, Body: new(`{"Operations":[{"op":"Add","path":"members","value":[{"value":"1"},{"value":"2"}]}]}`)}, "Added 2 people to Press &amp; Co"},
		{journal.Entry{Method: "PATCH", Address: groups, Resource: team.ID, Status: 204, Body: new(`{"Operations":[{"op":"remove","path":"members[value eq \"1\"]"}]}`)}, "Removed 1 person from Press &amp; Co"},
		{journal.Entry{Method: "PATCH", Address: groups, Resource: team.ID, Status: 204, Body: new(`{"Operations":[{"op":"replace","path":"members","value":[]}]}`)}, "Replaced the members of Press &amp; Co"},
		{journal.Entry{Method: "DELETE", Address: "/Users/" + eve.String(), Resource: eve, Status: 204}, "Deleted Eve Moreau"},
		{journal.Entry{Method: "DELETE", Address: "/Groups/01a1fc46-4642-7ca5-96d1-3aed4ee8a688", Resource: core.NewID(), Status: 404}, "Tried to delete a team (…4ee8a688)"},
		{journal.Entry{Method: "POST", Address: "/Bulk", Status: 413}, "Tried to create a bulk request"},
		{journal.Entry{Method: "PATCH", Address: users, Resource: ana, Status: 400, Body: new(`{"Operations":`)}, "Tried to change Ana Ito"},
		{journal.Entry{Method: "GET", Address: "/Users", Status: 200, Query: "filter=userName+eq+ana"}, "Looked for a user"},
		{journal.Entry{Method: "HEAD", Address: groups + "/members", Resource: team.ID, Status: 200}, "Looked at Press &amp; Co"},
		{journal.Entry{Method: "POST", Address: "/Groups/.search", Status: 400, Query: "filter=displayName+eq"}, "Tried to look for a team"},
		{journal.Entry{Method: "POST", Address: "/.search", Status: 200}, "Looked for people and teams"},
	} {
		id := w.keep(t, test.entry)
		w.expect(t, "zoe", "/requests/"+id.String(), 200, []string{"<h1>" + test.want + "</h1>"}, []string{"<b>Okoye", canary})
	}
}

func TestRequestsOfAConnection(t *testing.T) {
	w := newWorld(t)
	correlation := w.events(t)
	rule := string(resource.AllRules[0])
	path := "/connections/" + w.okta.ID.String()
	w.expect(t, "zoe", path, 200, []string{"not asked for any change yet", "data-refresh"}, nil)
	for range 60 {
		w.keep(t, journal.Entry{Method: "POST", Address: "/Users", Resource: w.people["ana"].ID, Status: 201, Body: new(`{"userName":"<script>"}`)})
	}
	refused := w.keep(t, journal.Entry{Method: "POST", Address: "/Users", Status: 400, Detail: "userName is <missing>", Rules: []string{rule, "unheard_of"}, Body: new(`{}`)})
	done := w.keep(t, journal.Entry{Method: "DELETE", Address: "/Users/x", Status: 204, Correlation: correlation})
	w.keep(t, journal.Entry{Workspace: w.globex.ID, Connection: core.NewID(), Method: "POST", Address: "/Users", Status: 201, Body: new(`{"userName":"theirs"}`)})

	body := w.expect(t, "zoe", path, 200, []string{
		"Created", "Ana Ito", "&#34;userName&#34;: &#34;", "UserName is &lt;missing&gt;", `popovertarget="rule-` + rule + `"`, `id="rule-` + rule + `"`,
		`data-load="/requests/` + refused.String() + `"`, `data-refresh="3000"`,
	}, []string{"<script>\"", "theirs"})
	if got := strings.Count(body, "data-load="); got != 50 {
		t.Errorf("%d requests on a page", got)
	}
	older := regexp.MustCompile(`href="([^"]+)">Earlier<`).FindStringSubmatch(body)
	if older == nil {
		t.Fatal("there is no second page")
	}
	body = w.expect(t, "zoe", older[1], 200, nil, []string{"data-refresh=\"3000\"", refused.String()})
	if got := strings.Count(body, "data-load="); got != 12 {
		t.Errorf("%d requests on the second page", got)
	}
	for query, want := range map[string]int{"?refused=1": 1, "?rule=" + rule: 1, "?rule=unheard_of": 1, "?rule=nothing": 0, "?resource=" + w.people["ana"].ID.String() + "&refused=1": 0} {
		_, body := w.ask(t, "zoe", http.MethodGet, path+query, nil)
		if got := strings.Count(body, "data-load="); got != want {
			t.Errorf("%s: %d requests, want %d", query, got, want)
		}
	}
	w.expect(t, "zoe", path+"?after=nonsense", 400, nil, nil)

	w.expect(t, "zoe", "/requests/"+refused.String(), 200, []string{"unheard of", "It led to no event.", "Refused · 400"}, nil)
	w.expect(t, "zoe", "/requests/"+done.String(), 200, []string{"account.shared", "Done · 204"}, nil)
	read := w.keep(t, journal.Entry{Method: "GET", Address: "/Users", Status: 200, Query: "filter=userName+eq+%3Cana%3E", Detail: "7 readings like it before were not kept"})
	w.expect(t, "zoe", "/requests/"+read.String(), 200, []string{"filter: userName eq &lt;ana&gt;", "7 readings like it before were not kept.", "Done · 200"}, []string{"banner bad"})
	w.expect(t, "ana", "/requests/"+done.String(), 403, nil, []string{"account.shared"})
	w.expect(t, "gus", "/requests/"+done.String(), 404, nil, []string{"account.shared"})
}

// events has the log filled and returns the correlation of the wiki's sharing.
func (w *world) events(t testing.TB) core.ID {
	t.Helper()
	w.sequence(t)
	var correlation core.ID
	const shared = `select correlation from audit_log where type = 'account.shared' and workspace_id = $1`
	if err := w.db.QueryRow(t.Context(), shared, w.acme.ID).Scan(&correlation); err != nil {
		t.Fatal(err)
	}
	return correlation
}

func TestAHoldIsOnEveryPageUntilItIsDecided(t *testing.T) {
	w := newWorld(t)
	hold := w.depart(t, 5)
	page := "/holds/" + hold.ID.String()
	banner := []string{"5 people of Okta left, too many within an hour.", "1 was let go, 4 wait.", page}
	pages := []string{"/", "/activity", "/users", "/connections", "/connections/" + w.okta.ID.String(), "/accounts/" + w.wiki.ID.String()}
	for _, path := range pages {
		w.expect(t, "zoe", path, 200, banner, nil)
	}
	w.expect(t, "ana", "/", 200, nil, banner)
	w.expect(t, "gus", "/", 200, nil, banner)
	w.expect(t, "zoe", page, 200, []string{"5 people of Okta left", "1 was let go, 4 wait.", "Of 9 active, 1 % and 1 person may leave", "Leaver &lt;i&gt;b", "deactivated", "deleted", "decide=approve", "decide=reject", "Waits", "1 % and 1 person"}, []string{"method=\"post\" action=\"/holds", "Leaver &lt;i&gt;a"})
	w.expect(t, "zoe", page+"?decide=approve", 200, []string{"Take everything from 4 people?", page + "/approve"}, []string{page + "/reject"})
	w.expect(t, "zoe", page+"?decide=reject", 200, []string{"Call it a mistake?", page + "/reject", "1 person whom"}, []string{page + "/approve"})
	if err := w.lifecycle.Reactivate(t.Context(), core.NewCause(w.okta.Actor(), time.Now()), w.acme.ID, w.user(t, "leaver-d@acme.example")); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", page+"?decide=approve", 200, []string{"Take everything from 3 people?", "1 was let go, 1 waits no more, 3 wait."}, nil)
	for _, test := range []struct {
		who, path string
		headers   []string
		status    int
	}{
		{"ana", "/approve", nil, 403}, {"gus", "/approve", nil, 404}, {"", "/approve", nil, 401}, {"zoe", "/approve", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"zoe", "/reject", nil, 303}, {"zoe", "/approve", nil, 409},
	} {
		if answer, body := w.ask(t, test.who, http.MethodPost, page+test.path, url.Values{}, test.headers...); answer.StatusCode != test.status {
			t.Errorf("%s %s %v: %d %s", test.who, test.path, test.headers, answer.StatusCode, body)
		}
	}
	w.expect(t, "zoe", page, 200, []string{"<b>Rejected</b> by <b>Zoe Adler</b>", "Nothing is taken from anybody"}, []string{"decide=approve"})
	w.expect(t, "zoe", page+"?decide=approve", 200, nil, []string{page + "/approve"})
	for _, path := range pages {
		w.expect(t, "zoe", path, 200, nil, banner)
	}
	w.expect(t, "ana", page, 403, nil, []string{"Leaver"})
	w.expect(t, "gus", page, 404, nil, []string{"Leaver"})
}
