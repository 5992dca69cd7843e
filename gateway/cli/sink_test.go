package cli_test

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
)

// sinkService has sinks of Splunk.
func sinkService(logins *accounts.Accounts) *sinks.Service {
	return &sinks.Service{DB: logins.DB, Vault: logins.Vault, Kinds: map[string]sink.Kind{
		"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
			return splunk.New(s, c, new(net.Dialer).DialContext)
		}),
	}}
}

func TestSinksFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.app(acme, "Wiki")
	f.signed()
	const token = "canary-hec-token"
	received, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(token), SumoCode: seal.NewSecret("code")})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(received)
	t.Cleanup(func() { server.Close(); _ = received.Close() })
	secret := strings.TrimPrefix(file(t, token+"\n"), "file:")
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

	has(f.ask("acme", "sink", "kinds"), "splunk", "urls", "search_token")
	f.denied(2, "token is needed", "acme", "sink", "create", "SIEM", "splunk", "--set", `urls=["`+server.URL+`"]`)
	has(f.ask("acme", "sink", "create", "SIEM", "splunk", "--everything", "--set", `urls=["`+server.URL+`"]`, "--set", "search_url="+server.URL,
		"--credential", "token="+secret, "--credential", "search_token="+secret, "--hash", "src_endpoint.ip"), "SIEM", "running", "token, search_token")
	has(f.ask("acme", "sink", "list"), "SIEM", "splunk", "running")
	if others := f.rows("globex", "sink", "list"); len(others) != 0 {
		t.Errorf("another workspace sees %v", others)
	}
	f.denied(4, "there is no sink", "globex", "sink", "show", "SIEM")
	has(f.ask("acme", "sink", "test", "SIEM"), "accepted")

	// What was delivered before is there to be compared, replayed, and one of it was refused.
	id, err := core.ParseID(f.rows("acme", "sink", "list")[0]["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	records, err := audit.Following(t.Context(), f.db, acme, 0, 2)
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	letter := audit.DeadLetter{Sink: "SIEM", SinkID: id, Workspace: acme, Event: records[0].Event.ID, Type: records[0].Event.Type, Sequence: 1, Record: "{}", Answer: "code 6", Created: time.Now()}
	if err := f.db.Tx(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `update workspace_sinks set delivered = 2 where workspace_id = @workspace and id = @id`, pgx.StrictNamedArgs{"workspace": acme, "id": id}); err != nil {
			return err
		}
		return audit.AddDeadLetter(t.Context(), tx, letter)
	}); err != nil {
		t.Fatal(err)
	}
	has(f.ask("acme", "sink", "dead-letters", "SIEM"), "code 6")
	has(f.ask("acme", "sink", "diff", "SIEM"), "lacks 1; 1 are dead letters", "2 to 2", "--replay")
	has(f.ask("acme", "sink", "diff", "SIEM", "--replay"), "events 2 to 2 are delivered once more")
	has(f.ask("acme", "sink", "replays", "SIEM"), "2     2   2     running")
	has(f.ask("acme", "sink", "replay", "SIEM", "--cancel"), "nothing is replayed any more")
	f.denied(2, "say since when", "acme", "sink", "replay", "SIEM")
	has(f.ask("acme", "sink", "retry", "SIEM"), "delivered 1, refused again 0, left 0")
	if err := f.db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.AddDeadLetter(t.Context(), tx, letter) }); err != nil {
		t.Fatal(err)
	}
	has(f.ask("acme", "sink", "discard", "SIEM", "--reason", "a test"), "1 given up")

	has(f.ask("acme", "sink", "pause", "SIEM", "--reason", "maintenance"), "draining: paused by", ": maintenance")
	has(f.ask("acme", "sink", "resume", "SIEM"), "running")
	has(f.ask("acme", "sink", "change", "SIEM", "--rename", "Archive", "--disable"), "Archive", "false")
	f.denied(2, "give search_token again", "acme", "sink", "change", "Archive", "--set", `urls=["https://elsewhere.example.com"]`, "--credential", "token="+secret)
	if code, out, told := run(f.words("acme", []string{"doctor", "sink", "Archive"})...); code != 0 || told != "" {
		t.Errorf("%d %s%s", code, out, told)
	} else {
		has(out, "the sink is disabled", "a test event was taken")
	}
	f.ask("acme", "sink", "change", "Archive", "--enable")
	if code, out, _ := run(f.words("acme", []string{"doctor", "sink", "Archive"})...); code != 1 {
		t.Errorf("%d %s", code, out)
	} else {
		has(out, "no process delivers")
	}
	has(f.ask("acme", "sink", "delete", "Archive"), "the log keeps every event")
	f.denied(4, "there is no sink", "acme", "sink", "show", "Archive")
}

func TestALegalHoldFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	none := func(slug string) {
		t.Helper()
		if told := f.ask(slug, "audit", "legal-hold", "show"); !strings.Contains(told, "no hold") {
			t.Error(told)
		}
	}
	none("acme")
	if told := f.ask("acme", "audit", "legal-hold", "place", "--reason", "a lawsuit"); !strings.Contains(told, "a lawsuit") {
		t.Error(told)
	}
	f.denied(5, "on hold already", "acme", "audit", "legal-hold", "place", "--reason", "another")
	none("globex")
	f.denied(5, "not on hold", "globex", "audit", "legal-hold", "lift")
	if told := f.ask("acme", "audit", "legal-hold", "show"); !strings.Contains(told, "a lawsuit") {
		t.Error(told)
	}
	f.ask("acme", "audit", "legal-hold", "lift")
	none("acme")
	f.denied(5, "not on hold", "acme", "audit", "legal-hold", "lift")
	types, _ := f.events(acme)
	if told := strings.Join(types, " "); !strings.Contains(told, string(core.AuditHoldPlaced)) || !strings.Contains(told, string(core.AuditHoldLifted)) {
		t.Error(told)
	}
}
