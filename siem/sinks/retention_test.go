package sinks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
)

const aYear = 365 * 24 * time.Hour

// retain has retention take what is old.
func (w *world) retain(t *testing.T) {
	t.Helper()
	eventually(t, "all is published", func() bool { return w.published(t) })
	w.ago.Store(0)
	_, err := w.db.Exec(t.Context(), `delete from cursors where name not in ('sequencer', 'relay')`) // whose readers do not run here
	must(t, err)
	_, err = (&audit.Retention{DB: w.db, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Keep: aYear / 2, Behind: sinks.Behind}).Apply(t.Context())
	must(t, err)
}

// published says whether the relay has come past all there is.
func (w *world) published(t *testing.T) bool {
	t.Helper()
	backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
	must(t, err)
	return backlog.Unsequenced+backlog.Unpublished == 0
}

func (w *world) records(t *testing.T, workspace core.ID) []audit.Record {
	t.Helper()
	records, err := audit.Following(t.Context(), w.db, workspace, 0, 1000)
	must(t, err)
	return records
}

// A sink of one workspace that is behind keeps that workspace's records, and those of no other.
func TestRetentionWaitsForTheSinksOfAWorkspace(t *testing.T) {
	w := newWorld(t)
	w.ago.Store(int64(aYear))
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	stop := w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	w.happens(t, w.globex, 20)
	w.caught(t, one)
	_, err := w.service.Pause(t.Context(), w.cause, w.acme, one.ID, "maintenance")
	must(t, err)
	eventually(t, "it is paused", func() bool { return w.sink(t, one).State == audit.SinkPaused })
	w.happens(t, w.acme, 20)
	eventually(t, "it waits", func() bool { return w.sink(t, one).Lag >= 20 })
	stop()
	before := len(w.records(t, w.acme))

	take := func(waited string) {
		t.Helper()
		w.retain(t)
		if left := w.records(t, w.acme); len(left) < before || left[0].Sequence != 1 {
			t.Fatalf("%s: of %d records the log begins with %d", waited, before, left[0].Sequence)
		}
	}
	take("it is held")
	if left := w.records(t, w.globex); len(left) > 0 && left[0].Sequence == 1 {
		t.Error("another workspace's records wait as well")
	}
	_, err = w.service.Resume(t.Context(), w.cause, w.acme, one.ID)
	must(t, err)
	take("nobody delivers")
	to.Behave(receiver.Behaviour{Status: 503, Code: 9})
	stop = w.run(t, w.runner().Run)
	eventually(t, "it retries", func() bool { return w.sink(t, one).State == audit.SinkRetrying })
	take("the receiver is down")
	to.Behave(receiver.Behaviour{})
	done := w.caught(t, one)
	stop()
	if got := sequences(t, to, w.acme); int64(len(distinct(got))) != done.Delivered {
		t.Errorf("%d of %d have arrived", len(distinct(got)), done.Delivered)
	}
	_, err = w.service.Replay(t.Context(), w.cause, w.acme, one.ID, []sink.Range{{From: 5, To: 10}})
	must(t, err)
	take("it replays")
	stop = w.run(t, w.runner().Run)
	eventually(t, "it was replayed", func() bool {
		all, err := w.service.Replays(t.Context(), w.db, w.acme, one.ID, 1)
		must(t, err)
		return all[0].State == "done" && all[0].Delivered == 6
	})
	w.caught(t, one)
	stop()
	w.retain(t)
	if left := w.records(t, w.acme); len(left) > 0 && left[0].Sequence == 1 {
		t.Error("it has delivered everything, and nothing goes")
	}
}

