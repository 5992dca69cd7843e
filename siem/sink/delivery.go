package sink

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/audit"
	"postern/siem/stream"
)

// refusedInARow is how many events may be refused one after the other, with none accepted between
// them, before it is the receiver that is taken to be wrong and not the events.
const refusedInARow = 20

// delivery is the conversation with the receiver about one partition.
type delivery struct {
	sink      *Sink
	partition int

	most     int // events at once; 0 is as many as fit
	failures int // attempts in a row that found the receiver busy
	refused  int // events in a row that were refused
}

// messages delivers what came from Kafka. A record that Postern did not write goes to the dead
// letters. It returns an error only if ctx ended before all was delivered.
func (d *delivery) messages(ctx context.Context, messages []stream.Message) error {
	events := make([]stream.Event, 0, len(messages))
	for _, message := range messages {
		if message.Fault == nil {
			events = append(events, message.Event)
			continue
		}
		if err := d.bury(ctx, stream.Event{Value: message.Value}, message.Fault.Error()); err != nil {
			return err
		}
	}
	return d.events(ctx, events)
}

// events delivers all of them, however long it takes. It returns an error only if ctx ended first.
func (d *delivery) events(ctx context.Context, events []stream.Event) error {
	for len(events) > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		count := d.fit(events)
		answer := d.send(ctx, events[:count])
		if answer.Verdict == Refused && count == 1 {
			answer.Event = 0
		}
		switch {
		case answer.Verdict == Accepted:
			events = events[count:]
			d.accepted(ctx, answer)
		case answer.Verdict == Busy:
			d.failures++
			d.sink.tell(ctx, d.partition, state{audit.SinkRetrying, answer.Reason}, nil)
			d.rest(ctx, d.backoff(answer.RetryAfter))
		case answer.Verdict == Misconfigured:
			d.pause(ctx, answer.Reason, events[:count])
		case d.refused >= refusedInARow:
			d.pause(ctx, "the receiver refuses one event after the other: "+answer.Reason, events[:count])
		case answer.Verdict == Refused && answer.Event >= 0 && answer.Event < count, answer.Verdict == TooLarge && count == 1:
			place := answer.Event
			if answer.Verdict == TooLarge {
				place = 0
			}
			if err := d.bury(ctx, events[place], answer.Reason); err != nil {
				return err
			}
			d.refused++
			// Whether the receiver kept those before it is not known: they are sent again.
			events = slices.Delete(slices.Clone(events), place, place+1)
		default: // too much at once, or one of these, nobody knows which
			d.most = max(1, count/2)
		}
	}
	return nil
}

// fit is how many events may go into the next request.
func (d *delivery) fit(events []stream.Event) int {
	size, limit := 0, d.sink.Receiver.Limit()
	for count, event := range events {
		size += len(event.Value) + stream.Overhead
		if count > 0 && (size > limit || d.most > 0 && count >= d.most) {
			return count
		}
	}
	return len(events)
}

// send makes one attempt. When ctx ends it is given a few seconds to finish.
func (d *delivery) send(ctx context.Context, events []stream.Event) Answer {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		sleep(sending, drain)
		cancel()
	})
	defer stop()
	return d.sink.Receiver.Send(sending, events)
}

func (d *delivery) accepted(ctx context.Context, answer Answer) {
	if d.most > 0 {
		if d.most *= 2; d.most > 10_000 {
			d.most = 0
		}
	}
	d.failures, d.refused = 0, 0
	d.sink.tell(ctx, d.partition, state{audit.SinkRunning, answer.Reason}, nil)
	if answer.RetryAfter > 0 { // it took them, and asks to be spared for a moment
		sleep(ctx, min(answer.RetryAfter, d.sink.longest()))
	}
}

// pause holds everything back until the next probe: the same events, sent again.
func (d *delivery) pause(ctx context.Context, reason string, events []stream.Event) {
	d.sink.tell(ctx, d.partition, state{audit.SinkPaused, reason}, workspacesOf(events))
	d.rest(ctx, cmp.Or(d.sink.ProbeEvery, probeEvery))
}

// rest waits, until it is asked to try again or ctx ends at the latest.
func (d *delivery) rest(ctx context.Context, wait time.Duration) {
	d.sink.mutex.Lock()
	retries := d.sink.retries
	d.sink.mutex.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-retries:
	case <-timer.C:
	}
}

// backoff is a random part of a wait that doubles with each failure, and no less than what the
// receiver asked for.
func (d *delivery) backoff(asked time.Duration) time.Duration {
	most := min(cmp.Or(d.sink.Backoff, shortestBackoff)<<min(d.failures-1, 16), d.sink.longest())
	return asked + rand.N(most) + time.Millisecond
}

func (s *Sink) longest() time.Duration { return cmp.Or(s.LongestBackoff, longestBackoff) }

// bury keeps an event with the dead letters, however long the database takes.
func (d *delivery) bury(ctx context.Context, event stream.Event, answer string) error {
	letter := audit.DeadLetter{Sink: d.sink.Name, Workspace: event.Workspace, Event: event.ID, Record: printable(event.Value), Answer: answer, Created: d.sink.now()}
	err := d.sink.patiently(ctx, func() error {
		return d.sink.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.AddDeadLetter(ctx, tx, letter, event.Type) })
	})
	if err == nil {
		d.sink.log().ErrorContext(ctx, "the receiver refuses an event, it was put to the dead letters", "workspace", event.Workspace, "event", event.ID, "type", event.Type, "answer", answer)
	}
	return err
}

// printable is what PostgreSQL keeps as text.
func printable(value []byte) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(value), "\uFFFD"), "\x00", "\uFFFD")
}
