package sinks

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sink"
)

// retried is how many dead letters are sent again at a time, and how long that may take.
const (
	retried     = 500
	retriedLong = 30 * time.Second
)

const selectLetters = `
select id, sink, sink_id, workspace_id, event_id, type, sequence, record, answer, created
from dead_letters
where workspace_id = @workspace and sink_id = @id and id > @after and (id = @letter or @letter is null)
order by id
limit @limit`

// DeadLetters lists a sink's, oldest first, after one of them.
func (s *Service) DeadLetters(ctx context.Context, q postgres.Querier, workspace, id, after core.ID, limit int) ([]audit.DeadLetter, error) {
	return letters(ctx, q, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "after": [16]byte(after), "letter": core.ID{}, "limit": limit})
}

func letters(ctx context.Context, q postgres.Querier, args pgx.StrictNamedArgs) ([]audit.DeadLetter, error) {
	rows, err := q.Query(ctx, selectLetters, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[audit.DeadLetter])
	return found, postgres.Classify(err)
}

// Retried is what became of dead letters that were sent again.
type Retried struct {
	Delivered int
	Refused   int
	Left      int    // not tried: the receiver takes nothing, the log has the event no more, or there were too many for one time
	Answer    string // what the receiver said last, if it did not take one, or why one was not tried
}

const (
	deleteLetter = `delete from dead_letters where workspace_id = @workspace and sink_id = @id and id = @letter`
	updateLetter = `update dead_letters set answer = @answer where workspace_id = @workspace and sink_id = @id and id = @letter`
)

// Retry sends dead letters again now, each under its id: one, or as many as half a minute allows when letter is
// zero. What the receiver takes is no dead letter any more. It stops at an answer that is about all of them, and passes
// over what the log does not have any more. What became of them is an event, whatever the error.
func (s *Service) Retry(ctx context.Context, cause core.Cause, workspace, id, letter core.ID) (Retried, error) {
	one, err := s.Sink(ctx, s.DB, workspace, id)
	if err != nil {
		return Retried{}, err
	}
	found, err := letters(ctx, s.DB, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "after": [16]byte{}, "letter": letter, "limit": retried})
	if err == nil && len(found) == 0 && !letter.IsZero() {
		err = core.NotFound("dead letter")
	}
	if err != nil || len(found) == 0 {
		return Retried{}, err
	}
	receiver, redacts, err := s.open(ctx, one)
	if err != nil {
		return Retried{}, err
	}
	defer func() { _ = receiver.Close() }()
	result := Retried{Left: one.Dead}
	if !letter.IsZero() {
		result.Left = 1
	}
	failed := s.resend(ctx, receiver, redacts, found, &result)
	// What was delivered is told also if ctx has ended since, or the rest failed.
	told := core.NewEvent(core.SinkReplayed, workspace, cause, s.now(), one.target()).With("dead_letters", strconv.Itoa(result.Delivered)).Because(result.Answer)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = s.change(last, func(tx pgx.Tx) error { return audit.Append(last, tx, told) })
	return result, cmp.Or(failed, err)
}

// resend sends dead letters again, one after the other, for half a minute at most. One whose event retention took is
// passed over and left.
func (s *Service) resend(ctx context.Context, receiver sink.Receiver, redacts redactor, all []audit.DeadLetter, result *Retried) error {
	until := time.Now().Add(retriedLong)
	for _, one := range all {
		records, err := audit.Following(ctx, s.DB, one.Workspace, one.Sequence-1, 1)
		if err != nil {
			return err
		}
		if len(records) == 0 || records[0].Event.ID != one.Event {
			result.Answer = fmt.Sprintf("the log does not have event %s any more; the dead letter holds what was sent", one.Event)
			continue
		}
		events, err := s.events(records)
		if err == nil {
			events, err = redacts.all(events)
		}
		if err != nil {
			return err
		}
		answer := s.ask(ctx, receiver, events[0])
		args := pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.SinkID, "letter": one.ID}
		switch answer.Verdict {
		case verdicts[sink.Accepted]:
			result.Delivered++
			result.Left--
			_, err = s.DB.Exec(ctx, deleteLetter, args)
		case verdicts[sink.Refused], verdicts[sink.TooLarge]:
			result.Refused++
			result.Left--
			result.Answer = answer.Reason
			args["answer"] = answer.Reason
			_, err = s.DB.Exec(ctx, updateLetter, args)
		default:
			result.Answer = answer.Reason
			until = time.Time{}
		}
		if err != nil {
			return postgres.Classify(err)
		}
		if time.Now().After(until) {
			break
		}
	}
	return nil
}

const discardLetters = `
delete from dead_letters where workspace_id = @workspace and sink_id = @id and (id = @letter or @letter is null)`

// Discard gives up dead letters, one or all when letter is zero, for a reason that is kept in the log. The log keeps
// the events.
func (s *Service) Discard(ctx context.Context, cause core.Cause, workspace, id, letter core.ID, reason string) (int, error) {
	if reason == "" || len(reason) > 200 {
		return 0, core.Invalid("reason", "say why, in 1 to 200 bytes: the receiver will not have these events")
	}
	count := 0
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.locked(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		done, err := tx.Exec(ctx, discardLetters, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "letter": letter})
		if err != nil {
			return err
		}
		if count = int(done.RowsAffected()); count == 0 {
			if letter.IsZero() {
				return nil
			}
			return core.NotFound("dead letter")
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SinkDiscarded, workspace, cause, s.now(), one.target()).With("dead_letters", strconv.Itoa(count)).Because(reason))
	})
	return count, err
}