// What is gone before a sink had it is told, once, and the sink goes on after it.
func TestWhatASinkMissedIsTold(t *testing.T) {
	w := newWorld(t)
	w.ago.Store(int64(aYear))
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	stop := w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	delivered := w.caught(t, one).Delivered
	stop()
	_, err := w.service.Change(t.Context(), w.cause, w.acme, one.ID, nil, func(s *sinks.Sink) error { s.Enabled = false; return nil })
	must(t, err)
	stop = w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	eventually(t, "it waits, and Kafka has told of it", func() bool {
		published := w.published(t)
		unread, err := w.cluster.Lag(t.Context(), sinks.Group)
		return published && err == nil && unread == 0 && w.sink(t, one).Lag >= 20
	})
	stop()
	gone, err := audit.Head(t.Context(), w.db, w.acme)
	must(t, err)
	w.retain(t)
	_, err = w.service.Replay(t.Context(), w.cause, w.acme, one.ID, []sink.Range{{From: 3, To: 7}})
	must(t, err)
	_, err = w.service.Change(t.Context(), w.cause, w.acme, one.ID, nil, func(s *sinks.Sink) error { s.Enabled = true; return nil })
	must(t, err)
	w.happens(t, w.acme, 10)
	w.run(t, w.runner().Run)
	eventually(t, "both are told", func() bool { return len(w.told(t, w.acme, core.SinkMissed)) == 2 })
	last := w.caught(t, one).Delivered
	want := map[string]bool{fmt.Sprintf("%d-%d", delivered+1, gone): true, "3-7": true}
	for _, record := range w.told(t, w.acme, core.SinkMissed) {
		data := record.Event.Data
		if said := data["first_sequence"] + "-" + data["last_sequence"]; !want[said] || record.Event.Targets[0].ID != one.ID {
			t.Errorf("%s is told, want %v", said, want)
		} else {
			delete(want, said)
		}
	}
	if got := sequences(t, to, w.acme); int64(len(distinct(got))) != delivered+last-gone {
		t.Errorf("%d have arrived, %d to %d are missing", len(distinct(got)), delivered+1, gone)
	}
}

// What the log does not have any more is neither delivered from the beginning nor missing.
func TestWhatIsGoneIsNotMissing(t *testing.T) {
	w := newWorld(t)
	w.ago.Store(int64(aYear))
	to, url := collector(t)
	to.Behave(receiver.Behaviour{Forget: true})
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 20)
	w.caught(t, one)
	w.retain(t)
	w.happens(t, w.acme, 10)
	done := w.caught(t, one)
	begins := w.records(t, w.acme)[0].Sequence
	told, err := w.service.Difference(t.Context(), w.acme, one.ID, 0, 0)
	must(t, err)
	if begins == 1 || told.From != begins || len(told.Missing) != 1 || told.Missing[0] != (sink.Range{From: begins, To: told.To}) || told.To < done.Delivered {
		t.Errorf("the log begins with %d, and it tells %+v", begins, told)
	}
	second, url := collector(t)
	whole := w.splunk(t, w.acme, "Archive", url, func(wanted *sinks.Wanted) { wanted.Everything = true })
	w.caught(t, whole)
	if got := sequences(t, second, w.acme); whole.Began != begins || got[0] != begins || len(w.told(t, w.acme, core.SinkMissed)) != 0 {
		t.Errorf("the log begins with %d, the sink with %d", begins, whole.Began)
	}
}

// A dead letter whose event is gone is left, and keeps no other from being sent again.
func TestALetterWhoseEventIsGoneIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.ago.Store(int64(aYear))
	to, url := collector(t)
	to.Behave(receiver.Behaviour{Poison: func(event json.RawMessage) bool { return bytes.Contains(event, []byte(`"user 3"`)) }})
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	w.run(t, w.runner().Run)
	w.happens(t, w.acme, 5)
	w.caught(t, one)
	w.retain(t)
	w.happens(t, w.acme, 5)
	if done := w.caught(t, one); done.Dead != 2 {
		t.Fatalf("%+v", done)
	}
	to.Behave(receiver.Behaviour{})
	got, err := w.service.Retry(t.Context(), w.cause, w.acme, one.ID, core.ID{})
	if err != nil || got.Delivered != 1 || got.Left != 1 || !strings.Contains(got.Answer, "any more") {
		t.Errorf("%+v %v", got, err)
	}
	if left := w.sink(t, one).Dead; left != 1 {
		t.Errorf("%d are left", left)
	}
	eventually(t, "it is told", func() bool {
		records := w.told(t, w.acme, core.SinkReplayed)
		return len(records) == 1 && records[0].Event.Data["dead_letters"] == "1"
	})
}
