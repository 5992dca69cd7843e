package api_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
)

func (w *world) sinks(t *testing.T) *sinks.Service {
	made, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(canary), SumoCode: seal.NewSecret("code")})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(made)
	t.Cleanup(func() { server.Close(); _ = made.Close() })
	w.splunk = server.URL
	return &sinks.Service{DB: w.db, Vault: w.accounts.Vault, Kinds: map[string]sink.Kind{
		"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
			return splunk.New(s, c, new(net.Dialer).DialContext)
		}),
	}}
}

// sinking makes a sink that has delivered the first event, and one dead letter.
func (w *world) sinking(t *testing.T) string {
	t.Helper()
	// What was recorded so far gets its place.
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = (&audit.Sequencer{DB: w.db, Key: w.key}).Run(ctx) }()
	for waiting := 1; waiting > 0; time.Sleep(5 * time.Millisecond) {
		if err := w.db.QueryRow(t.Context(), `select count(*) from audit_outbox`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-done
	made := w.must(t, 201, "POST", "/sinks", `{"name":"SIEM","kind":"splunk","everything":true,"settings":{"urls":["`+w.splunk+`"],"search_url":"`+w.splunk+`"},"credentials":{"token":"`+canary+`","search_token":"`+canary+`"}}`)
	id, err := core.ParseID(made["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec(t.Context(), `update workspace_sinks set delivered = 1 where id = @id`, pgx.StrictNamedArgs{"id": id}); err != nil {
		t.Fatal(err)
	}
	records, err := audit.Following(t.Context(), w.db, w.acme.ID, 0, 1)
	if err != nil || len(records) == 0 {
		t.Fatal(records, err)
	}
	letter := audit.DeadLetter{Sink: "SIEM", SinkID: id, Workspace: w.acme.ID, Event: records[0].Event.ID, Type: records[0].Event.Type, Sequence: 1, Record: "{}", Answer: "code 6", Created: time.Now()}
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.AddDeadLetter(t.Context(), tx, letter) }); err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func TestSinks(t *testing.T) {
	w := newWorld(t)
	w.account(t)
	at := "/sinks/" + w.sinking(t)
	got := w.must(t, 200, "GET", at, "")
	text, _ := json.Marshal(got)
	if strings.Contains(string(text), canary) || got["state"] != "running" || got["dead_letters"] != 1.0 || len(got["credentials"].([]any)) != 2 {
		t.Errorf("%s", text)
	}
	if kinds := items(w.must(t, 200, "GET", "/sink-kinds", "")); len(kinds) != 1 || len(kinds[0]["fields"].([]any)) < 5 {
		t.Errorf("%v", kinds)
	} else if can := mustJSON(kinds[0]["abilities"]); !strings.Contains(can, `"asked":{"able":true,"needs":["search_url","search_token"]}`) || got["asked"] != true || got["acknowledges"] != nil {
		t.Errorf("%s, %v", can, got)
	}
	for body, pointer := range map[string]string{
		`{"name":"SIEM 2","kind":"pigeon","settings":{}}`:                                                                                  "#/kind",
		`{"name":"SIEM 2","kind":"splunk","settings":{"urls":["https://x.example"]}}`:                                                      "#/credentials/token",
		`{"name":"SIEM 2","kind":"splunk","settings":{"urls":["ftp://x"]},"credentials":{"token":"t"}}`:                                    "#/settings/urls",
		`{"name":"SIEM 2","kind":"splunk","settings":{"urls":["https://x.example"]},"credentials":{"token":"t"},"filter":{"types":["x"]}}`: "#/filter/types",
	} {
		refused := w.must(t, 400, "POST", "/sinks", body)
		if told, _ := json.Marshal(refused["errors"]); !strings.Contains(string(told), pointer) {
			t.Errorf("%s: %s", body, told)
		}
	}
	w.must(t, 409, "POST", "/sinks", `{"name":"SIEM","kind":"splunk","settings":{"urls":["https://x.example"]},"credentials":{"token":"t"}}`)
	if said := w.must(t, 200, "POST", at+"/test", ""); said["verdict"] != "accepted" {
		t.Errorf("%v", said)
	}
	if said := w.must(t, 200, "POST", at+"/diagnosis", ""); said["healthy"] != false || !strings.Contains(mustJSON(said), "no process delivers") {
		t.Errorf("%v", said)
	}
	if said := w.must(t, 200, "GET", at+"/difference", ""); said["dead_letters"] != 1.0 || said["count"] != 0.0 {
		t.Errorf("%v", said)
	}
	if said := w.must(t, 200, "POST", at+"/dead-letters/retry", ""); said["delivered"] != 1.0 || said["left"] != 0.0 {
		t.Errorf("%v", said)
	}
	if said := w.must(t, 200, "GET", at+"/difference?from=1&to=1", ""); said["count"] != 0.0 {
		t.Errorf("%v", said)
	}
	w.must(t, 400, "POST", at+"/replays", `{}`)
	w.must(t, 409, "POST", at+"/replays", `{"ranges":[{"from":900,"to":901}]}`)
	if made := items(w.must(t, 202, "POST", at+"/replays", `{"ranges":[{"from":1,"to":900}]}`)); len(made) != 1 || made[0]["to"] != 1.0 {
		t.Errorf("%v", made)
	}
	if paused := w.must(t, 200, "POST", at+"/pause", `{"reason":"maintenance"}`); paused["state"] != "draining" || paused["held"] != true {
		t.Errorf("%v", paused)
	}
	if resumed := w.must(t, 200, "POST", at+"/resume", ""); resumed["state"] != "running" {
		t.Errorf("%v", resumed)
	}
	w.must(t, 400, "PATCH", at, `{"settings":{"urls":["https://elsewhere.example"]}}`)
	if changed := w.must(t, 200, "PATCH", at, `{"enabled":false,"name":"Renamed"}`); changed["enabled"] != false || changed["name"] != "Renamed" {
		t.Errorf("%v", changed)
	}
}

func mustJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
