package sinks_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
)

func TestEachWorkspaceDeliversToItsOwn(t *testing.T) {
	w := newWorld(t)
	first, firstURL := collector(t)
	second, secondURL := collector(t)
	w.happens(t, w.acme, 5)
	eventually(t, "the log has them", func() bool { head, _ := audit.Head(t.Context(), w.db, w.acme); return head == 5 })
	fresh := w.splunk(t, w.acme, "SIEM", firstURL, nil)
	whole := w.splunk(t, w.globex, "SIEM", secondURL, func(wanted *sinks.Wanted) { wanted.Everything = true })
	if fresh.Began != 6 || whole.Began != 1 {
		t.Fatal(fresh.Began, whole.Began)
	}
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 700)
	w.happens(t, w.globex, 30)
	acme, globex := w.caught(t, fresh), w.caught(t, whole)
	if got := sequences(t, first, w.acme); int64(len(got)) != acme.Delivered-5 || got[0] != 6 {
		t.Errorf("acme's receiver has %d from %d of %d", len(got), got[0], acme.Delivered)
	}
	if got := sequences(t, second, w.globex); int64(len(got)) != globex.Delivered {
		t.Errorf("globex's receiver has %d of %d", len(got), globex.Delivered)
	}
	if acme.State != audit.SinkRunning || acme.DeliveredAt == nil || acme.Served == nil {
		t.Errorf("%+v", acme)
	}
}

func TestADeadReceiverAndAFloodHoldUpNobody(t *testing.T) {
	w := newWorld(t)
	dead, deadURL := collector(t)
	well, wellURL := collector(t)
	dead.Behave(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})
	down := w.splunk(t, w.acme, "Down", deadURL, nil)
	up := w.splunk(t, w.globex, "Up", wellURL, nil)
	runner := w.runner()
	runner.Memory = 64 << 10 // a few dozen events for the whole process
	w.run(t, runner.Run)
	eventually(t, "it retries", func() bool { return w.sink(t, down).State == audit.SinkRetrying })
	w.happens(t, w.acme, 3000)
	w.happens(t, w.globex, 20)
	w.caught(t, up)
	if got := w.sink(t, down); got.Delivered >= got.Began && got.Lag == 0 {
		t.Errorf("%+v", got)
	}
	dead.Behave(receiver.Behaviour{})
	got := w.caught(t, down)
	if all := sequences(t, dead, w.acme); int64(len(distinct(all))) != got.Delivered {
		t.Errorf("%d of %d have arrived", len(distinct(all)), got.Delivered)
	}
	if all := sequences(t, well, w.globex); len(all) == 0 {
		t.Error("nothing has arrived")
	}
}

func TestPausedByAPersonAndByItself(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	stop := w.run(t, w.runner().Run)
	w.happens(t, w.acme, 10)
	w.caught(t, one)
	paused, err := w.service.Pause(t.Context(), w.cause, w.acme, one.ID, "maintenance")
	must(t, err)
	if paused.State != audit.SinkDraining || !strings.Contains(paused.Reason, "Zoe") {
		t.Errorf("%+v", paused)
	}
	eventually(t, "it is paused", func() bool { return w.sink(t, one).State == audit.SinkPaused })
	before := len(sequences(t, to, w.acme))
	w.happens(t, w.acme, 10)
	eventually(t, "it lags", func() bool { return w.sink(t, one).Lag >= 10 })
	if after := len(sequences(t, to, w.acme)); after != before {
		t.Errorf("%d were delivered while it was paused", after-before)
	}
	if records := w.told(t, w.acme, core.SinkPaused); len(records) != 1 || records[0].Event.Actor.Name != "Zoe" || !strings.Contains(records[0].Event.Reason, "maintenance") {
		t.Errorf("%+v", records)
	}
	_, err = w.service.Resume(t.Context(), w.cause, w.acme, one.ID)
	must(t, err)
	w.caught(t, one)
	if records := w.told(t, w.acme, core.SinkResumed); len(records) != 1 || records[0].Event.Actor.Name != "Zoe" {
		t.Errorf("%+v", records)
	}

	// A wrong token: it pauses by itself, and goes on once there is a right one.
	_, err = w.service.Change(t.Context(), w.cause, w.acme, one.ID, map[string]seal.Secret{"token": seal.NewSecret("wrong")}, func(*sinks.Sink) error { return nil })
	must(t, err)
	w.happens(t, w.acme, 10)
	eventually(t, "it is paused by itself", func() bool {
		got := w.sink(t, one)
		return got.State == audit.SinkPaused && strings.Contains(got.Reason, "does not know the token") && !got.Held
	})
	answer, err := w.service.Test(t.Context(), w.cause, w.acme, one.ID)
	must(t, err)
	if answer.Verdict != "misconfigured" || !strings.Contains(answer.Reason, "does not know the token") {
		t.Errorf("%+v", answer)
	}
	_, err = w.service.Change(t.Context(), w.cause, w.acme, one.ID, map[string]seal.Secret{"token": seal.NewSecret(canary)}, func(*sinks.Sink) error { return nil })
	must(t, err)
	got := w.caught(t, one)
	if answer, err = w.service.Test(t.Context(), w.cause, w.acme, one.ID); err != nil || answer.Verdict != "accepted" {
		t.Errorf("%+v %v", answer, err)
	}
	eventually(t, "it runs", func() bool { return w.sink(t, one).State == audit.SinkRunning })

	// Planned stops repeat nothing.
	stop()
	w.happens(t, w.acme, 10)
	w.run(t, w.runner().Run)
	got = w.caught(t, one)
	if all := sequences(t, to, w.acme); int64(len(all)) != got.Delivered || len(all) != len(distinct(all)) {
		t.Errorf("%d arrived, %d of them different, of %d", len(all), len(distinct(all)), got.Delivered)
	}
	if strings.Contains(w.logs.String(), "canary") {
		t.Error("a secret is in the log")
	}
}

