package sinks_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"postern/core/audit"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/stream"
)

// A lane waits for a late answer, too, when its process stops.
func TestAStopWaitsForSlowAnswers(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	runner := w.runner()
	runner.Waits.Drain, runner.Drain = time.Millisecond, time.Minute
	stop := w.run(t, runner.Run)
	w.happens(t, w.acme, 10)
	w.caught(t, one)
	to.Behave(receiver.Behaviour{Delay: time.Second})
	asked, before := to.Posts(), len(to.Events())
	w.happens(t, w.acme, 10)
	eventually(t, "a request is under way", func() bool { return to.Posts() > asked })
	stop()
	eventually(t, "the receiver is done with it", func() bool { return len(to.Events()) > before })
	to.Behave(receiver.Behaviour{})
	w.run(t, w.runner().Run)
	done := w.caught(t, one)
	if got := sequences(t, to, w.acme); int64(len(got)) != done.Delivered || len(got) != len(distinct(got)) {
		t.Errorf("%d events came, %d of %d different ones", len(got), len(distinct(got)), done.Delivered)
	}
}

// late takes events and says that they are kept once it is asked again.
type late struct {
	mutex   sync.Mutex
	came    []int64
	sends   int
	resumed int
}

type lateSettings struct{}

func (lateSettings) Abilities() sink.Abilities { return sink.Abilities{} }

func (r *late) Limit() int   { return 2 << 20 }
func (r *late) Close() error { return nil }

func (r *late) Send(ctx context.Context, events []stream.Event) sink.Answer {
	r.mutex.Lock()
	for _, event := range events {
		r.came = append(r.came, event.Sequence)
	}
	r.sends++
	resumed := r.resumed
	r.mutex.Unlock()
	if resumed > 0 {
		return sink.Answer{Verdict: sink.Accepted}
	}
	<-ctx.Done()
	return sink.Answer{Verdict: sink.Busy, Reason: "not yet", Pending: json.RawMessage(`{"acks":[1]}`)}
}

func (r *late) Resume(context.Context, json.RawMessage) sink.Answer {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.resumed++
	return sink.Answer{Verdict: sink.Accepted}
}

func (r *late) all() []int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]int64(nil), r.came...)
}

// What a workspace's indexer has not acknowledged at a stop is asked for after it, and not sent again.
func TestWhatIsPendingAtAStopIsAskedFor(t *testing.T) {
	w := newWorld(t)
	to := &late{}
	w.service.Kinds["late"] = sink.NewKind("Late", func(lateSettings, struct{}) (sink.Receiver, error) { return to, nil })
	one, err := w.service.Create(t.Context(), w.cause, sinks.Wanted{Workspace: w.acme, Name: "SIEM", Kind: "late", Everything: true})
	must(t, err)
	runner := w.runner()
	runner.Waits.Drain = time.Millisecond
	stop := w.run(t, runner.Run)
	w.happens(t, w.acme, 10)
	eventually(t, "something is under way", func() bool { return len(to.all()) > 0 })
	stop()
	w.happens(t, w.acme, 10)
	w.run(t, w.runner().Run)
	done := w.caught(t, one)
	if got := to.all(); int64(len(got)) != done.Delivered || len(got) != len(distinct(got)) || to.resumed != 1 {
		t.Errorf("%d events came, %d of %d different ones; asked %d times", len(got), len(distinct(got)), done.Delivered, to.resumed)
	}
	if done.State != audit.SinkRunning {
		t.Errorf("%+v", done)
	}
}
