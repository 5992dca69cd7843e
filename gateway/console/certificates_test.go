package console_test

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/services"
)

func TestALeaversCertificateIsShownAndDownloaded(t *testing.T) {
	w := newWorld(t)
	ben := w.people["ben"]
	page := "/users/" + ben.ID.String()
	if _, _, err := w.accounts.Fill(t.Context(), core.NewCause(ben.Actor(), time.Now()), w.acme.ID, ben.ID, w.wiki.ID); err != nil {
		t.Fatal(err)
	}
	if answer, body := w.ask(t, "zoe", http.MethodPost, page+"/deprovision", url.Values{}); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, body)
	}
	found, err := w.certificates.List(t.Context(), w.db, w.acme.ID, certificates.Query{User: ben.ID})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	address := "/certificates/" + found[0].ID.String()
	w.expect(t, "zoe", page, 200, []string{"Revocation certificates", address, ">Under way<"}, []string{"Give anew"})
	w.expect(t, "zoe", "/certificates", 200, []string{address}, nil)
	w.expect(t, "zoe", "/certificates?state=complete", 200, []string{"There is none that is complete"}, []string{address})
	w.expect(t, "zoe", "/certificates?state=else", 400, nil, []string{address})
	w.expect(t, "zoe", address, 200, []string{"<svg", "0 of 1", "filled, 1 time", "The rotation is under way.", "Nothing yet"}, []string{"Download", "<b>Okoye", "style="})
	w.expect(t, "zoe", address+"/download", 404, nil, nil)
	for _, path := range []string{"/certificates", address, address + "/download"} {
		w.expect(t, "ana", path, 403, nil, []string{"Okoye"})
	}
	w.expect(t, "gus", "/certificates", 200, nil, []string{"Okoye", address})
	for _, path := range []string{address, address + "/download"} {
		w.expect(t, "gus", path, 404, nil, []string{"Okoye"})
	}
	if _, err := w.db.Exec(t.Context(), `update certificates set deadline = departed, due = departed where workspace_id = $1`, w.acme.ID); err != nil {
		t.Fatal(err)
	}
	if issued, err := w.certificates.IssueDue(t.Context()); err != nil || issued != 1 {
		t.Fatal(issued, err)
	}
	w.expect(t, "zoe", address, 200, []string{">Incomplete<", "Download", "postern certificate verify"}, []string{"Nothing yet"})
	// Accounts that were theirs alone, and that the app lets in no more, as far as that is proved.
	if _, err := w.db.Exec(t.Context(), `update certificates set taken = jsonb_set(taken::jsonb, '{orphaned}', jsonb_build_array(jsonb_build_object('account', $2::text, 'name', 'Wiki')))::json
		where workspace_id = $1`, w.acme.ID, w.wiki.ID); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", address, 200, nil, []string{"to be disabled in the app"})
	if _, err := w.db.Exec(t.Context(), `insert into switches (id, workspace_id, account_id, enabled, cause, state, detail, outcome, applied, recorded, proven, created, updated, finished)
		values ($3, $1, $2, false, '{"received": "2026-11-20T09:00:00Z"}', 'done', 'It <b>says</b> so.', 'rejected', now(), now(), now(), now(), now(), now())`, w.acme.ID, w.wiki.ID, core.NewID()); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", address, 200, []string{"to be disabled in the app", "own record says so", "a sign-in refused"}, []string{"<b>says"})
	if _, err := w.db.Exec(t.Context(), `update switches set recorded = null where workspace_id = $1`, w.acme.ID); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", address, 200, []string{"a sign-in refused", "It &lt;b&gt;says", "Look in the app whether"}, []string{"own record says so", "<b>says"})
	answer, body := w.ask(t, "zoe", http.MethodGet, address+"/download?number=1", nil)
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/json" || !strings.Contains(answer.Header.Get("Content-Disposition"), "attachment") {
		t.Fatal(answer.StatusCode, answer.Header)
	}
	document, err := certificates.Read([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if said, _, err := document.Verify(document.Keys.Keys); err != nil || said.Person.ID != ben.ID {
		t.Fatal(said, err)
	}
}

// Whoever was shown a service account's token is named beside it; once they have left it is on their certificate, and a finding.
func TestALeaversServiceAccountsAreShown(t *testing.T) {
	w := newWorld(t)
	coretest.Run(t, (&audit.Sequencer{DB: w.db}).Run)
	ana, ben := w.people["ana"], w.people["ben"]
	made, err := w.console.Services.Create(t.Context(), core.NewCause(w.people["zoe"].Actor(), time.Now()), w.acme.ID,
		services.Settings{Name: "ci", Risk: 1, Sensitivity: 1}, []accounts.Subject{{User: ana.ID}, {User: ben.ID}})
	if err != nil {
		t.Fatal(err)
	}
	at := "/services/" + made.ID.String()
	if answer, text := w.ask(t, "ben", http.MethodPost, at+"/credentials", url.Values{"name": {"API"}, "kind": {"token postern"}}); answer.StatusCode != 200 {
		t.Fatal(answer.StatusCode, text)
	}
	known := "<td>" + template.HTMLEscapeString(ben.Name()) + "</td>"
	w.expect(t, "ana", at, 200, []string{"Known by", known}, []string{"Known by somebody who left"})
	if answer, body := w.ask(t, "zoe", http.MethodPost, "/users/"+ben.ID.String()+"/deprovision", url.Values{}); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, body)
	}
	coretest.Until(t, "the finding", func() bool {
		_, err := w.console.Services.Follow(t.Context())
		found, listed := w.console.Services.Findings(t.Context(), w.db, w.acme.ID, services.FindingQuery{Kind: services.KnownByLeaver})
		if err != nil || listed != nil {
			t.Fatal(err, listed)
		}
		return len(found) == 1
	})
	w.expect(t, "ana", at, 200, []string{"Known by somebody who left", "has left and knows its token"}, nil)
	w.expect(t, "zoe", "/security/findings?kind=service_known", 200, []string{`href="` + at + `"`, "has left and knows its token"}, nil)
	found, err := w.certificates.List(t.Context(), w.db, w.acme.ID, certificates.Query{User: ben.ID})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	w.expect(t, "zoe", "/certificates/"+found[0].ID.String(), 200,
		[]string{"Other secrets they knew", `<a href="` + at + `">ci</a>`, "token “API”, version 1", "Rotate it, have the new one used"}, nil)
}

