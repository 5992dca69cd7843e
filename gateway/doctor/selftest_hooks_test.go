package doctor_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/journal"
	"postern/core/signals"
	"postern/gateway/doctor"
	"postern/webhooks/hooks"
)

// doorOf is what a diagnosis says of a door.
func doorOf(d doctor.Diagnosis, name string) doctor.Door {
	for _, one := range d.Doors {
		if one.Door == name {
			return one
		}
	}
	return doctor.Door{}
}

// Each hook is knocked at as its sender would, and that is nobody's fault afterwards.
func TestHooksAreKnockedAt(t *testing.T) {
	w := newWorld(t)
	mapping := &hooks.Mapping{Kinds: map[string]signals.Kind{"x": signals.Logout}, Subjects: []hooks.Pointer{{Format: signals.FormatEmail, Pointer: "/email"}}}
	all := map[hooks.Kind]string{hooks.Okta: "okta_event_hook okta", hooks.Graph: "graph graph", hooks.Standard: "standard_webhook standard", hooks.Signed: "signed_webhook signed"}
	for kind := range all {
		settings := hooks.Settings{}
		switch kind {
		case hooks.Graph:
			settings.Access = hooks.Access{Tenant: "acme.example", ClientID: "app"}
		case hooks.Standard:
			settings.Mapping = mapping
		case hooks.Signed:
			settings.Mapping, settings.Scheme = mapping, &hooks.Scheme{Preset: "github"}
		}
		w.hook(t, w.connection, kind, settings)
	}
	found := w.examine(t, true)
	for _, about := range all {
		if !says(found, doctor.Good, "self-test of "+about, "") {
			t.Errorf("%s is not good: %+v", about, found.Findings)
		}
	}
	again := w.examine(t, false)
	for _, door := range []string{"okta_event_hook", "standard_webhook", "signed_webhook"} {
		if failures := doorOf(again, door).Failures; len(failures) != 1 || failures[0].Stage != "self_test" || says(again, doctor.Warning, door, "") {
			t.Errorf("%s: %+v %+v", door, failures, again.Findings)
		}
	}
	if failures := doorOf(again, "graph").Failures; len(failures) != 0 {
		t.Errorf("%+v", failures)
	}
	for _, one := range again.Hooks {
		if one.Failed != nil || one.Heard != nil || one.Verified != nil {
			t.Errorf("the self-test left %+v", one)
		}
	}
	w.before = func(out http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/webhooks/") {
			http.NotFound(out, r)
			return false
		}
		return true
	}
	found = w.examine(t, true)
	for _, about := range all {
		if !says(found, doctor.Fault, "self-test of "+about, "routes the address elsewhere") {
			t.Errorf("%s: %+v", about, found.Findings)
		}
	}
}

// A transmitter that is polled is asked without a token: what it says to that tells whether it is there.
func TestATransmitterThatIsPolledIsKnockedAt(t *testing.T) {
	w := newWorld(t)
	answer := 401
	transmitter := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodPost {
			t.Errorf("%s with %q", r.Method, r.Header.Get("Authorization"))
		}
		out.WriteHeader(answer)
	}))
	defer transmitter.Close()
	stream := core.NewID()
	w.set(t, `
		insert into streams (id, workspace_id, connection_id, profile, delivery, issuer, audiences, metadata, access, requested, delivered, status, verified, lease_until, poll_url, subjects_after, created, updated)
		values (@id, @workspace, @connection, 'standard', 'poll', 'https://idp.example.com', '{a}', '{}', '{"method": "bearer"}', '{}', '{}', 'enabled', now(), now() + interval '1 minute', @url, now(), now() - interval '1 hour', now())`,
		pgx.StrictNamedArgs{"id": stream, "workspace": w.connection.Workspace, "connection": w.connection.ID, "url": transmitter.URL})
	about := "self-test of ssf_poll " + stream.String()
	if found := w.examine(t, true); !says(found, doctor.Good, about, "reached") {
		t.Errorf("%+v", found.Findings)
	}
	for code, part := range map[int]string{200: "to whoever asks", 404: "still there", 503: "out of order", 302: "redirects"} {
		answer = code
		if found := w.examine(t, true); !says(found, doctor.Fault, about, part) {
			t.Errorf("%d: %+v", code, found.Findings)
		}
	}
}

// What sign-in and provisioning refused is told with the stage, and is old news once it has worked again.
func TestWhatSignInAndProvisioningRefused(t *testing.T) {
	w := newWorld(t)
	request := func(status int, detail string, at time.Time) {
		t.Helper()
		if err := w.doctor.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			batch := &pgx.Batch{}
			journal.Queue(batch, journal.Entry{
				Workspace: w.connection.Workspace, Connection: w.connection.ID, Received: at, Method: "POST", Address: "/Users", Profile: "okta", Status: status, Detail: detail,
				Correlation: core.NewID(),
			})
			return tx.SendBatch(t.Context(), batch).Close()
		}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	request(201, "", now.Add(-3*time.Minute))
	request(409, "userName is taken", now.Add(-2*time.Minute))
	found := w.examine(t, false)
	door := doorOf(found, doctor.DoorSCIM)
	if len(door.Failures) != 1 || door.Failures[0].Stage != "uniqueness" || door.Failures[0].Says != "userName is taken" || door.Failures[0].Subject != "POST /Users" ||
		door.Last == nil || !door.Last.Before(door.Failures[0].At) || !says(found, doctor.Warning, doctor.DoorSCIM, "failed at uniqueness") {
		t.Errorf("%+v %+v", door, found.Findings)
	}
	request(200, "", now.Add(-time.Minute))
	if found = w.examine(t, false); says(found, doctor.Warning, doctor.DoorSCIM, "uniqueness") || len(doorOf(found, doctor.DoorSCIM).Failures) != 1 {
		t.Errorf("it works again: %+v", found.Findings)
	}

	event := core.NewEvent(core.SignInFailed, w.connection.Workspace, core.NewCause(w.connection.Actor(), now), now, w.connection.Target()).
		Failed("the client is not known").With("code", "client_refused").With("user_name", "ana")
	if err := w.doctor.DB.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, event) }); err != nil {
		t.Fatal(err)
	}
	stop := coretest.Run(t, (&audit.Sequencer{DB: w.doctor.DB, Log: slog.New(slog.DiscardHandler)}).Run)
	coretest.Until(t, "the log has it", func() bool { return len(doorOf(w.examine(t, false), doctor.DoorSignIn).Failures) == 1 })
	stop()
	w.doctor.Now = func() time.Time { return now.Add(time.Minute) }
	failed := doorOf(w.examine(t, false), doctor.DoorSignIn).Failures[0]
	if failed.Stage != "client_refused" || failed.Says != "the client is not known" || failed.Subject != "ana" || !strings.Contains(failed.Advice, "postern connection update") {
		t.Errorf("%+v", failed)
	}
}
