package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/core"
	"postern/core/signals"
)

func TestAdministratorsSeeWhatSignalsDid(t *testing.T) {
	w := newWorld(t)
	ben := w.people["ben"]
	receipt, err := w.signals.Receive(t.Context(), core.NewCause(core.System, time.Now()), signals.Signal{
		Workspace: ben.Workspace, Connection: ben.Connection, Door: signals.UniversalLogout, Kind: signals.Logout,
		Subject: signals.OpaqueSubject(ben.ID.String()), Evidence: signals.Evidence{Issuer: "https://idp.example.com", TokenID: "jti-1", Digest: []byte{0xab, 0xcd}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	page := "/signals/" + receipt.ID.String()
	w.expect(t, "zoe", "/signals", 200, []string{page, "Ben &lt;b&gt;Okoye", ">Done<", "universal logout"}, []string{"<b>Okoye"})
	w.expect(t, "zoe", page, 200, []string{"abcd", "jti-1", "end sessions, rotate", "Sessions dead after", "https://idp.example.com"}, nil)
	w.expect(t, "zoe", "/signals/policy", 200, []string{"credential_compromised", "end sessions, step up, rotate"}, nil)
	for _, path := range []string{"/signals", page, "/signals/policy"} {
		w.expect(t, "ana", path, 403, nil, []string{"jti-1"})
	}
	for _, what := range []string{"approve", "reject"} {
		if answer, _ := w.ask(t, "ana", http.MethodPost, "/signal-holds/"+receipt.ID.String()+"/"+what, url.Values{}); answer.StatusCode != 403 {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
		if answer, _ := w.ask(t, "zoe", http.MethodPost, "/signal-holds/"+receipt.ID.String()+"/"+what, url.Values{}); answer.StatusCode != 404 {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
	}
}