func TestWhatSomebodyHadIsProposed(t *testing.T) {
	w := newWorld(t)
	ben := w.people["ben"]
	page, system := "/users/"+ben.ID.String(), core.NewCause(core.System, time.Now())
	if _, err := w.lifecycle.Deprovision(t.Context(), system, w.acme.ID, ben.ID); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", page, 200, []string{"Are they back?", page + "/reactivate"}, []string{"What they had before they left"})
	for who, status := range map[string]int{"ana": 403, "zoe": 303} {
		if answer, body := w.ask(t, who, http.MethodPost, page+"/reactivate", url.Values{}); answer.StatusCode != status {
			t.Fatalf("%s: %d %s", who, answer.StatusCode, body)
		}
	}
	w.expect(t, "zoe", page, 200, nil, []string{"Are they back?"})
	w.expect(t, "zoe", page, 200, []string{"What they had before they left", "Give anew"}, nil)
	found, err := w.accounts.Proposals(t.Context(), w.db, w.acme.ID, ben.ID)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	decide := page + "/proposals/" + found[0].Grant.String()
	for _, test := range []struct {
		who, do string
		headers []string
		status  int
	}{
		{"ana", "accept", nil, 403}, {"zoe", "accept", []string{"Sec-Fetch-Site", "cross-site"}, 403}, {"zoe", "both", nil, 400},
		{"zoe", "accept", nil, 303}, {"zoe", "accept", nil, 404},
	} {
		if answer, body := w.ask(t, test.who, http.MethodPost, decide, url.Values{"do": {test.do}}, test.headers...); answer.StatusCode != test.status {
			t.Errorf("%s %s: %d %s", test.who, test.do, answer.StatusCode, body)
		}
	}
	if role, err := w.accounts.MayUse(t.Context(), w.db, w.acme.ID, ben.ID, w.wiki.ID); err != nil || role != "collaborator" {
		t.Fatal(role, err)
	}
	team, err := w.lifecycle.CreateTeam(t.Context(), system, directory.Team{Workspace: w.acme.ID, DisplayName: "Night shift"}, []core.ID{ben.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec(t.Context(), `update team_members set suspended = now() where workspace_id = $1 and team_id = $2`, w.acme.ID, team.ID); err != nil {
		t.Fatal(err)
	}
	again := page + "/teams/" + team.ID.String()
	for _, how := range []string{"/decline", "/accept"} {
		w.expect(t, "zoe", page, 200, []string{"Teams that give them nothing", again + how}, nil)
		for _, one := range []struct {
			who    string
			status int
		}{{"ana", 403}, {"zoe", 303}, {"zoe", 404}} {
			if answer, body := w.ask(t, one.who, http.MethodPost, again+how, url.Values{}); answer.StatusCode != one.status {
				t.Errorf("%s%s: %d %s", one.who, how, answer.StatusCode, body)
			}
		}
		w.expect(t, "zoe", page, 200, nil, []string{"Teams that give them nothing"})
		if _, err := w.db.Exec(t.Context(), `update team_members set suspended = now() + interval '1 second' where workspace_id = $1 and team_id = $2`, w.acme.ID, team.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSuccessionIsSet(t *testing.T) {
	w := newWorld(t)
	of := "/accounts/" + w.wiki.ID.String() + "/succession"
	w.expect(t, "ana", of, 200, []string{"Who owns this account"}, nil)
	w.expect(t, "ben", of, 403, nil, []string{"textarea"})
	w.expect(t, "gus", of, 404, nil, []string{"textarea"})
	w.expect(t, "ana", "/settings/succession", 403, nil, []string{"textarea"})
	set := func(who, path, list string, status int) {
		t.Helper()
		if answer, body := w.ask(t, who, http.MethodPost, path, url.Values{"successors": {list}}); answer.StatusCode != status {
			t.Errorf("%s: %d %s", who, answer.StatusCode, body)
		}
	}
	set("ana", of, "@manager\r\n\r\n "+w.people["ben"].UserName+" \r\n", 303)
	w.expect(t, "ana", of, 200, []string{"@manager\n" + w.people["ben"].UserName + "</textarea>"}, nil)
	set("ana", of, "nobody of this name", 400)
	set("ben", of, "", 403)
	set("zoe", "/settings/succession", "@manager", 303)
	w.expect(t, "zoe", "/settings/succession", 200, []string{"@manager</textarea>"}, nil)
}