func TestFilterAndRedaction(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, func(wanted *sinks.Wanted) {
		wanted.Filter = sinks.Filter{Types: []string{"user.*"}}
		wanted.Redaction = []sinks.Redaction{{Field: "user.name", How: sinks.Remove}, {Field: "actor.user.name", How: sinks.Hash}}
	})
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20, core.UserUpdated, core.AppUpdated)
	w.caught(t, one)
	events := to.Events()
	if len(events) != 10 {
		t.Fatalf("%d events", len(events))
	}
	hashes := map[string]bool{}
	for _, event := range events {
		if bytes.Contains(event.Event, []byte("Zoe")) || bytes.Contains(event.Event, []byte("user 0")) || bytes.Contains(event.Event, []byte(`"unmapped"`)) {
			t.Fatalf("it tells too much: %s", event.Event)
		}
		var told struct {
			Actor struct {
				User struct{ Name, UID string }
			}
			Metadata struct{ UID string }
		}
		must(t, json.Unmarshal(event.Event, &told))
		if told.Metadata.UID != event.Fields["event_id"] || told.Actor.User.UID == "" {
			t.Fatalf("%s", event.Event)
		}
		hashes[told.Actor.User.Name] = true
	}
	if len(hashes) != 1 {
		t.Errorf("one person has %d hashes", len(hashes))
	}
	// What is not for it is not missing.
	told, err := w.service.Difference(t.Context(), w.acme, one.ID, 0, 0)
	must(t, err)
	if told.Events != 0 {
		t.Errorf("%+v", told)
	}
}

