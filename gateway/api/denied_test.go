package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// denied are the events of refused acts, the oldest first.
func (w *world) denied(t *testing.T, workspace core.ID) []core.Event {
	t.Helper()
	found, err := postgres.Column[json.RawMessage](t.Context(), w.db,
		`select event from audit_outbox where event ->> 'type' = 'access.denied' and workspace_id = @workspace order by event_id`, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		t.Fatal(err)
	}
	events := make([]core.Event, len(found))
	for i, text := range found {
		if err := json.Unmarshal(text, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func TestWhatIsDeniedIsRecorded(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	w.must(t, 200, "PUT", "/accounts/"+account+"/totp", bodies["putTOTP"])
	w.must(t, 404, "GET", "/accounts/"+core.NewID().String(), "")
	w.must(t, 400, "POST", "/apps", `{}`)
	w.must(t, 409, "POST", "/apps", newApp)
	if told := w.denied(t, w.acme.ID); len(told) != 0 {
		t.Fatalf("what was refused otherwise is told as denied: %+v", told)
	}
	grants := "/accounts/" + account + "/grants"
	if status, _ := w.ask(t, "accounts:read", "POST", grants, `{"user":"`+w.ben.ID.String()+`","role":"collaborator"}`); status != 403 {
		t.Fatal(status)
	}
	w.must(t, 403, "POST", "/accounts/"+account+"/code", `{"user":"`+w.ben.ID.String()+`"}`)
	told := w.denied(t, w.acme.ID)
	if len(told) != 2 {
		t.Fatalf("got %+v", told)
	}
	for i, want := range []struct{ actor, operation, rule string }{
		{"accounts:read", "POST /api/v1/accounts/:id/grants", "missing_scope"}, {"all", "POST /api/v1/accounts/:id/code", "not_shared"},
	} {
		got := told[i]
		if got.Outcome != core.Failure || got.Reason == "" || got.Actor.Kind != core.ActorServiceAccount || got.Actor.Name != want.actor || got.Origin.Address == "" ||
			got.Data["operation"] != want.operation || got.Data["rule"] != want.rule ||
			!slices.Equal(got.Targets, []core.Target{{Kind: "account", ID: told[0].Targets[0].ID}}) || got.Targets[0].ID.String() != account {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if others := w.denied(t, w.gus.Workspace); len(others) != 0 {
		t.Errorf("another workspace is told: %+v", others)
	}
}

func TestADeniedActLeavesNothingButItsEvent(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	before := w.count(t, "select count(*) from audit_outbox")
	request := httptest.NewRequest("POST", "/api/v1/accounts/"+account+"/grants", strings.NewReader(`{"user":"`+w.ben.ID.String()+`","role":"collaborator"}`))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+w.tokens["accounts:read"])
	request.Header.Set("Idempotency-Key", "once")
	w.send(t, request)
	if after := w.count(t, "select count(*) from audit_outbox"); after != before+1 {
		t.Errorf("%d events instead of one", after-before)
	}
	if grants := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", "")); len(grants) != 1 {
		t.Errorf("got %v", grants)
	}
}

func TestManyDeniedActsAreCounted(t *testing.T) {
	w := newWorld(t)
	at := time.Now()
	w.now = func() time.Time { return at }
	for range 25 {
		if status, _ := w.ask(t, "accounts:read", "GET", "/apps", ""); status != 403 {
			t.Fatal(status)
		}
	}
	if told := w.denied(t, w.acme.ID); len(told) != 20 {
		t.Fatalf("%d events of 25", len(told))
	}
	if status, _ := w.ask(t, "apps:read", "GET", "/accounts", ""); status != 403 || len(w.denied(t, w.acme.ID)) != 21 {
		t.Fatal("another actor is silenced by the first")
	}
	at = at.Add(10 * time.Second)
	w.ask(t, "accounts:read", "GET", "/apps", "")
	if told := w.denied(t, w.acme.ID); len(told) != 22 || told[21].Data["suppressed"] != "5" {
		t.Errorf("got %d, the last %+v", len(told), told[len(told)-1])
	}
}
