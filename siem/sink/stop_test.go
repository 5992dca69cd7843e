package sink_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/stream"
)

// An answer that comes late, but within Drain, is waited for: nobody knows what a receiver does with a request that is
// broken off.
func TestAStopWaitsForSlowAnswers(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.run(t, l.relay.Run)
	slow := l.splunk(t)
	slow.Drain = time.Minute
	l.receiver.Behave(receiver.Behaviour{Delay: sink.LastWait + time.Second})
	l.append(t, 50)
	stop := l.run(t, slow.Run)
	eventually(t, "a request is under way", func() bool { return l.receiver.Posts() > 0 })
	l.append(t, 50)
	stop()
	eventually(t, "the receiver is done with it", func() bool { return len(l.receiver.Events()) > 0 })
	l.receiver.Behave(receiver.Behaviour{})
	l.run(t, l.splunk(t).Run)
	l.all(t, "splunk")
	if again := l.duplicates("splunk"); again > 0 {
		t.Errorf("%d events came twice over an orderly stop", again)
	}
}

// late takes events and does not say that they are kept before it is asked for it, or prompt.
type late struct {
	mutex   sync.Mutex
	came    map[core.ID]int
	prompt  bool
	resumed int
}

func (r *late) Limit() int   { return 1 << 20 }
func (r *late) Close() error { return nil }

func (r *late) Send(ctx context.Context, events []stream.Event) sink.Answer {
	r.mutex.Lock()
	for _, event := range events {
		r.came[event.ID]++
	}
	prompt := r.prompt
	r.mutex.Unlock()
	if prompt {
		return sink.Answer{Verdict: sink.Accepted}
	}
	<-ctx.Done()
	return sink.Answer{Verdict: sink.Busy, Reason: "not yet", Pending: json.RawMessage(`{"acks":[1]}`)}
}

func (r *late) Resume(_ context.Context, pending json.RawMessage) sink.Answer {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.resumed++
	if string(pending) != `{"acks": [1]}` {
		return sink.Answer{Verdict: sink.Busy}
	}
	return sink.Answer{Verdict: sink.Accepted}
}

func (r *late) counts() (events, again int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, times := range r.came {
		again += times - 1
	}
	return len(r.came), again
}

// What an indexer has not acknowledged at a stop is asked for after it, and not sent again.
func TestWhatIsPendingAtAStopIsAskedFor(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.run(t, l.relay.Run)
	to := &late{came: map[core.ID]int{}}
	make := func() *sink.Sink {
		one := l.splunk(t)
		one.Receiver = to
		return one
	}
	l.append(t, 50)
	stop := l.run(t, make().Run)
	eventually(t, "something is under way", func() bool { events, _ := to.counts(); return events > 0 })
	stop()
	to.mutex.Lock()
	to.prompt = true
	to.mutex.Unlock()
	l.append(t, 50)
	l.run(t, make().Run)
	eventually(t, "everything has arrived", func() bool { events, _ := to.counts(); return events >= 4*50 })
	if _, again := to.counts(); again > 0 || to.resumed == 0 {
		t.Errorf("%d events came twice over an orderly stop, %d were asked for", again, to.resumed)
	}
}
