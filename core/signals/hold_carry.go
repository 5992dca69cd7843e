package signals

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// carryBatch is how many waiting signals are listed at once. Each is carried out by itself: thousands of people
// in one transaction would lock everything for as long as it takes.
const carryBatch = 200

const selectUnfinished = `
select workspace_id, id, connection_id, decision, cause from signal_holds
where decided is not null and finished is null
order by decided limit 100`

const selectWaiting = `
select id, users from signals
where workspace_id = @workspace and hold_id = @hold and outcome = 'held' and id > @after
order by id limit @limit`

const finishHold = `
update signal_holds h set finished = @now
where h.workspace_id = @workspace and h.id = @hold and h.finished is null and not exists (
	select from signals s where s.workspace_id = h.workspace_id and s.hold_id = h.id and s.outcome = 'held')`

type decided struct {
	Workspace  core.ID    `db:"workspace_id"`
	ID         core.ID    `db:"id"`
	Connection core.ID    `db:"connection_id"`
	Decision   string     `db:"decision"`
	Cause      core.Cause `db:"cause"`
}

type waiting struct {
	ID    core.ID   `db:"id"`
	Users []core.ID `db:"users"`
}

// Carry does what was decided about the holds of all workspaces, one signal at a time, and returns how many that
// were. Killed at any point it goes on where it was; in many processes at once each signal is done once. One that
// fails keeps no other from being done, and is tried again the next time.
func (s *Signals) Carry(ctx context.Context) (int, error) {
	rows, err := s.DB.Query(ctx, selectUnfinished)
	if err != nil {
		return 0, postgres.Classify(err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByName[decided])
	if err != nil {
		return 0, postgres.Classify(err)
	}
	total := 0
	var failed error
	for _, hold := range holds {
		done, err := s.carryHold(ctx, hold)
		total += done
		failed = errors.Join(failed, err)
	}
	return total, failed
}

func (s *Signals) carryHold(ctx context.Context, hold decided) (int, error) {
	total := 0
	var failed error
	for after := (core.ID{}); ctx.Err() == nil; {
		rows, err := s.DB.Query(ctx, selectWaiting, pgx.StrictNamedArgs{
			"workspace": hold.Workspace, "hold": hold.ID, "after": [16]byte(after), "limit": carryBatch,
		})
		if err != nil {
			return total, postgres.Classify(err)
		}
		batch, err := pgx.CollectRows(rows, pgx.RowToStructByName[waiting])
		if err != nil {
			return total, postgres.Classify(err)
		}
		for _, one := range batch {
			done, err := s.carryOne(ctx, hold, one)
			failed = errors.Join(failed, err)
			if done {
				total++
			}
		}
		if len(batch) < carryBatch {
			break
		}
		after = batch[len(batch)-1].ID
	}
	if total > 0 {
		s.wake()
	}
	if failed == nil && ctx.Err() == nil {
		_, failed = s.DB.Exec(ctx, finishHold, pgx.StrictNamedArgs{"workspace": hold.Workspace, "hold": hold.ID, "now": s.now()})
		failed = postgres.Classify(failed)
	}
	return total, failed
}

const lockHeld = `
select door, kind, subject, said, evidence, commands, waiting, owed, rotations, note from signals
where workspace_id = @workspace and id = @id and outcome = 'held' for update`

const finishHeld = `
update signals set outcome = @outcome, note = @note, commands = @commands, waiting = @waiting, rotations = @rotations
where workspace_id = @workspace and id = @id`

// carryOne does what waits of a signal, or notes that it never will be.
func (s *Signals) carryOne(ctx context.Context, hold decided, one waiting) (done bool, err error) {
	var t *telling
	err = s.DB.Command(ctx, nil, func(batch *pgx.Batch) {
		t = s.tell(hold.Cause, Signal{Workspace: hold.Workspace, Connection: hold.Connection}, nil)
		t.receipt.ID, t.receipt.Hold = one.ID, hold.ID
		t.Directory.QueueLockUsers(batch, hold.Workspace, hold.Connection, one.Users, &t.people)
	}, func(tx pgx.Tx, last *pgx.Batch) error {
		t.last, done = last, false
		found, err := t.readHeld(ctx, tx)
		if err != nil || !found {
			return err
		}
		done = true
		if hold.Decision == Reject {
			t.receipt.Outcome, t.receipt.Note = Rejected, "an administrator called it a mistake: nothing more was done"
		} else if err := t.release(ctx, tx); err != nil {
			return err
		}
		last.Queue(finishHeld, pgx.StrictNamedArgs{
			"workspace": hold.Workspace, "id": one.ID, "outcome": string(t.receipt.Outcome), "note": t.receipt.Note,
			"commands": words(t.receipt.Commands), "waiting": []string{}, "rotations": append([]core.ID{}, t.receipt.Rotations...),
		})
		return audit.Queue(last, append(t.events, t.later...)...)
	})
	return done && err == nil, err
}

// readHeld locks the receipt, and reports whether it still waits.
func (t *telling) readHeld(ctx context.Context, tx pgx.Tx) (bool, error) {
	var door, kind, said string
	var commands, waits []string
	var subject string
	var evidence, owed []byte
	err := tx.QueryRow(ctx, lockHeld, pgx.StrictNamedArgs{"workspace": t.signal.Workspace, "id": t.receipt.ID}).
		Scan(&door, &kind, &subject, &said, &evidence, &commands, &waits, &owed, &t.receipt.Rotations, &t.receipt.Note)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.signal.Door, t.signal.Kind = Door(door), Kind(kind)
	if said != "null" {
		if t.signal.Subject, err = ParseSubject([]byte(said)); err != nil {
			return false, err
		}
	}
	if err := json.Unmarshal(evidence, &t.signal.Evidence); err != nil {
		return false, core.Internal(err)
	}
	if owed != nil {
		if err := json.Unmarshal(owed, &t.owed); err != nil {
			return false, core.Internal(err)
		}
	}
	for _, one := range commands {
		t.receipt.Commands = append(t.receipt.Commands, Command(one))
	}
	for _, one := range waits {
		t.receipt.Waiting = append(t.receipt.Waiting, Command(one))
	}
	return true, nil
}

// release does what waited, for each person what was not done or held because of another signal. Whoever was
// deleted meanwhile is passed over.
func (t *telling) release(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	t.queueExposed(batch)
	var duties []duty
	for i, person := range t.people {
		one := duty{at: i, commands: t.receipt.Waiting}
		if t.owed != nil {
			one.commands = t.owed[person.ID]
		}
		duties = append(duties, one)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if err := t.chosen(ctx, tx); err != nil {
		return err
	}
	t.receipt.Outcome, t.receipt.Note = Done, "done after an administrator approved it"
	return t.grave(ctx, tx, duties)
}