func TestDeadLettersAreRetriedAndDiscarded(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	poison := func(event json.RawMessage) bool {
		return bytes.Contains(event, []byte(`"user 7"`)) || bytes.Contains(event, []byte(`"user 8"`))
	}
	to.Behave(receiver.Behaviour{Poison: poison})
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	w.caught(t, one)
	letters, err := w.service.DeadLetters(t.Context(), w.db, w.acme, one.ID, core.ID{}, 100)
	must(t, err)
	if len(letters) != 2 || !strings.Contains(letters[0].Answer, "code 6") || letters[0].Sequence == 0 || letters[0].Type != core.UserUpdated {
		t.Fatalf("%+v", letters)
	}
	if others, err := w.service.DeadLetters(t.Context(), w.db, w.globex, one.ID, core.ID{}, 100); err != nil || len(others) != 0 {
		t.Errorf("another workspace sees %v %v", others, err)
	}
	told, err := w.service.Difference(t.Context(), w.acme, one.ID, 0, 0)
	must(t, err)
	if told.Events != 0 || told.Dead != 2 {
		t.Errorf("%+v", told)
	}
	got, err := w.service.Retry(t.Context(), w.cause, w.acme, one.ID, core.ID{})
	must(t, err)
	if got.Delivered != 0 || got.Refused != 2 || !strings.Contains(got.Answer, "code 6") {
		t.Errorf("%+v", got)
	}
	to.Behave(receiver.Behaviour{})
	if got, err = w.service.Retry(t.Context(), w.cause, w.acme, one.ID, letters[0].ID); err != nil || got.Delivered != 1 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := w.service.Discard(t.Context(), w.cause, w.acme, one.ID, letters[1].ID, ""); core.KindOf(err) != core.KindInvalid {
		t.Errorf("given up for no reason: %v", err)
	}
	if _, err := w.service.Discard(t.Context(), w.cause, w.globex, one.ID, letters[1].ID, "not mine"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("given up by another workspace: %v", err)
	}
	count, err := w.service.Discard(t.Context(), w.cause, w.acme, one.ID, core.ID{}, "a test user")
	must(t, err)
	if left := w.sink(t, one); count != 1 || left.Dead != 0 {
		t.Errorf("%d were given up, %d are left", count, left.Dead)
	}
	eventually(t, "it is told", func() bool {
		records := w.told(t, w.acme, core.SinkDiscarded)
		return len(records) == 1 && records[0].Event.Reason == "a test user"
	})
}

func TestTheDifferenceIsReplayed(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 50)
	w.caught(t, one)
	// Splunk says yes to events and loses them.
	to.Behave(receiver.Behaviour{Forget: true})
	w.happens(t, w.acme, 30)
	w.caught(t, one)
	to.Behave(receiver.Behaviour{})
	w.happens(t, w.acme, 20)
	w.caught(t, one)
	told, err := w.service.Difference(t.Context(), w.acme, one.ID, 0, 0)
	must(t, err)
	if told.Events < 30 || len(told.Missing) != 1 || told.Missing[0].To-told.Missing[0].From+1 != told.Events {
		t.Fatalf("%+v", told)
	}
	made, err := w.service.Replay(t.Context(), w.cause, w.acme, one.ID, told.Missing)
	must(t, err)
	eventually(t, "it was replayed", func() bool {
		all, err := w.service.Replays(t.Context(), w.db, w.acme, one.ID, 10)
		must(t, err)
		return len(all) == len(made) && all[0].State == "done" && all[0].Delivered == told.Events
	})
	if told, err = w.service.Difference(t.Context(), w.acme, one.ID, 0, 0); err != nil || told.Events != 0 {
		t.Errorf("%+v %v", told, err)
	}
	if _, err := w.service.Replay(t.Context(), w.cause, w.globex, one.ID, []sink.Range{{From: 1, To: 2}}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("replayed by another workspace: %v", err)
	}
}

// A change does not break off the request that is under way: what it holds would come twice.
func TestAChangeLetsARequestFinish(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	runner := w.runner()
	runner.Waits.Drain = time.Millisecond
	w.run(t, runner.Run)
	w.happens(t, w.acme, 10)
	before := w.caught(t, one).Delivered
	to.Behave(receiver.Behaviour{Delay: 500 * time.Millisecond})
	asked := to.Posts()
	w.happens(t, w.acme, 10)
	eventually(t, "a request is under way", func() bool { return to.Posts() > asked })
	_, err := w.service.Pause(t.Context(), w.cause, w.acme, one.ID, "")
	must(t, err)
	eventually(t, "it is paused", func() bool { return w.sink(t, one).State == audit.SinkPaused })
	if w.sink(t, one).Delivered == before {
		t.Error("the request that was under way was broken off")
	}
	to.Behave(receiver.Behaviour{})
	_, err = w.service.Resume(t.Context(), w.cause, w.acme, one.ID)
	must(t, err)
	done := w.caught(t, one)
	if got := sequences(t, to, w.acme); int64(len(got)) != done.Delivered || len(got) != len(distinct(got)) {
		t.Errorf("%d events came, %d of %d different ones", len(got), len(distinct(got)), done.Delivered)
	}
}

