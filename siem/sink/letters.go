package sink

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/ocsf"
	"postern/siem/stream"
)

// Letters keeps the dead letters of sinks for all workspaces, and of the relay.
type Letters struct {
	DB     *postgres.DB
	Mapper ocsf.Mapper      // the relay's
	Now    func() time.Time // nil: time.Now
}

// Retried is what became of dead letters that were sent again.
type Retried struct {
	Delivered int    `json:"delivered"`
	Refused   int    `json:"refused"`          // they stay, with what was said
	Left      int64  `json:"left"`             // not tried: what was said is about all of them
	Answer    string `json:"answer,omitempty"` // the last that was no yes
}

// page is how many dead letters are read, and settled, at a time.
const page = 100

// Retry sends dead letters again now, each under its id: one, or all when letter is zero. What the receiver takes is no
// dead letter any more, and its workspace is told. It stops at an answer that is about all of them. An event comes from the
// log, or as it was sent if the log does not have it any more; with the name audit.Relayed from the log alone: such a
// letter is delivered once its record can be read again.
func (l Letters) Retry(ctx context.Context, cause core.Cause, name string, letter core.ID, receiver Receiver) (Retried, error) {
	counts, err := audit.CountSharedLetters(ctx, l.DB, core.ID{})
	if err != nil {
		return Retried{}, err
	}
	result := Retried{Left: counts[name]}
	if !letter.IsZero() {
		result.Left = 1
	}
	for after, stopped := (core.ID{}), false; !stopped; {
		found, err := audit.SharedLetters(ctx, l.DB, name, letter, after, page)
		if err != nil {
			return result, err
		}
		if len(found) == 0 {
			if !letter.IsZero() && after.IsZero() {
				return Retried{}, core.NotFound("dead letter")
			}
			return result, nil
		}
		answers, delivered := map[core.ID]string{}, map[core.ID]int{}
		for _, one := range found {
			after = one.ID
			answer, err := l.send(ctx, one, receiver)
			if err != nil {
				return result, err
			}
			if answer.Verdict == Busy || answer.Verdict == Misconfigured {
				result.Answer, stopped = answer.Reason, true
				break
			}
			result.Left--
			answers[one.ID] = ""
			if answer.Verdict == Accepted {
				result.Delivered++
				delivered[one.Workspace]++
				continue
			}
			result.Refused++
			result.Answer = cmp.Or(answer.Reason, "the receiver refuses it")
			answers[one.ID] = result.Answer
		}
		// What is under way when somebody interrupts is written down: it was taken.
		settling := context.WithoutCancel(ctx)
		if err := l.DB.Tx(settling, func(tx pgx.Tx) error {
			for id, answer := range answers {
				if err := audit.SettleSharedLetter(settling, tx, name, id, answer); err != nil {
					return err
				}
			}
			return l.tell(settling, tx, cause, core.SinkReplayed, name, delivered, "")
		}); err != nil {
			return result, postgres.Classify(err)
		}
	}
	return result, nil
}

// send delivers one. A letter nothing can be made of is Refused.
func (l Letters) send(ctx context.Context, letter audit.DeadLetter, receiver Receiver) (Answer, error) {
	refused := func(reason string) (Answer, error) { return Answer{Verdict: Refused, Reason: reason}, nil }
	if letter.Workspace.IsZero() {
		return refused("this is no event of Postern's: it can be discarded alone")
	}
	records, err := audit.Following(ctx, l.DB, letter.Workspace, letter.Sequence-1, 1)
	if err != nil {
		return Answer{}, err
	}
	var record audit.Record
	var value []byte
	switch there := len(records) > 0 && records[0].Event.ID == letter.Event && records[0].Event.Type != core.RecordUnreadable; {
	case there:
		record = records[0]
		value, err = l.Mapper.Map(record)
	case letter.Sink == audit.Relayed:
		return refused("the record is damaged in the log: put it back from a backup, or discard it")
	default:
		value = []byte(letter.Record)
		record, err = ocsf.Record(value)
	}
	if err != nil {
		return refused("no document can be made of it: " + core.AsError(err).Message)
	}
	return receiver.Send(ctx, []stream.Event{stream.NewEvent(record, value)}), nil
}

// Discard gives up dead letters, one or all when letter is zero, for a reason that each workspace is told. The log keeps
// the events.
func (l Letters) Discard(ctx context.Context, cause core.Cause, name string, letter core.ID, reason string) (int, error) {
	if reason == "" || len(reason) > 200 {
		return 0, core.Invalid("reason", "say why, in 1 to 200 bytes: the receiver will not have these events")
	}
	count := 0
	err := l.DB.Tx(ctx, func(tx pgx.Tx) error {
		gone, err := audit.DiscardSharedLetters(ctx, tx, name, letter)
		if err != nil {
			return err
		}
		count = 0
		for _, letters := range gone {
			count += letters
		}
		if count == 0 && !letter.IsZero() {
			return core.NotFound("dead letter")
		}
		return l.tell(ctx, tx, cause, core.SinkDiscarded, name, gone, reason)
	})
	return count, postgres.Classify(err)
}

// tell appends an event to each workspace whose dead letters something became of.
func (l Letters) tell(ctx context.Context, tx pgx.Tx, cause core.Cause, kind core.EventType, name string, letters map[core.ID]int, reason string) error {
	var events []core.Event
	for workspace, count := range letters {
		if !workspace.IsZero() {
			events = append(events, core.NewEvent(kind, workspace, cause, postgres.Now(l.Now), core.Target{Kind: "sink", Name: name}).With("dead_letters", strconv.Itoa(count)).Because(reason))
		}
	}
	return audit.Append(ctx, tx, events...)
}

// Published is Kafka as the receiver of what the relay could not read at first.
type Published struct{ Producer *stream.Producer }

// Send implements Receiver.
func (p Published) Send(ctx context.Context, events []stream.Event) Answer {
	if err := p.Producer.Publish(ctx, events); err != nil {
		return Answer{Verdict: Busy, Reason: core.AsError(err).Message, Event: -1}
	}
	return Answer{Verdict: Accepted, Event: -1}
}

// Limit implements Receiver.
func (Published) Limit() int { return 1_000_000 }

// Close implements Receiver.
func (p Published) Close() error { p.Producer.Close(); return nil }

// Test sends one event now, which is in no log and has no place in a sequence: for a person who waits. It is of no
// workspace.
func Test(ctx context.Context, receiver Receiver, mapper ocsf.Mapper, cause core.Cause, name string) (core.ID, Answer, error) {
	event := core.NewEvent(core.SinkTested, core.ID{}, cause, cause.Received, core.Target{Kind: "sink", Name: name}).Because("a test, sent because somebody asked for it")
	canonical, err := audit.Canonical(event)
	if err != nil {
		return event.ID, Answer{}, core.Internal(err)
	}
	record := audit.Record{Event: event, Canonical: canonical, Previous: audit.Genesis(), Hash: audit.Hash(audit.Genesis(), 0, canonical)}
	value, err := mapper.Map(record)
	if err != nil {
		return event.ID, Answer{}, err
	}
	return event.ID, receiver.Send(ctx, []stream.Event{stream.NewEvent(record, value)}), nil
}
