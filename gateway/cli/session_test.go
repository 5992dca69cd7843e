package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// signsIn begins a session of somebody's.
func (d *desk) signsIn(user directory.User) directory.Session {
	d.t.Helper()
	var made directory.Session
	cause := core.NewCause(user.Actor(), time.Now())
	cause.Origin = core.Origin{Address: "192.0.2.7", UserAgent: "Firefox/1"}
	if err := d.db.Tx(d.t.Context(), func(tx pgx.Tx) (err error) {
		made, _, err = d.people.StartSession(d.t.Context(), tx, cause, directory.NewSession{
			Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Issuer: "https://op.example", Subject: user.UserName, Authenticated: time.Now(), ACR: "gold",
		})
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return made
}

func TestSessions(t *testing.T) {
	d := newDesk(t)
	people := map[string]directory.User{}
	for _, slug := range []string{"acme", "globex"} {
		workspace := d.workspace(slug)
		made := d.json("connection", "create", "generic", "--workspace", slug, "--name", "IdP", "--public-url", publicURL)
		people[slug] = d.person(workspace, id(t, made["id"]), "dana@acme.example")
	}
	at := []string{"dana@acme.example", "--workspace", "acme"}
	command := func(parts ...string) []string { return append(append([]string{"session"}, parts...), at...) }
	if out := d.do(command("list")...); !strings.Contains(out, "is not signed in") {
		t.Error(out)
	}
	first, second, third := d.signsIn(people["acme"]), d.signsIn(people["acme"]), d.signsIn(people["acme"])
	theirs := d.signsIn(people["globex"])
	listed := func() (ids []string) {
		t.Helper()
		for _, one := range d.json(command("list")...)["sessions"].([]any) {
			ids = append(ids, one.(map[string]any)["id"].(string))
		}
		return ids
	}
	if ids := listed(); !slices.Equal(ids, []string{first.ID.String(), second.ID.String(), third.ID.String()}) {
		t.Errorf("%v", ids)
	}
	if out := d.do(command("list")...); !strings.Contains(out, first.ID.String()) || !strings.Contains(out, "192.0.2.7") || strings.Contains(out, theirs.ID.String()) {
		t.Error(out)
	}
	d.refused(2, "not an id", append(command("end"), "--session", "x")...)
	d.refused(4, "session", append(command("end"), "--session", theirs.ID.String())...)
	if out := d.do(append(command("end"), "--session", second.ID.String())...); !strings.Contains(out, "Ended 1 of") {
		t.Error(out)
	}
	if ids := listed(); !slices.Equal(ids, []string{first.ID.String(), third.ID.String()}) {
		t.Errorf("%v", ids)
	}
	if got := d.json(command("end")...); got["sessions_ended"] != 2.0 || len(listed()) != 0 {
		t.Errorf("%v", got)
	}
	if live, err := d.people.Sessions(t.Context(), d.db, people["globex"].Workspace, people["globex"].ID); err != nil || len(live) != 1 {
		t.Errorf("the other workspace's: %v, %v", live, err)
	}
	types, actors := d.events(people["acme"].Workspace)
	ended := 0
	for i, one := range types {
		if one == string(core.SessionEnded) {
			if ended++; actors[i] == "Dana" {
				t.Error("the person is said to have ended them")
			}
		}
	}
	if ended != 3 {
		t.Errorf("%d events: %v", ended, types)
	}
}

func TestSessionSettings(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("globex")
	before := d.json("session", "settings", "--workspace", "globex")
	out := d.do("session", "settings", "--workspace", "acme", "--idle", "10m", "--life", "2h", "--reveal-age", "5m", "--reveal-acr", "phr phrh", "--admin-age", "0s")
	for _, want := range []string{"10m", "2h", "5m", "phr"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if again := d.do("session", "settings", "--workspace", "acme"); again != out {
		t.Errorf("they did not stay:\n%s", again)
	}
	d.refused(2, "idle", "session", "settings", "--workspace", "acme", "--idle", "1s")
	after := d.json("session", "settings", "--workspace", "globex")
	for name, value := range before {
		if text, same := after[name].(float64); value != nil && same && text != value {
			t.Errorf("another workspace's %s changed from %v to %v", name, value, text)
		}
	}
}

func TestLogoutQuirks(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	for _, slug := range []string{"acme", "globex"} {
		d.do("connection", "create", "generic", "--workspace", slug, "--name", "Keycloak", "--public-url", publicURL)
	}
	quirks := []string{"session", "quirks", "Keycloak", "--workspace", "acme"}
	if out := d.do(quirks...); !strings.Contains(out, "held to the specification") {
		t.Error(out)
	}
	if out := d.do(append(quirks, "--allow", "no_expiry,untyped")...); !strings.Contains(out, "no_expiry") || !strings.Contains(out, "untyped") {
		t.Error(out)
	}
	if out := d.do("session", "quirks", "keycloak", "--workspace", "globex"); !strings.Contains(out, "held to the specification") {
		t.Error(out)
	}
	d.refused(2, "coffee", append(quirks, "--allow", "coffee")...)
	d.refused(4, "connection", "session", "quirks", "Okta", "--workspace", "acme")
	if out := d.do(append(quirks, "--none")...); !strings.Contains(out, "held to the specification") {
		t.Error(out)
	}
	if types, _ := d.events(acme); len(types) < 2 || types[len(types)-1] != string(core.ConnectionUpdated) || types[len(types)-2] != string(core.ConnectionUpdated) {
		t.Errorf("%v", types)
	}
}

func TestSigningKey(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	list := []string{"signing-key", "list", "--workspace", "acme"}
	rotate := []string{"signing-key", "rotate", "--workspace", "acme", "--key", d.key}
	if out := d.do(list...); !strings.Contains(out, "no key yet") {
		t.Error(out)
	}
	if out := d.do(rotate...); !strings.Contains(out, "current") || !strings.Contains(out, "next") {
		t.Error(out)
	}
	d.refused(5, "published already", rotate...)
	if out := d.do(append(rotate, "--now")...); !strings.Contains(out, "previous") || !strings.Contains(out, "current") || strings.Contains(out, "next ") && strings.Contains(out, "  next  ") {
		t.Error(out)
	}
	keys := d.json(list...)["signing_keys"].([]any)
	if len(keys) != 2 || keys[1].(map[string]any)["stage"] != "current" {
		t.Errorf("%v", keys)
	}
	if out := d.do("signing-key", "list", "--workspace", "globex"); !strings.Contains(out, "no key yet") {
		t.Error(out)
	}
	types, _ := d.events(acme)
	want := []string{string(core.SigningKeyCreated), string(core.SigningKeyRotated), string(core.SigningKeyRotated)}
	if len(types) < 3 || !slices.Equal(types[len(types)-3:], want) {
		t.Errorf("%v", types)
	}
}
