package cli_test

import (
	"net"
	"net/http/httptest"
	"reflect"
	"slices"
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

	has(f.ask("acme", "sink", "kinds"), "splunk", "urls", "search_token", "CAN BE ASKED", "with search_url search_token", "with acknowledge")
	f.denied(2, "token is needed", "acme", "sink", "create", "SIEM", "splunk", "--set", `urls=["`+server.URL+`"]`)
	has(f.ask("acme", "sink", "create", "SIEM", "splunk", "--everything", "--set", `urls=["`+server.URL+`"]`, "--set", "search_url="+server.URL,
		"--credential", "token="+secret, "--credential", "search_token="+secret, "--hash", "src_endpoint.ip"), "SIEM", "running", "token, search_token")
	has(f.ask("acme", "sink", "list"), "SIEM", "splunk", "running")
	if row := f.rows("acme", "sink", "list")[0]; row["asked"] != true || row["acknowledges"] != nil {
		t.Errorf("%v", row)
	}
	f.ask("acme", "sink", "create", "Deaf", "splunk", "--set", `urls=["`+server.URL+`"]`, "--credential", "token="+secret)
	f.denied(5, "cannot be asked what it holds: give it search_url and search_token", "acme", "sink", "diff", "Deaf")
	f.ask("acme", "sink", "delete", "Deaf")
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

// Each flag of 'postern sink change' changes its own part, and nothing else.
func TestAChangeLeavesTheRest(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	f := d.far("acme")
	token := strings.TrimPrefix(file(t, "canary-hec-token\n"), "file:")
	const first, second = "https://one.example.com:8088", "https://two.example.com:8088"
	f.ask("acme", "sink", "create", "SIEM", "splunk", "--set", `urls=["`+first+`","`+second+`"]`, "--set", "index=main", "--set", "max_bytes=200000",
		"--set", "search_url=https://one.example.com:8089", "--credential", "token="+token, "--credential", "search_token="+token,
		"--type", "user.*", "--type", "account.password_rotated", "--outcome", "success", "--severity", "low",
		"--remove", "src_endpoint.ip", "--hash", "actor.user.name", "--hash", "user.name")
	settings := map[string]any{"urls": []any{first, second}, "index": "main", "max_bytes": 200000.0, "search_url": "https://one.example.com:8089"}
	filter := map[string]any{"types": []any{"user.*", "account.password_rotated"}, "outcomes": []any{"success"}, "severity": "low"}
	redacted := func(pairs ...string) (all []any) {
		for pair := range slices.Chunk(pairs, 2) {
			all = append(all, map[string]any{"field": pair[0], "how": pair[1]})
		}
		return all
	}
	redaction := redacted("src_endpoint.ip", "remove", "actor.user.name", "hash", "user.name", "hash")
	credentials := []any{"token", "search_token"}
	for _, test := range []struct {
		flags []string
		now   func()
	}{
		{[]string{"--type", "app.*"}, func() { filter["types"] = []any{"app.*"} }},
		{[]string{"--outcome", "failure"}, func() { filter["outcomes"] = []any{"failure"} }},
		{[]string{"--severity", "high"}, func() { filter["severity"] = "high" }},
		{[]string{"--remove", "device.hostname", "--remove", "user.name"}, func() {
			redaction = redacted("actor.user.name", "hash", "device.hostname", "remove", "user.name", "remove")
		}},
		{[]string{"--hash", "user.email_addr"}, func() {
			redaction = redacted("device.hostname", "remove", "user.name", "remove", "user.email_addr", "hash")
		}},
		{[]string{"--set", "index=security"}, func() { settings["index"] = "security" }}, // two addresses that stay: no credential is asked for
		{[]string{"--set", "max_bytes=", "--severity", "low"}, func() { delete(settings, "max_bytes"); filter["severity"] = "low" }},
		{[]string{"--set", "acknowledge=true"}, func() { settings["acknowledge"] = true }},
		{[]string{"--clear", "outcome", "--clear", "severity", "--type", "user.*"}, func() { filter = map[string]any{"types": []any{"user.*"}} }},
		{[]string{"--clear", "remove"}, func() { redaction = redacted("user.email_addr", "hash") }},
		{[]string{"--credential", "token=" + token}, func() {}},
		{[]string{"--set", "search_url=", "--credential", "search_token=", "--credential", "token=" + token}, func() { delete(settings, "search_url"); credentials = []any{"token"} }},
		{[]string{"--disable"}, func() {}},
		{[]string{"--clear", "type,hash"}, func() { filter, redaction = map[string]any{}, nil }},
	} {
		f.ask("acme", append([]string{"sink", "change", "SIEM"}, test.flags...)...)
		test.now()
		one := slices.DeleteFunc(f.rows("acme", "sink", "list"), func(row map[string]any) bool { return row["name"] != "SIEM" })[0]
		got := []any{one["settings"], one["filter"], one["redaction"], one["credentials"]}
		for i, want := range []any{settings, filter, redaction, credentials} {
			if shown, _ := got[i].([]any); i == 2 && len(shown) == 0 && len(redaction) == 0 {
				continue
			}
			if !reflect.DeepEqual(got[i], want) {
				t.Errorf("after %v: %v, want %v", test.flags, got[i], want)
			}
		}
	}
	f.ask("acme", "sink", "change", "SIEM", "--type", "user.*", "--severity", "high", "--hash", "user.name")
	if told := f.ask("acme", "sink", "show", "SIEM"); !strings.Contains(told, "user.*; severity high and above") || !strings.Contains(told, "user.name (hash)") {
		t.Errorf("it is shown as:\n%s", told)
	}
	f.denied(2, "say what to change", "acme", "sink", "change", "SIEM")
	f.denied(2, "there is no event", "acme", "sink", "change", "SIEM", "--type", "nothing.at.all")
	if code, out, _ := run("sink", "change", "--help"); code != 0 || !strings.Contains(out, "--type replaces the types and leaves the least severity") {
		t.Errorf("%d %s", code, out)
	}
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
