package cli_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
)

func TestSinksOfTheOperator(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	if err := audit.SetSinkState(t.Context(), d.db, "splunk", audit.SinkRetrying, "10.0.0.1 is away", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	const token = "canary-hec-token"
	received, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(token), SumoCode: seal.NewSecret("code")})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(received)
	t.Cleanup(func() { server.Close(); _ = received.Close() })
	has := func(text string, wanted ...string) {
		t.Helper()
		for _, one := range wanted {
			if !strings.Contains(text, one) {
				t.Errorf("%q is not in:\n%s", one, text)
			}
		}
		if strings.Contains(text, token) {
			t.Errorf("a token is shown:\n%s", text)
		}
	}
	flags := []string{"--splunk-url", server.URL, "--splunk-token", file(t, token), "--allow-private"}
	has(d.do("sink", "operator", "list"), "splunk", "retrying", "10.0.0.1", "no process delivers")
	has(d.do("sink", "operator", "pause", "splunk", "--reason", "an upgrade"), "splunk is paused")
	has(d.do("sink", "operator", "list"), "paused", "an upgrade")
	has(d.do("sink", "operator", "replay", "splunk", "--from", "1"), "positions 1 to")
	has(d.do("sink", "operator", "list"), "replaying")
	has(d.do("sink", "operator", "replay", "splunk", "--cancel"), "nothing is replayed")
	has(d.do("sink", "operator", "replay", "splunk", "--since", "1h"), "positions 1 to")
	has(d.do("sink", "operator", "resume", "splunk"), "goes on")
	has(d.do("sink", "operator", "list"), "running")
	if code, _, told := run("sink", "operator", "pause", "spunk", "--database", d.database); code != 4 || !strings.Contains(told, "there is splunk") {
		t.Errorf("%d %s", code, told)
	}

	has(d.do(append([]string{"sink", "operator", "test", "splunk"}, flags...)...), "accepted")
	if events := received.Events(); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	if code, out, told := run(append([]string{"sink", "operator", "doctor", "splunk", "--database", d.database}, flags...)...); code != 1 ||
		!strings.Contains(out, "no process delivers") || !strings.Contains(out, strings.TrimPrefix(server.URL, "http://")+" answers") ||
		!strings.Contains(out, "travel in clear") || !strings.Contains(out, "clocks agree") || !strings.Contains(out, "a test event was taken") {
		t.Errorf("%d %s%s", code, out, told)
	}
	if code, _, told := run("sink", "operator", "test", "splunk", "--database", d.database); code != 2 || !strings.Contains(told, "give the flags") {
		t.Errorf("%d %s", code, told)
	}
	for _, sink := range []string{"splunk", audit.Relayed} {
		if err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
			return audit.AddDeadLetter(t.Context(), tx, audit.DeadLetter{Sink: sink, Workspace: acme, Event: core.NewID(), Type: core.UserUpdated, Sequence: 99, Record: "{", Answer: "code 6", Created: time.Now()})
		}); err != nil {
			t.Fatal(err)
		}
	}
	has(d.do("sink", "operator", "list"), "1  ")
	has(d.do("sink", "operator", "dead-letters", "splunk"), "user.updated", "code 6")
	has(d.do(append([]string{"sink", "operator", "retry", "splunk"}, flags...)...), "delivered 0, refused again 1, left 0", "no document can be made of it")
	has(d.do("sink", "operator", "discard", "splunk", "--reason", "never an event"), "1 given up")
	has(d.do("sink", "operator", "dead-letters", "splunk"), "no dead letters")
	has(d.do("sink", "operator", "retry", "relay", "--kafka", "127.0.0.1:1"), "refused again 1", "damaged in the log")
	has(d.do("sink", "operator", "dead-letters", "relay"), "damaged in the log")
	has(d.do("sink", "operator", "forget", "splunk"), "is forgotten")
	has(d.do("sink", "operator", "list"), "there is no sink")
}
