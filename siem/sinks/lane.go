package sinks

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/siem/sink"
	"postern/siem/stream"
)

const (
	pageOfLog = 500 // records read from the log at a time
	lookAgain = 10 * time.Second
)

// lane delivers to one sink of one workspace, as it was configured at one revision.
type lane struct {
	entry
	runner *Runner
	stop   context.CancelFunc
	done   chan struct{}
	wake   core.Bell
	ended  <-chan struct{} // closed when the partition is given up, not when the sink was changed

	of   Sink   // as it is read when the lane begins
	told string // last, of how it goes
	backlog

	mutex   sync.Mutex
	open    bool           // it takes events from the stream
	behind  bool           // what comes next is to be read from the log
	waiting []stream.Event // follow one another without a gap
	bytes   int64
}

// offer hands a lane what came from the stream. It never waits: what finds no room is read from the log later.
func (l *lane) offer(event stream.Event) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if !l.open {
		return
	}
	if last := len(l.waiting) - 1; last >= 0 && event.Sequence <= l.waiting[last].Sequence {
		return // published twice
	} else if last >= 0 && event.Sequence != l.waiting[last].Sequence+1 {
		l.late()
		return
	}
	size := int64(len(event.Value) + stream.Overhead)
	if !l.runner.reserve(l.Workspace, l.bytes, size) {
		l.late()
		return
	}
	l.waiting, l.bytes = append(l.waiting, event), l.bytes+size
	l.wake.Ring()
}

// late has a lane read the log next, also one that has nothing to do.
func (l *lane) late() {
	l.behind = true
	l.wake.Ring()
}

// take gives what waits from a sequence on, as much as a request has; nothing when the log is to be read.
func (l *lane) take(next int64, limit int) []stream.Event {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	drop := 0
	for drop < len(l.waiting) && l.waiting[drop].Sequence < next {
		drop++
	}
	l.release(drop)
	if len(l.waiting) == 0 {
		return nil
	}
	if l.waiting[0].Sequence != next {
		l.behind = true
		return nil
	}
	count := fits(l.waiting, limit)
	taken := append([]stream.Event(nil), l.waiting[:count]...)
	l.release(count)
	return taken
}

// release forgets the first of what waits.
func (l *lane) release(count int) {
	if count == 0 {
		return
	}
	size := int64(0)
	for i := range count {
		size += int64(len(l.waiting[i].Value) + stream.Overhead)
		l.waiting[i] = stream.Event{}
	}
	l.waiting, l.bytes = l.waiting[count:], l.bytes-size
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	l.runner.free(l.Workspace, size)
}

// listen has a lane take what comes from the stream, or nothing: what came meanwhile is read from the log.
func (l *lane) listen(yes bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.open == yes {
		return
	}
	l.open, l.behind = yes, true
	l.release(len(l.waiting))
}

// run delivers until ctx ends.
func (l *lane) run(ctx context.Context) {
	defer l.listen(false)
	service := l.runner.Service
	if l.Held {
		_ = l.runner.patiently(ctx, func() error { return service.drained(ctx, l.Workspace, l.ID) })
		return
	}
	// The cursor is where whoever delivered before has left it.
	err := l.runner.patiently(ctx, func() error {
		one, err := service.Sink(ctx, service.DB, l.Workspace, l.ID)
		if err == nil {
			l.of = one
		}
		return gone(err)
	})
	if err != nil || l.of.Held {
		return
	}
	receiver, redacts, err := service.open(ctx, l.of)
	for ctx.Err() == nil && err != nil {
		reason := core.AsError(err).Message
		if core.KindOf(err) == core.KindInternal {
			reason = "its credentials cannot be opened"
			service.log().ErrorContext(ctx, "a sink cannot be opened", "workspace", l.Workspace, "sink", l.ID, "error", err)
		}
		l.Tell(ctx, audit.SinkPaused, reason, nil)
		core.Rest(ctx, l.runner.probe())
		receiver, redacts, err = service.open(ctx, l.of)
	}
	if ctx.Err() != nil {
		return
	}
	defer func() { _ = receiver.Close() }()
	resumer, _ := receiver.(sink.Resumer)
	if service.Meter != nil {
		receiver = measured{receiver, l.of.Kind, service.Meter}
	}
	delivery := &sink.Delivery{Receiver: receiver, Owner: l, Pace: &sink.Pace{}, Waits: l.runner.Waits, Ended: l.ended}
	if resumer != nil {
		l.resume(ctx, delivery, resumer)
	}
	l.listen(true)
	l.deliver(ctx, delivery, redacts)
}

// resume asks for what was pending when the lane before this one ended: what the receiver keeps is delivered.
func (l *lane) resume(ctx context.Context, delivery *sink.Delivery, resumer sink.Resumer) {
	service := l.runner.Service
	var pending json.RawMessage
	var last int64
	if l.runner.patiently(ctx, func() (err error) {
		pending, last, err = service.pending(ctx, l.of)
		return err
	}) != nil || pending == nil {
		return
	}
	kept, still := delivery.Resume(ctx, resumer, pending)
	switch {
	case kept:
		l.runner.write(ctx, func(ctx context.Context) error { return service.progress(ctx, l.of, last, new(service.now())) })
		l.of.Delivered = max(l.of.Delivered, last)
	case still != nil:
		l.keep(ctx, last, still)
	}
}

// Keep implements sink.Owner.
func (l *lane) Keep(ctx context.Context, events []stream.Event, pending json.RawMessage) {
	l.keep(ctx, events[len(events)-1].Sequence, pending)
}

