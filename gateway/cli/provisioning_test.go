package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/journal"
	"postern/core/lifecycle"
	"postern/core/rotation"
)

func TestConnectionProvisioning(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.do("connection", "create", "entra", "--workspace", "acme", "--name", "Entra ID", "--public-url", publicURL)
	update := func(more ...string) []string {
		return append([]string{"connection", "update", "Entra ID", "--workspace", "acme"}, more...)
	}
	settings := func() directory.Provisioning {
		t.Helper()
		all, err := d.people.Connections(t.Context(), d.db, acme)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].Provisioning
	}
	out := d.do(update("--profile", "strict", "--entitlements", "--guard-share", "5", "--guard-floor", "3", "--journal-days", "90",
		"--assertion-issuer", "https://login.example.com/t/v2.0", "--assertion-subject", "subject-1", "--assertion-audience", "api://postern")...)
	for _, says := range []string{"profile                    strict", "5 % and 3 people within an hour", "90 days", "entitlements               offered", "subject-1"} {
		if !strings.Contains(out, says) {
			t.Errorf("%q is not in\n%s", says, out)
		}
	}
	want := directory.Provisioning{
		Profile: directory.ProfileStrict, Entitlements: true, GuardShare: 5, GuardFloor: 3, JournalDays: 90,
		Assertion: directory.Assertion{Issuer: "https://login.example.com/t/v2.0", Subject: "subject-1", Audience: "api://postern"},
	}
	if got := settings(); got != want {
		t.Errorf("got %+v", got)
	}
	page := d.json("connection", "show", "Entra ID", "--workspace", "acme", "--public-url", publicURL)
	out = d.do("connection", "show", "Entra ID", "--workspace", "acme", "--public-url", publicURL)
	for _, says := range []string{
		"Client ID                  " + page["id"].(string), "Token URL                  " + publicURL + "/scim/oauth/token",
		"SCIM URL                   " + publicURL + "/scim/v2?aadOptscim062020",
	} {
		if !strings.Contains(out, says) {
			t.Errorf("%q is not in\n%s", says, out)
		}
	}
	d.do(update("--no-guard", "--no-entitlements", "--profile", "detected", "--assertion-issuer", "")...)
	if got := settings(); got != (directory.Provisioning{GuardShare: 5, GuardFloor: -1, JournalDays: 90}) {
		t.Errorf("got %+v", got)
	}
	if out := d.do(update("--guard")...); !strings.Contains(out, "5 % and 10 people") || !strings.Contains(out, "entra, by the kind") {
		t.Error(out)
	}
	for says, more := range map[string][]string{
		"--profile: a profile is": {"--profile", "ping"}, "--guard-share: 1 to 100": {"--guard-share", "101"}, "--guard-floor: 1 to": {"--guard-floor=0"},
		"--journal-days: 1 to": {"--journal-days", "0"}, "--assertion-issuer: a https": {"--assertion-issuer", "ftp://x"},
		"--assertion-subject: a value": {"--assertion-issuer", "https://x.example", "--assertion-audience", "a"},
	} {
		d.refused(2, says, update(more...)...)
	}

	made := d.json("connection", "client", "Entra ID", "--workspace", "acme", "--public-url", publicURL, "--days", "9")
	if made["token_endpoint"] != publicURL+"/scim/oauth/token" || made["client_id"] == "" || made["client_secret"] == "" || made["expires"] == nil {
		t.Fatalf("made %v", made)
	}
	secret := made["client_secret"].(string)
	if out := d.do("connection", "client", "list", "Entra ID", "--workspace", "acme"); !strings.Contains(out, made["client_id"].(string)) || strings.Contains(out, secret) {
		t.Error(out)
	}
	out = d.do("connection", "show", "Entra ID", "--workspace", "acme", "--public-url", publicURL)
	for _, says := range []string{publicURL + "/scim/v2?aadOptscim062020", publicURL + "/scim/oauth/token", "0, 0 active", "5 % and 10 people", "90 days", "TOKEN ", made["client_id"].(string)} {
		if !strings.Contains(out, says) {
			t.Errorf("%q is not in\n%s", says, out)
		}
	}
	if strings.Contains(out, secret) || strings.Contains(out, "pst_scim_") {
		t.Error("a secret is shown again")
	}
	d.do("connection", "client", "create", "Entra ID", "--workspace", "acme", "--public-url", publicURL)
	d.refused(5, "both slots hold a live client", "connection", "client", "create", "Entra ID", "--workspace", "acme", "--public-url", publicURL)
	d.do("connection", "client", "revoke", "Entra ID", made["client_id"].(string), "--workspace", "acme")
	d.refused(4, "there is no such client", "connection", "client", "revoke", "Entra ID", made["id"].(string), "--workspace", "acme")
}

