package api_test

import (
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// signal has an identity provider of its own say of three people that their address is somebody else's by now,
// and returns the receipt of the last and the hold it waits in.
func (w *world) signal(t *testing.T, name string) (receipt, hold string) {
	t.Helper()
	connection := w.connect(t, name)
	cause := core.NewCause(connection.Actor(), time.Now())
	var last signals.Receipt
	for _, one := range []string{"uma", "vic", "wes"} {
		_, err := w.lifecycle.Provision(t.Context(), cause, directory.User{
			Workspace: w.acme.ID, Connection: connection.ID, UserName: one + "@" + name, Email: one + "@signals.example.com", Active: true, Role: directory.RoleUser,
		})
		if err != nil {
			t.Fatal(err)
		}
		last, err = w.signals.Receive(t.Context(), cause, signals.Signal{
			Workspace: w.acme.ID, Connection: connection.ID, Door: signals.SSFPush, Kind: signals.IdentifierRecycled,
			Subject: signals.EmailSubject(one + "@signals.example.com"), Evidence: signals.Evidence{Issuer: "https://idp.example.com"},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if last.Outcome != signals.Held {
		t.Fatalf("%+v", last)
	}
	return last.ID.String(), last.Hold.String()
}

func TestSignalsByAPI(t *testing.T) {
	w := newWorld(t)
	receipt, hold := w.signal(t, "Okta")
	all := items(w.must(t, 200, "GET", "/signals?limit=2", ""))
	if len(all) != 2 || all[0]["id"] != receipt || all[0]["outcome"] != "held" || all[0]["kind"] != "identifier_recycled" {
		t.Fatal(all)
	}
	next := items(w.must(t, 200, "GET", "/signals?limit=2&cursor="+all[1]["id"].(string), ""))
	if len(next) != 1 || next[0]["outcome"] != "done" {
		t.Fatal(next)
	}
	if held := items(w.must(t, 200, "GET", "/signals?outcome=held&hold="+hold, "")); len(held) == 0 {
		t.Fatal("the hold has no signals")
	}
	user := all[0]["users"].([]any)[0].(string)
	if mine := items(w.must(t, 200, "GET", "/signals?user="+user, "")); len(mine) != 1 || mine[0]["id"] != receipt {
		t.Fatal(mine)
	}
	if got := w.must(t, 200, "POST", "/signal-holds/"+hold+"/approval", ""); got["decision"] != "approved" {
		t.Fatal(got)
	}
	if status, got := w.ask(t, "acme", "POST", "/signal-holds/"+hold+"/rejection", ""); status != 409 || got["code"] != "already_decided" {
		t.Fatal(status, got)
	}
}

func TestSignalPolicyByAPI(t *testing.T) {
	w := newWorld(t)
	find := func(address, about string) map[string]any {
		t.Helper()
		for _, one := range items(w.must(t, 200, "GET", address, "")) {
			if one["case"] == about {
				return one
			}
		}
		t.Fatal("no case", about)
		return nil
	}
	if got := find("/signal-policies", "logout"); got["default"] != true || len(got["commands"].([]any)) != 2 || got["why"] == "" {
		t.Fatal(got)
	}
	w.must(t, 204, "PUT", "/signal-policies/logout", `{"commands":["rotate_seen","end_sessions"]}`)
	if got := find("/signal-policies", "logout"); got["default"] != false || got["commands"].([]any)[0] != "end_sessions" {
		t.Fatal(got)
	}
	connection := w.connect(t, "Okta").ID.String()
	w.must(t, 204, "PUT", "/signal-policies/logout?connection="+connection, `{"commands":["end_sessions"]}`)
	if got := find("/signal-policies?connection="+connection, "logout"); got["connection"] != connection {
		t.Fatal(got)
	}
	if got := find("/signal-policies", "logout"); len(got["commands"].([]any)) != 2 {
		t.Fatal(got)
	}
	w.must(t, 204, "DELETE", "/signal-policies/logout", "")
	if got := find("/signal-policies", "logout"); got["default"] != true {
		t.Fatal(got)
	}
	for path, body := range map[string]string{
		"logout": `{"commands":["rotate"]}`, "risk_changed.high": `{"commands":["fly"]}`, "weather": `{"commands":["record"]}`,
		"other": `{"commands":["record","rotate"]}`, "claims_changed": `{"commands":["restrict","lift"]}`,
	} {
		if status, got := w.ask(t, "acme", "PUT", "/signal-policies/"+path, body); status != 400 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
	if status, got := w.ask(t, "acme", "DELETE", "/signal-policies/logout", ""); status != 404 || !strings.Contains(got["detail"].(string), "policy") {
		t.Fatal(status, got)
	}
	if got := w.must(t, 200, "GET", "/signal-settings", ""); got["window_seconds"] != 300.0 {
		t.Fatal(got)
	}
	w.must(t, 200, "PUT", "/signal-settings", `{"window_seconds":60,"retention_days":30}`)
	if got := w.must(t, 200, "GET", "/signal-settings", ""); got["window_seconds"] != 60.0 || got["retention_days"] != 30.0 {
		t.Fatal(got)
	}
}

// What signals left with somebody is told with them: an administrator sees why they are refused a password.
func TestAUserIsTheirRestrictionsToo(t *testing.T) {
	w := newWorld(t)
	connection := w.connect(t, "Okta")
	cause := core.NewCause(connection.Actor(), time.Now())
	user, err := w.lifecycle.Provision(t.Context(), cause, directory.User{
		Workspace: w.acme.ID, Connection: connection.ID, UserName: "uma", Email: "uma@example.com", Active: true, Role: directory.RoleUser,
	})
	if err != nil {
		t.Fatal(err)
	}
	address := "/users/" + user.ID.String()
	if got := w.must(t, 200, "GET", address, ""); got["restricted"] != nil || got["restricted_because"] != nil || got["fresh_after"] != nil {
		t.Fatal(got)
	}
	for _, kind := range []signals.Kind{signals.AccountDisabled, signals.CredentialCompromised} {
		if _, err := w.signals.Receive(t.Context(), cause, signals.Signal{
			Workspace: w.acme.ID, Connection: connection.ID, Door: signals.SSFPush, Kind: kind, Subject: signals.EmailSubject("uma@example.com"),
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	got := w.must(t, 200, "GET", address, "")
	because, _ := got["restricted_because"].([]any)
	if got["restricted"] == nil || len(because) != 1 || because[0] != "account_disabled" || got["fresh_after"] == nil {
		t.Fatal(got)
	}
	if got := w.must(t, 200, "GET", "/users/"+w.ben.ID.String(), ""); got["restricted"] != nil {
		t.Fatal(got)
	}
}
