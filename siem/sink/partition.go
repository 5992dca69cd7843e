package sink

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/audit"
	"postern/siem/stream"
)

// partition is one partition of the topic, as a sink's process serves it.
type partition struct {
	sink   *Sink
	number int
}

// messages delivers what came from Kafka. A record that Postern did not write goes to the dead
// letters. It returns an error only if ctx ended before all was delivered, with how many messages are done.
func (p *partition) messages(ctx context.Context, delivery *Delivery, messages []stream.Message) (done int, err error) {
	events := make([]stream.Event, 0, len(messages))
	for _, message := range messages {
		if message.Fault == nil {
			events = append(events, message.Event)
			continue
		}
		if err := p.Bury(ctx, stream.Event{Value: message.Value}, message.Fault.Error()); err != nil {
			return 0, err
		}
	}
	rest, err := delivery.Deliver(ctx, events)
	if err != nil {
		for i, message := range messages {
			if message.Fault == nil && message.Position == rest[0].Position {
				return i, err
			}
		}
	}
	return len(messages), err
}

// Tell implements Owner.
func (p *partition) Tell(ctx context.Context, status audit.SinkStatus, reason string, waiting []stream.Event) {
	p.sink.tell(ctx, p.number, state{status, reason}, workspacesOf(waiting))
}

// Keep implements Owner.
func (p *partition) Keep(ctx context.Context, events []stream.Event, pending json.RawMessage) {
	left := audit.Unacknowledged{Pending: pending}
	for _, event := range events {
		left.Events = append(left.Events, event.ID)
	}
	p.keep(ctx, left)
}

func (p *partition) keep(ctx context.Context, left audit.Unacknowledged) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := audit.KeepUnacknowledged(last, p.sink.DB, p.sink.Name, p.number, left); err != nil {
		p.sink.log().WarnContext(ctx, "what the receiver has yet to acknowledge could not be recorded, it will come again", "error", err)
	}
}

// resume asks for what was pending when the partition was last given up: what the receiver keeps is left out when it comes.
func (p *partition) resume(ctx context.Context, delivery *Delivery) error {
	s := p.sink
	resumer, able := s.Receiver.(Resumer)
	if !able {
		return nil
	}
	var left audit.Unacknowledged
	err := s.patiently(ctx, func() (err error) {
		left, err = audit.TakeUnacknowledged(ctx, s.DB, s.Name, p.number)
		return err
	})
	if err != nil || left.Pending == nil {
		return err
	}
	kept, pending := delivery.Resume(ctx, resumer, left.Pending)
	switch {
	case kept:
		s.remember(p.number, left.Events)
	case pending != nil:
		left.Pending = pending
		p.keep(ctx, left)
	}
	return nil
}

// Nudged implements Owner.
func (p *partition) Nudged() <-chan struct{} {
	p.sink.mutex.Lock()
	defer p.sink.mutex.Unlock()
	return p.sink.retries
}

// Bury implements Owner.
func (p *partition) Bury(ctx context.Context, event stream.Event, answer string) error {
	s := p.sink
	letter := Letter(event, answer)
	letter.Sink, letter.Created = s.Name, s.now()
	err := s.patiently(ctx, func() error {
		return s.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.AddDeadLetter(ctx, tx, letter) })
	})
	if err == nil {
		s.log().ErrorContext(ctx, "the receiver refuses an event, it was put to the dead letters", "workspace", event.Workspace, "event", event.ID, "type", event.Type, "answer", answer)
	}
	return err
}

// Letter is the dead letter of an event, without the name of the sink and the time.
func Letter(event stream.Event, answer string) audit.DeadLetter {
	return audit.DeadLetter{Workspace: event.Workspace, Event: event.ID, Type: event.Type, Sequence: event.Sequence, Record: printable(event.Value), Answer: answer}
}

// printable is what PostgreSQL keeps as text.
func printable(value []byte) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(value), "\uFFFD"), "\x00", "\uFFFD")
}
