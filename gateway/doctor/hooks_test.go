package doctor_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
	"postern/gateway/doctor"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
)

// hook makes a hook of a connection.
func (w *world) hook(t *testing.T, connection directory.Connection, kind hooks.Kind, settings hooks.Settings) core.ID {
	t.Helper()
	service := &hooks.Service{
		DB: w.doctor.DB, Directory: w.doctor.Directory, Signals: w.doctor.Signals, Vault: w.vault, Keys: &keys.Cache{HTTP: http.DefaultClient},
		PublicURL: w.doctor.PublicURL,
	}
	made, err := service.Create(t.Context(), core.NewCause(core.System, time.Now()), connection.Workspace, hooks.NewHook{
		Connection: connection.ID, Kind: kind, Name: string(kind), Settings: settings, AccessSecret: seal.NewSecret("s3cret-of-the-app"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// set changes what is on record of a hook or a stream.
func (w *world) set(t *testing.T, statement string, args pgx.StrictNamedArgs) {
	t.Helper()
	if _, err := w.doctor.DB.Exec(t.Context(), statement, args); err != nil {
		t.Fatal(err)
	}
}

func TestAGraphSubscriptionIsExamined(t *testing.T) {
	w := newWorld(t)
	id := w.hook(t, w.connection, hooks.Graph, hooks.Settings{Access: hooks.Access{Tenant: "acme.example", ClientID: "app"}})
	about := "hook graph"
	if found := w.examine(t, false); !says(found, doctor.Note, about, "being made") || len(found.Hooks) != 1 || found.Hooks[0].Kind != "graph" {
		t.Errorf("%+v", found)
	}
	now := time.Now()
	w.doctor.Now = func() time.Time { return now.Add(time.Hour) }
	if found := w.examine(t, false); !says(found, doctor.Fault, about, "there is no subscription") || !says(found, doctor.Fault, about, "the worker should have looked at it") || found.Healthy {
		t.Errorf("%+v", found.Findings)
	}
	state := func(remains time.Duration, missed bool, fault string) doctor.Diagnosis {
		w.set(t, `
			update hooks set due = @due::timestamptz, remote_id = 'sub-1', remote_ends = @ends, resync = @missed, last_error = @error::text,
				last_error_stage = case when @error::text = '' then '' else 'api' end, last_error_at = case when @error::text = '' then null else @due::timestamptz end
			where workspace_id = @workspace and id = @id`,
			pgx.StrictNamedArgs{"workspace": w.connection.Workspace, "id": id, "due": now.Add(time.Hour), "ends": now.Add(time.Hour + remains), "missed": missed, "error": fault})
		return w.examine(t, false)
	}
	if found := state(20*24*time.Hour, false, ""); !says(found, doctor.Good, about, "good for 20 days") || found.Hooks[0].Expires == nil {
		t.Errorf("%+v", found.Findings)
	}
	for name, one := range map[string]struct {
		remains time.Duration
		missed  bool
		fault   string
		level   doctor.Level
		part    string
	}{
		"not renewed in time":   {5*24*time.Hour + time.Minute, false, "", doctor.Warning, "ends in 5 days, and was not renewed"},
		"failing to renew":      {5*24*time.Hour + time.Minute, false, "the credential is not accepted (401)", doctor.Warning, "not renewed: the credential is not accepted"},
		"nearly over":           {80 * time.Minute, false, "the credential is not accepted (401)", doctor.Fault, "ends in 1 hour"},
		"over":                  {-time.Hour, false, "", doctor.Fault, "ended an hour ago"},
		"people cannot be read": {20 * 24 * time.Hour, false, "the credential is not accepted (403)", doctor.Fault, "cannot be asked how people changed"},
		"missed":                {20 * 24 * time.Hour, true, "", doctor.Warning, "lost notifications"},
	} {
		if found := state(one.remains, one.missed, one.fault); !says(found, one.level, about, one.part) || found.Hooks[0].Missed != one.missed {
			t.Errorf("%s: %+v", name, found.Findings)
		}
	}
}

func TestHooksAreExamined(t *testing.T) {
	w := newWorld(t)
	mapping := &hooks.Mapping{Kinds: map[string]signals.Kind{"x": signals.Logout}, Subjects: []hooks.Pointer{{Format: signals.FormatEmail, Pointer: "/email"}}}
	okta := w.hook(t, w.connection, hooks.Okta, hooks.Settings{})
	standard := w.hook(t, w.connection, hooks.Standard, hooks.Settings{Mapping: mapping})
	w.hook(t, w.theirs, hooks.Standard, hooks.Settings{Mapping: mapping}) // nobody here is told of it
	found := w.examine(t, false)
	if !says(found, doctor.Warning, "hook okta", "never verified") || !says(found, doctor.Note, "hook okta", "System Log") || !says(found, doctor.Warning, "hook standard", "no message ever came") || len(found.Hooks) != 2 {
		t.Errorf("%+v", found.Findings)
	}
	failed := func(id core.ID, stage string, heard any) doctor.Diagnosis {
		w.set(t, `update hooks set last_error = 'it was wrong', last_error_stage = @stage, last_error_at = now() - interval '1 hour', last_heard = @heard, last_type = 'x', verified = now()
			where workspace_id = @workspace and id = @id`, pgx.StrictNamedArgs{"workspace": w.connection.Workspace, "id": id, "stage": stage, "heard": heard})
		return w.examine(t, false)
	}
	if found = failed(standard, "timestamp", nil); !says(found, doctor.Warning, "hook standard", "failed at timestamp: it was wrong") || !says(found, doctor.Warning, "hook standard", "compare the clocks") {
		t.Errorf("%+v", found.Findings)
	}
	if found = failed(standard, "subject", time.Now()); !says(found, doctor.Note, "hook standard", "names nobody at the places") {
		t.Errorf("%+v", found.Findings)
	}
	if found = failed(okta, "api", time.Now()); found.Hooks[0].Failed == nil || found.Hooks[0].Failed.Stage != "api" || says(found, doctor.Warning, "hook okta", "never verified") {
		t.Errorf("%+v", found.Hooks)
	}
	w.set(t, `update hooks set settings = '{"access": {"address": "https://acme.okta.com"}}', last_error = '', last_error_stage = '', last_error_at = null, filled = now() - interval '3 hours', due = now() - interval '1 hour'
		where workspace_id = @workspace and id = @id`, pgx.StrictNamedArgs{"workspace": w.connection.Workspace, "id": okta})
	if found = w.examine(t, false); !says(found, doctor.Warning, "hook okta", "last read until 3 hours ago") || !says(found, doctor.Fault, "hook okta", "the worker should have") {
		t.Errorf("%+v", found.Findings)
	}
	for _, one := range found.Doors {
		if one.Door == string(signals.StandardWebhook) && !one.Configured {
			t.Errorf("%+v", one)
		}
	}
}

func TestAPolledStreamIsExamined(t *testing.T) {
	w := newWorld(t)
	stream := core.NewID()
	w.set(t, `
		insert into streams (id, workspace_id, connection_id, profile, delivery, issuer, audiences, metadata, access, requested, delivered, status, verified, lease_until, subjects_after, created, updated)
		values (@id, @workspace, @connection, 'standard', 'poll', 'https://idp.example.com', '{a}', '{}', '{"method": "bearer"}', '{}', '{}', 'enabled', now(), now() + interval '1 minute', now(), now() - interval '1 hour', now())`,
		pgx.StrictNamedArgs{"id": stream, "workspace": w.connection.Workspace, "connection": w.connection.ID})
	about := "stream " + stream.String()
	if found := w.examine(t, false); !says(found, doctor.Good, about, "enabled") || len(found.Streams) != 1 || !found.Streams[0].Polled {
		t.Errorf("%+v", found)
	}
	w.set(t, `update streams set lease_until = now() - interval '1 minute' where workspace_id = @workspace and id = @id`, pgx.StrictNamedArgs{"workspace": w.connection.Workspace, "id": stream})
	if found := w.examine(t, false); !says(found, doctor.Fault, about, "nobody polls it") || found.Streams[0].Polled {
		t.Errorf("%+v", found.Findings)
	}
	w.set(t, `update streams set lease_until = now() + interval '1 minute', failures = 4, last_error = 'polling answers 503', last_error_stage = 'poll', last_error_at = now() where workspace_id = @workspace and id = @id`,
		pgx.StrictNamedArgs{"workspace": w.connection.Workspace, "id": stream})
	if found := w.examine(t, false); !says(found, doctor.Fault, about, "failed 4 times in a row, at poll: polling answers 503") || !says(found, doctor.Fault, about, "poll endpoint") {
		t.Errorf("%+v", found.Findings)
	}
}