func (l *lane) keep(ctx context.Context, last int64, pending json.RawMessage) {
	l.runner.write(ctx, func(ctx context.Context) error { return l.runner.Service.keep(ctx, l.of, last, pending) })
}

// deliver takes turns between what is new and what is replayed.
func (l *lane) deliver(ctx context.Context, delivery *sink.Delivery, redacts redactor) {
	service := l.runner.Service
	next := l.of.Delivered + 1
	replay, err := service.next(ctx, l.of)
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	defer l.end()
	for ctx.Err() == nil {
		if err != nil { // the replay could not be read or written
			core.Rest(ctx, time.Second)
			replay, err = service.next(ctx, l.of)
			continue
		}
		events := l.take(next, delivery.Receiver.Limit())
		if events == nil {
			if events, err = l.read(ctx, next, delivery.Receiver.Limit()); err != nil {
				service.log().WarnContext(ctx, "the log cannot be read, trying again", "workspace", l.Workspace, "error", err)
				core.Rest(ctx, time.Second)
				err = nil
				continue
			}
		}
		if len(events) > 0 && events[0].Sequence > next { // the log has no gaps, only a beginning
			if l.missed(ctx, nil, next, events[0].Sequence-1) != nil {
				continue // ctx has ended
			}
			next = events[0].Sequence
		}
		if len(events) > 0 {
			last := events[len(events)-1].Sequence
			wanted := l.of.Filter.wanted(events)
			rest, stopped := l.send(ctx, delivery, redacts, wanted)
			if stopped != nil {
				last = next - 1
				if len(rest) > 0 {
					last = rest[0].Sequence - 1
				}
			}
			var at *time.Time
			if len(wanted) > len(rest) {
				at = new(service.now())
			}
			if last >= next {
				l.runner.write(ctx, func(ctx context.Context) error { return service.progress(ctx, l.of, last, at) })
				next = last + 1
			}
		}
		if replay != nil && ctx.Err() == nil {
			replay, err = l.replay(ctx, delivery, redacts, *replay)
			continue
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.wake.Rung():
		case <-again.C:
			l.falls()
		}
	}
}

// missed passes over what retention took. It returns an error only if ctx ended.
func (l *lane) missed(ctx context.Context, replay *Replay, from, to int64) error {
	return l.runner.patiently(ctx, func() error { return l.runner.Service.missed(ctx, l.of, replay, from, to) })
}

// send delivers what the receiver may see.
func (l *lane) send(ctx context.Context, delivery *sink.Delivery, redacts redactor, wanted []stream.Event) ([]stream.Event, error) {
	shown, err := redacts.all(wanted)
	if err != nil {
		return wanted, err
	}
	return delivery.Deliver(ctx, shown)
}

// replay delivers the next page of a replay and gives the replay as it is then, or the one after it.
func (l *lane) replay(ctx context.Context, delivery *sink.Delivery, redacts redactor, replay Replay) (*Replay, error) {
	service := l.runner.Service
	got := l.page(ctx, replay.Next)
	if got.err != nil {
		return nil, got.err
	}
	events := got.events
	first, last := replay.To+1, replay.To
	if len(events) > 0 {
		first, last = min(first, events[0].Sequence), min(last, events[len(events)-1].Sequence)
	}
	if first > replay.Next {
		if err := l.missed(ctx, &replay, replay.Next, first-1); err != nil {
			return nil, err
		}
		replay.Next = first
	}
	for len(events) > 0 && events[len(events)-1].Sequence > replay.To {
		events = events[:len(events)-1]
	}
	wanted := l.of.Filter.wanted(events)
	rest, stopped := l.send(ctx, delivery, redacts, wanted)
	if stopped != nil {
		last = replay.Next - 1
		if len(rest) > 0 {
			last = rest[0].Sequence - 1
		}
	}
	replay.Next = last + 1
	l.runner.write(ctx, func(ctx context.Context) error { return service.replayed(ctx, replay, len(wanted)-len(rest)) })
	if replay.Next <= replay.To {
		return &replay, nil
	}
	return service.next(ctx, l.of)
}

// Tell implements sink.Owner. A lane whose receiver takes nothing keeps nothing in memory: there is room for the others.
func (l *lane) Tell(ctx context.Context, status audit.SinkStatus, reason string, _ []stream.Event) {
	l.listen(status == audit.SinkRunning)
	if l.told == string(status)+reason {
		return
	}
	patience, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.runner.Service.note(patience, l.Workspace, l.ID, status, reason); err != nil {
		return // told with the next word
	}
	l.told = string(status) + reason
	if status != audit.SinkRunning {
		l.runner.Service.log().WarnContext(ctx, "a workspace's sink waits", "workspace", l.Workspace, "sink", l.ID, "state", status, "reason", reason)
	}
}

// Nudged implements sink.Owner. A change makes a new lane; nobody nudges this one.
func (l *lane) Nudged() <-chan struct{} { return nil }

// Bury implements sink.Owner.
func (l *lane) Bury(ctx context.Context, event stream.Event, answer string) error {
	service := l.runner.Service
	letter := sink.Letter(event, answer)
	letter.Sink, letter.SinkID, letter.Created = l.of.Name, l.ID, service.now()
	return l.runner.patiently(ctx, func() error {
		return service.change(ctx, func(tx pgx.Tx) error { return audit.AddDeadLetter(ctx, tx, letter) })
	})
}

// gone makes of what is not there any more an error that nobody waits for.
func gone(err error) error {
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return errGone
	}
	return err
}
