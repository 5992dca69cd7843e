package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/core"
	"postern/core/signals"
)

func TestAdministratorsSeeTheDoctor(t *testing.T) {
	w := newWorld(t)
	page := "/connections/" + w.okta.ID.String() + "/doctor"
	w.expect(t, "zoe", page, 200, []string{"Doctor: Okta", "has no issuer", "postern connection token", "clear sessions", "/universal-logout", "the session&#39;s life"}, nil)
	w.expect(t, "zoe", page+"?self_test=1", 200, []string{"knocked at"}, nil)
	w.expect(t, "zoe", "/connections", 200, []string{page}, nil)
	w.expect(t, "ana", page, 403, nil, []string{"universal-logout"})
	w.expect(t, "gus", page, 404, nil, []string{"universal-logout"})
}

// Who is restricted is told, and let go by an administrator alone.
func TestARestrictionIsLifted(t *testing.T) {
	w := newWorld(t)
	ben := w.people["ben"]
	if _, err := w.signals.Receive(t.Context(), core.NewCause(core.System, time.Now()), signals.Signal{
		Workspace: ben.Workspace, Connection: ben.Connection, Door: signals.SSFPush, Kind: signals.AccountDisabled, Subject: signals.OpaqueSubject(ben.ID.String()),
		Evidence: signals.Evidence{TokenID: "jti-1"},
	}, nil); err != nil {
		t.Fatal(err)
	}
	page := "/users/" + ben.ID.String()
	w.expect(t, "zoe", page, 200, []string{"Restricted", "account disabled", page + "/lift"}, nil)
	if answer, _ := w.ask(t, "ana", http.MethodPost, page+"/lift", url.Values{}); answer.StatusCode != 403 {
		t.Errorf("by a user: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, page+"/lift", url.Values{}, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("from elsewhere: %d", answer.StatusCode)
	}
	if answer, body := w.ask(t, "zoe", http.MethodPost, page+"/lift", url.Values{}); answer.StatusCode != 303 {
		t.Fatalf("%d %.300s", answer.StatusCode, body)
	}
	w.expect(t, "zoe", page, 200, nil, []string{"Lift the restriction"})
}

func TestThePolicyIsChanged(t *testing.T) {
	w := newWorld(t)
	change := func(who string, form url.Values) int {
		answer, _ := w.ask(t, who, http.MethodPost, "/signals/policy", form)
		return answer.StatusCode
	}
	wanted := url.Values{"case": {"risk_changed.high"}, "command": {"end_sessions", "restrict"}}
	if got := change("ana", wanted); got != 403 {
		t.Errorf("by a user: %d", got)
	}
	if got := change("zoe", wanted); got != 303 {
		t.Fatalf("%d", got)
	}
	w.expect(t, "zoe", "/signals/policy", 200, []string{"end sessions, restrict<", "Back to the default", "Zoe Adler"}, nil)
	if got := change("zoe", url.Values{"case": {"logout"}, "command": {"record"}}); got != 400 { // a logout always ends sessions
		t.Errorf("%d", got)
	}
	if got := change("zoe", url.Values{"case": {"risk_changed.high"}, "reset": {"1"}}); got != 303 {
		t.Errorf("%d", got)
	}
	w.expect(t, "zoe", "/signals/policy", 200, nil, []string{"Back to the default"})
}