func TestSCIMRequests(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	connection := id(t, d.json("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--public-url", publicURL)["id"])
	d.json("connection", "create", "okta", "--workspace", "other", "--name", "Okta", "--public-url", publicURL)
	ask := func(more ...string) []string {
		return append([]string{"scim", "requests", "--connection", "okta"}, more...)
	}
	if out := d.do(ask("--workspace", "acme")...); out != "no requests\n" {
		t.Error(out)
	}
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for i, one := range []journal.Entry{
			{Method: "POST", Address: "/Users", Status: 201, Received: time.Now().Add(-48 * time.Hour)},
			{Method: "PATCH", Address: "/Users/1", Status: 400, Detail: "Operations is empty", Rules: []string{"string_boolean"}, Received: time.Now()},
			{Method: "DELETE", Address: "/Users/1", Status: 204, Received: time.Now()},
			{Method: "GET", Address: "/Users", Query: "filter=userName+eq+ana", Status: 200, Received: time.Now(), Rules: []string{"bare_value"}},
		} {
			one.ID, one.Workspace, one.Connection, one.Correlation, one.Profile = core.NewID(), acme, connection, core.NewID(), fmt.Sprint("p", i)
			journal.Queue(batch, one)
		}
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(d.do(ask("--workspace", "acme")...), "\n")
	if len(lines) != 8 || !strings.HasSuffix(lines[6], " ?filter=userName eq ana") || !strings.Contains(lines[1], "POST    /Users    201") || !strings.Contains(lines[2], "400     string_boolean") || !strings.Contains(lines[3], "Operations is empty") {
		t.Errorf("%q", lines)
	}
	for want, more := range map[int][]string{1: {"--refused"}, 3: {"--since", "24h"}, 4: nil, 0: {"--rule", "op_case"}} {
		got := d.json(ask(append([]string{"--workspace", "acme"}, more...)...)...)["requests"].([]any)
		if len(got) != want {
			t.Errorf("%v: %d", more, len(got))
		}
	}
	if out := d.do(ask("--workspace", "other")...); out != "no requests\n" {
		t.Error(out)
	}
	var report struct{ Played int }
	code, out, told := run("scim", "replay", "--database", d.database, "--workspace", "acme", "--connection", "Okta", "--from", "96h", "--format", "json")
	if err := json.Unmarshal([]byte(out), &report); code != 0 || err != nil || report.Played != 1 || !strings.Contains(told, "replayed 3 of 3 requests") {
		t.Errorf("%d %v: %s\n%s", code, err, out, told)
	}
	d.refused(2, "--from: give a time", "scim", "replay", "--workspace", "acme", "--connection", "Okta", "--from", "yesterday")
	d.refused(2, "--limit: 1 to", ask("--workspace", "acme", "--limit", "0")...)
}

func TestHold(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	connection := id(t, d.json("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--public-url", publicURL)["id"])
	d.do("connection", "update", "Okta", "--workspace", "acme", "--guard-share", "1", "--guard-floor", "1")
	if out := d.do("hold", "list", "--workspace", "acme"); out != "no holds\n" {
		t.Error(out)
	}
	d.refused(4, "nothing waits for a decision", "hold", "approve", "--workspace", "acme")
	queue, err := jobs.NewQueue(d.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	people := &lifecycle.Lifecycle{DB: d.db, Directory: d.people, Accounts: &accounts.Accounts{DB: d.db, Directory: d.people}}
	people.Rotations = &rotation.Rotations{DB: d.db, Accounts: people.Accounts, Queue: queue}
	depart := func(names ...string) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		cause := core.NewCause(core.Actor{Kind: core.ActorConnection, ID: connection, Name: "Okta"}, time.Now())
		var all []directory.User
		for _, name := range names {
			all = append(all, d.person(acme, connection, name))
		}
		for _, one := range all {
			if _, err := people.Deprovision(ctx, cause, acme, one.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	depart("pat", "quinn", "ray")
	if out := d.do("hold", "list", "--workspace", "acme"); !strings.Contains(out, "waits") || !strings.Contains(out, "Okta") {
		t.Error(out)
	}
	out := d.do("hold", "show", "--workspace", "acme")
	if !strings.Contains(out, "3 people of Okta left, too many within an hour: 1 were let go, 2 held, 2 wait") || !strings.Contains(out, "ray ") || strings.Contains(out, "pat ") || !strings.Contains(out, "postern hold reject") {
		t.Error(out)
	}
	got := d.json("hold", "reject", "--workspace", "acme")
	if got["decision"] != "rejected" || !strings.HasPrefix(got["decided_by"].(string), "Postern's command line") {
		t.Errorf("decided %v", got)
	}
	d.refused(5, "decided already", "hold", "approve", got["id"].(string), "--workspace", "acme")
	if got := d.far("acme").rows("acme", "user", "deprovision", "ray")[0]; got["active"] != false || got["user_name"] != "ray" {
		t.Errorf("deprovisioned %v", got)
	}
	if got := d.far("acme").rows("acme", "user", "reactivate", "ray")[0]; got["active"] != true {
		t.Errorf("reactivated %v", got)
	}
	for _, list := range []string{"list", "teams"} {
		if got := d.far("acme").rows("acme", "proposal", list, "ray"); len(got) != 0 {
			t.Errorf("%s: who had nothing is offered %v", list, got)
		}
	}
	d.far("acme").rows("acme", "user", "deprovision", "ray")
	if got := d.json("hold", "show", got["id"].(string), "--workspace", "acme")["users"].([]any); got[0].(map[string]any)["state"] != "kept" || got[1].(map[string]any)["state"] != "done" {
		t.Errorf("after all %v", got)
	}
	depart("sam", "tia", "uma")
	if out := d.do("hold", "approve", "--workspace", "acme"); !strings.HasPrefix(out, "Approved: ") {
		t.Error(out)
	}
	if out := d.do("hold", "list", "--all", "--workspace", "acme"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "rejected by") || !strings.Contains(out, "approved by") {
		t.Error(out)
	}
}