// A lane that is behind fills its requests, however little of the log is read at a time, and in order.
func TestABacklogGoesInWholeRequests(t *testing.T) {
	w := newWorld(t)
	to := &late{resumed: 1} // takes all at once
	w.service.Kinds["late"] = sink.NewKind("Late", func(lateSettings, struct{}) (sink.Receiver, error) { return to, nil })
	w.run(t, w.runner().Run)
	for range 4 {
		w.happens(t, w.acme, 1000)
	}
	eventually(t, "the stream has come past it", func() (done bool) {
		must(t, w.db.QueryRow(t.Context(), `select exists (select from cursors where name = 'relay' and position >= 4000)`).Scan(&done))
		lag, err := w.cluster.Lag(t.Context(), sinks.Group)
		return done && err == nil && lag == 0
	})
	one, err := w.service.Create(t.Context(), w.cause, sinks.Wanted{Workspace: w.acme, Name: "SIEM", Kind: "late", Everything: true})
	must(t, err)
	done := w.caught(t, one)
	if got := to.all(); int64(len(got)) != done.Delivered || len(got) != len(distinct(got)) || !slices.IsSorted(got) {
		t.Errorf("%d events came, %d of %d different ones", len(got), len(distinct(got)), done.Delivered)
	}
	// A request has 2 MB, and an event less than 2 KB. A few requests are for what happens meanwhile.
	if to.sends >= 4000/500 {
		t.Errorf("%d requests", to.sends)
	}
}

// What went to the fallback index is there.
func TestTheDifferenceLooksAtTheFallbackIndex(t *testing.T) {
	w := newWorld(t)
	_, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	w.caught(t, one)
	_, err := w.service.Change(t.Context(), w.cause, w.acme, one.ID, nil, func(s *sinks.Sink) error {
		s.Settings = bytes.Replace(s.Settings, []byte(`"main"`), []byte(`"security", "fallback_index": "main"`), 1)
		return nil
	})
	must(t, err)
	w.happens(t, w.acme, 20)
	w.caught(t, one)
	if told, err := w.service.Difference(t.Context(), w.acme, one.ID, 0, 0); err != nil || told.Events != 0 || told.To < 40 {
		t.Errorf("%+v %v", told, err)
	}
}

func TestWhatIsRefusedSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	_, url := collector(t)
	for name, one := range map[string]struct {
		edit  func(*sinks.Wanted)
		field string
	}{
		"no name":             {func(s *sinks.Wanted) { s.Name = " " }, "name"},
		"an unknown kind":     {func(s *sinks.Wanted) { s.Kind = "carrier-pigeon" }, "kind"},
		"no token":            {func(s *sinks.Wanted) { s.Credentials = nil }, "credentials.token"},
		"another credential":  {func(s *sinks.Wanted) { s.Credentials["pin"] = seal.NewSecret("1") }, "credentials"},
		"no URL":              {func(s *sinks.Wanted) { s.Settings = json.RawMessage(`{}`) }, "settings.urls"},
		"a user in the URL":   {func(s *sinks.Wanted) { s.Settings = json.RawMessage(`{"urls":["https://u:p@x"]}`) }, "settings.urls[0]"},
		"an unknown setting":  {func(s *sinks.Wanted) { s.Settings = json.RawMessage(`{"urlls":["https://x"]}`) }, "settings"},
		"a setting's type":    {func(s *sinks.Wanted) { s.Settings = json.RawMessage(`{"urls":5}`) }, "settings.urls"},
		"settings of a list":  {func(s *sinks.Wanted) { s.Settings = json.RawMessage(`[]`) }, "settings"},
		"an unknown event":    {func(s *sinks.Wanted) { s.Filter.Types = []string{"user.flew"} }, "filter.types"},
		"an unknown severity": {func(s *sinks.Wanted) { s.Filter.Severity = "dire" }, "filter.severity"},
		"an unknown outcome":  {func(s *sinks.Wanted) { s.Filter.Outcomes = []core.Outcome{"maybe"} }, "filter.outcomes"},
		"a needed field":      {func(s *sinks.Wanted) { s.Redaction = []sinks.Redaction{{Field: "metadata.uid", How: sinks.Hash}} }, "redaction"},
		"no field":            {func(s *sinks.Wanted) { s.Redaction = []sinks.Redaction{{Field: "a..b", How: sinks.Remove}} }, "redaction"},
		"another way":         {func(s *sinks.Wanted) { s.Redaction = []sinks.Redaction{{Field: "message", How: "burn"}} }, "redaction"},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := json.Marshal(map[string][]string{"urls": {url}})
			must(t, err)
			wanted := sinks.Wanted{Workspace: w.acme, Name: "SIEM", Kind: "splunk", Settings: settings, Credentials: map[string]seal.Secret{"token": seal.NewSecret(canary)}}
			one.edit(&wanted)
			_, err = w.service.Create(t.Context(), w.cause, wanted)
			if classified := core.AsError(err); err == nil || classified.Kind != core.KindInvalid || classified.Field != one.field {
				t.Errorf("%v at %q, want %q", err, core.AsError(err).Field, one.field)
			}
		})
	}
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	if _, err := w.service.Create(t.Context(), w.cause, sinks.Wanted{Workspace: w.acme, Name: "SIEM", Kind: "splunk", Settings: one.Settings,
		Credentials: map[string]seal.Secret{"token": seal.NewSecret(canary), "search_token": seal.NewSecret(canary)}}); core.KindOf(err) != core.KindConflict {
		t.Errorf("a second of that name: %v", err)
	}
	// Who may change a sink does not learn its token by having it sent elsewhere.
	away := func(s *sinks.Sink) error {
		s.Settings = json.RawMessage(`{"urls":["https://attacker.example.com"]}`)
		return nil
	}
	_, err := w.service.Change(t.Context(), w.cause, w.acme, one.ID, nil, away)
	if classified := core.AsError(err); err == nil || !strings.HasPrefix(classified.Field, "credentials.") {
		t.Errorf("the token would be sent elsewhere: %v", err)
	}
	changed, err := w.service.Change(t.Context(), w.cause, w.acme, one.ID, map[string]seal.Secret{"token": seal.NewSecret("another"), "search_token": seal.NewSecret("x")}, func(s *sinks.Sink) error {
		s.Settings, s.Name = json.RawMessage(`{"urls":["https://splunk.example.com"],"search_url":"https://splunk.example.com:8089"}`), "Splunk"
		return nil
	})
	if err != nil || changed.Name != "Splunk" || !slices.Equal(changed.Credentials, []string{"token", "search_token"}) {
		t.Errorf("%+v %v", changed, err)
	}
	// The same addresses are no others, however their JSON is written.
	for _, settings := range []string{
		`{"urls":["https://one.example.com","https://two.example.com"],"tls":{"server_name":"splunk","ca":""}}`,
		`{"tls": {"ca": "", "server_name": "splunk"}, "urls": ["https://one.example.com",  "https:\u002f/two.example.com"], "index": "security"}`,
	} {
		var given map[string]seal.Secret
		if !strings.Contains(settings, "index") {
			given = map[string]seal.Secret{"token": seal.NewSecret("another"), "search_token": seal.NewSecret("x")}
		}
		if _, err := w.service.Change(t.Context(), w.cause, w.acme, one.ID, given, func(s *sinks.Sink) error { s.Settings = json.RawMessage(settings); return nil }); err != nil {
			t.Error(err)
		}
	}
	// Nobody else has it.
	for name, err := range map[string]error{
		"read": func() error { _, err := w.service.Sink(t.Context(), w.db, w.globex, one.ID); return err }(),
		"change": func() error {
			_, err := w.service.Change(t.Context(), w.cause, w.globex, one.ID, nil, func(*sinks.Sink) error { return nil })
			return err
		}(),
		"pause":  func() error { _, err := w.service.Pause(t.Context(), w.cause, w.globex, one.ID, ""); return err }(),
		"resume": func() error { _, err := w.service.Resume(t.Context(), w.cause, w.globex, one.ID); return err }(),
		"test":   func() error { _, err := w.service.Test(t.Context(), w.cause, w.globex, one.ID); return err }(),
		"differ": func() error { _, err := w.service.Difference(t.Context(), w.globex, one.ID, 0, 0); return err }(),
		"delete": w.service.Delete(t.Context(), w.cause, w.globex, one.ID),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s from another workspace: %v", name, err)
		}
	}
	must(t, w.service.Delete(t.Context(), w.cause, w.acme, one.ID))
	if _, err := w.service.Vault.Open(t.Context(), w.service.DB, w.acme, one.ID, "credentials", 1); core.KindOf(err) != core.KindNotFound {
		t.Errorf("its credentials are kept: %v", err)
	}
	if all, err := w.service.Sinks(t.Context(), w.db, w.acme); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}
