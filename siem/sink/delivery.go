package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/siem/stream"
)

// refusedInARow is how many events may be refused one after the other, with none accepted between
// them, before it is the receiver that is taken to be wrong and not the events.
const refusedInARow = 20

// Owner is whom a delivery works for.
type Owner interface {
	// Tell notes how it goes; waiting are the events that are held up.
	Tell(ctx context.Context, status audit.SinkStatus, reason string, waiting []stream.Event)
	// Bury keeps an event that the receiver refuses for what it is, however long that takes. It returns an
	// error only if ctx ended first.
	Bury(ctx context.Context, event stream.Event, answer string) error
	// Keep notes, when deliveries end, what the receiver has taken and not yet said it keeps: it can be asked later.
	Keep(ctx context.Context, events []stream.Event, pending json.RawMessage)
	// Nudged is closed when a receiver that is paused or busy shall be asked again now.
	Nudged() <-chan struct{}
}

// Waits are the times between attempts: a busy receiver is asked again after a random part of Backoff,
// doubled each time up to Longest; one that refuses everything every Probe. When deliveries end, a request that is
// under way is waited for as long as Drain. Zero means 500 ms, 1 min, 30 s, 5 s.
type Waits struct {
	Backoff, Longest, Probe, Drain time.Duration
}

// Delivery is the conversation with a receiver about events that must stay in order. Use it as a literal, by
// one goroutine at a time.
type Delivery struct {
	Receiver Receiver
	Owner    Owner
	Pace     *Pace // shared with other deliveries to the same receiver
	Waits    Waits
	// Ended is closed when a request that is under way has only Waits.Drain left. Before that it may finish, though the
	// ctx of Deliver ended: it is not known what a receiver does with one that is broken off. nil is that ctx.
	Ended <-chan struct{}

	most     int // events at once; 0 is as many as fit
	failures int // attempts in a row that found the receiver busy
	refused  int // events in a row that were refused
}

// Deliver delivers all events, however long it takes. It returns an error only if ctx ended first, with what
// is not delivered.
func (d *Delivery) Deliver(ctx context.Context, events []stream.Event) (rest []stream.Event, err error) {
	for len(events) > 0 {
		given, err := d.Pace.take(ctx, d.Receiver.Limit())
		if err == nil && ctx.Err() != nil {
			d.Pace.give(given, Refused, 0)
			err = ctx.Err()
		}
		if err != nil {
			return events, err
		}
		count := d.fit(events, given.size)
		began := time.Now()
		answer := d.send(ctx, events[:count])
		d.Pace.give(given, answer.Verdict, time.Since(began)-answer.Waited)
		if answer.Verdict == Refused && count == 1 {
			answer.Event = 0
		}
		switch {
		case answer.Verdict == Accepted:
			events = events[count:]
			d.accepted(ctx, answer)
		case answer.Verdict == Busy && answer.Pending != nil && ctx.Err() != nil:
			d.Owner.Keep(ctx, events[:count], answer.Pending)
		case answer.Verdict == Busy:
			d.failures++
			d.Owner.Tell(ctx, audit.SinkRetrying, answer.Reason, events[:count])
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
			if err := d.Owner.Bury(ctx, events[place], answer.Reason); err != nil {
				return events, err
			}
			d.refused++
			// Whether the receiver kept those before it is not known: they are sent again.
			events = slices.Delete(slices.Clone(events), place, place+1)
		default: // too much at once, or one of these, nobody knows which
			d.most = max(1, count/2)
		}
	}
	return nil, nil
}

// fit is how many events may go into the next request.
func (d *Delivery) fit(events []stream.Event, limit int) int {
	size := 0
	for count, event := range events {
		size += len(event.Value) + stream.Overhead
		if count > 0 && (size > limit || d.most > 0 && count >= d.most) {
			return count
		}
	}
	return len(events)
}

// Resume asks a receiver for what was pending when deliveries ended before. It reports whether the events are kept, and need
// not be sent again.
func (d *Delivery) Resume(ctx context.Context, resumer Resumer, pending json.RawMessage) (bool, json.RawMessage) {
	answer := d.attempt(ctx, func(ctx context.Context) Answer { return resumer.Resume(ctx, pending) })
	return answer.Verdict == Accepted, answer.Pending
}

func (d *Delivery) send(ctx context.Context, events []stream.Event) Answer {
	return d.attempt(ctx, func(ctx context.Context) Answer { return d.Receiver.Send(ctx, events) })
}

// attempt makes one attempt. When deliveries end it is given some time to finish.
func (d *Delivery) attempt(ctx context.Context, ask func(ctx context.Context) Answer) Answer {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := d.Ended
	if ended == nil {
		ended = ctx.Done()
	}
	go func() {
		select {
		case <-ended:
			core.Rest(sending, cmp.Or(d.Waits.Drain, LastWait))
			cancel()
		case <-sending.Done():
		}
	}()
	return ask(sending)
}

func (d *Delivery) accepted(ctx context.Context, answer Answer) {
	if d.most > 0 {
		if d.most *= 2; d.most > 10_000 {
			d.most = 0
		}
	}
	d.failures, d.refused = 0, 0
	d.Owner.Tell(ctx, audit.SinkRunning, answer.Reason, nil)
	if answer.RetryAfter > 0 { // it took them, and asks to be spared for a moment
		core.Rest(ctx, min(answer.RetryAfter, d.longest()))
	}
}

// pause holds everything back until the next probe: the same events, sent again.
func (d *Delivery) pause(ctx context.Context, reason string, events []stream.Event) {
	d.Owner.Tell(ctx, audit.SinkPaused, reason, events)
	d.rest(ctx, cmp.Or(d.Waits.Probe, probeEvery))
}

// rest waits, until it is asked to try again or ctx ends at the latest.
func (d *Delivery) rest(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.Owner.Nudged():
	case <-timer.C:
	}
}

// backoff is a random part of a wait that doubles with each failure, and no less than what the
// receiver asked for.
func (d *Delivery) backoff(asked time.Duration) time.Duration {
	most := min(cmp.Or(d.Waits.Backoff, shortestBackoff)<<min(d.failures-1, 16), d.longest())
	return asked + rand.N(most) + time.Millisecond
}

func (d *Delivery) longest() time.Duration { return cmp.Or(d.Waits.Longest, longestBackoff) }
