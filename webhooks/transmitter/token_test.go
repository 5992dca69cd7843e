package transmitter_test

import (
	"encoding/json"
	"net/url"
	"strconv"
	"testing"
	"time"

	"postern/core"
	"postern/webhooks/transmitter"
)

// Whoever shows wrong secrets in numbers is slowed down, at that workspace alone and for no longer than it is told, and
// leaves a few events and not one for each.
func TestWrongSecretsInNumbers(t *testing.T) {
	w := newWorld(t)
	c, other := w.client(t, w.acme, transmitter.NewReceiver{}), w.client(t, w.globex, transmitter.NewReceiver{})
	still := time.Now()
	w.service.Now = func() time.Time { return still.Add(time.Duration(w.ahead.Load())) }
	grant, id := url.Values{"grant_type": {"client_credentials"}}, c.receiver.Account.String()
	answered := map[int]int{}
	wait := 0
	for range 60 {
		status, got, header := c.form(t, grant, id, "pst_api_wrong")
		answered[status]++
		if status != 429 {
			continue
		}
		var err error
		if wait, err = strconv.Atoi(header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 || got["error"] != "too_many_requests" {
			t.Fatalf("Retry-After %q: %v", header.Get("Retry-After"), got)
		}
	}
	if answered[401] != 30 || answered[429] != 30 {
		t.Fatalf("answered %v", answered)
	}
	// The right secret is not even looked at, so that nobody finds out by trying; another workspace is as before.
	if status, _, _ := c.form(t, grant, id, c.secret.Reveal()); status != 429 {
		t.Error(status)
	}
	if status, _, _ := other.form(t, grant, other.receiver.Account.String(), other.secret.Reveal()); status != 200 {
		t.Error(status)
	}
	w.ahead.Add(int64(time.Duration(wait) * time.Second))
	if status, got, _ := c.form(t, grant, id, c.secret.Reveal()); status != 200 {
		t.Errorf("after the wait: %d %v", status, got)
	}

	told := w.tokenEvents(t, w.acme)
	if failures := told[core.Failure]; len(failures) == 0 || len(failures) > 6 || failures[0].Targets[0] != (core.Target{Kind: "receiver", ID: c.receiver.ID, Name: c.receiver.Name}) || failures[0].Origin.Address == "" {
		t.Errorf("%+v", told)
	}
	if successes := told[core.Success]; len(successes) != 2 || successes[0].Actor.ID != c.receiver.Account {
		t.Errorf("%+v", told)
	}
	if theirs := w.tokenEvents(t, w.globex); len(theirs[core.Failure]) != 0 {
		t.Errorf("another workspace is told: %+v", theirs)
	}
}

// tokenEvents are those of the token endpoint, whether they are in the log yet or not.
func (w *world) tokenEvents(t *testing.T, h house) map[core.Outcome][]core.Event {
	t.Helper()
	rows, err := w.DB.Query(t.Context(), `
		select event::text from audit_outbox where workspace_id = $1 and type = $2
		union all select event::text from audit_log where workspace_id = $1 and type = $2`, h.workspace.ID, core.ReceiverTokenIssued)
	must(t, err)
	defer rows.Close()
	out := map[core.Outcome][]core.Event{}
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		var event core.Event
		must(t, json.Unmarshal([]byte(text), &event))
		out[event.Outcome] = append(out[event.Outcome], event)
	}
	must(t, rows.Err())
	return out
}
