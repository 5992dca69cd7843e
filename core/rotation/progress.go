package rotation

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
)

// progress is a rotation's whole row: all that the next worker goes by.
type progress struct {
	Rotation
	Steps       int
	Delay       string
	Candidate   int // 0: none yet
	Previous    int
	Submitted   *time.Time
	Answer      Outcome
	Refusals    int     // of candidates, in all
	Rung        int     // of the ladder the next candidate is made on
	Factors     []int   // TOTP secrets that may be in force, in the order in which they are tried
	FactorSaid  Outcome // what the app said to the first code of the latest
	Pass        int
	Probed      *time.Time
	NewAccepted *time.Time
	OldRefused  *time.Time
	Hosts       []string
	Agent       string
	Events      []core.ID
	Follow      *wish
	// Administrator is the account that is to set the candidate; zero: the account itself changes its password.
	Administrator core.ID
	Mailed        bool // the candidate is set by way of the app's forgotten-password mail
	Fence         int64
	LeaseUntil    *time.Time
	Wake          int
	App           core.ID `db:"app_id"`
	Risk          int     // of its account, 1 to 5; SetRisk and ChangeApp write it
	Parked        bool    // it is due, and its app has no place; see turn.go

	// later takes what is written and needs no answer: it is sent with the commit. Nil: it is sent at once.
	later pgx.Tx
}

// writes is the transaction on a locked row, for statements whose answer nobody reads.
func (p *progress) writes(tx pgx.Tx) pgx.Tx {
	if p.later != nil {
		return p.later
	}
	return tx
}

// The passes of probing.
const (
	passNone  = 0
	passFirst = 1 // the candidate and the current password
	passLast  = 2 // everything in the vault
)

// wish is what somebody wants of an account while a rotation is under way that cannot give it.
type wish struct {
	Reason   Reason     `json:"reason"`
	Cause    core.Cause `json:"cause"`
	Priority int        `json:"priority"`
	// Administrator sets the password; zero: the account itself does. It is not kept of what is to follow.
	Administrator core.ID `json:"-"`
	// Mailed has it set by way of the app's forgotten-password mail. It is not kept either.
	Mailed bool `json:"-"`
}

const progressColumns = columns + `, steps, delay, coalesce(candidate, 0) as candidate, coalesce(previous, 0) as previous, submitted, answer,
	refusals, factors, factor_said, rung, pass, probed, new_accepted, old_refused, hosts, agent, events, follow, administrator, mailed, fence, lease_until, wake, app_id, risk, parked`

const lockProgress = `select ` + progressColumns + ` from rotations where workspace_id = @workspace and id = @id for update`

const lockOpen = `select ` + progressColumns + ` from rotations where workspace_id = @workspace and account_id = @id and finished is null for update`

// lockNext queues lockProgress, which reads the row into p, as part of what a transaction begins with. A row that is not there
// is errFenced.
func lockNext(batch *pgx.Batch, workspace, id core.ID, p *progress) {
	batch.Queue(lockProgress, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Query(func(rows pgx.Rows) (err error) {
		if *p, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[progress]); noRows(err) {
			err = errFenced
		}
		return err
	})
}

// lock reads a row for change, by lockProgress or lockOpen.
func lock(ctx context.Context, tx pgx.Tx, query string, workspace, id core.ID) (progress, error) {
	rows, err := tx.Query(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return progress{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[progress])
}

const insertProgress = `
insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, next_attempt, created, updated, app_id, risk)
select @id, @workspace, a.id, @reason, @cause, @priority, 'planned', @now, @now, @now, a.app_id, coalesce(a.risk, p.risk)
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id where a.workspace_id = @workspace and a.id = @account
on conflict (workspace_id, account_id) where finished is null do nothing`

const updateProgress = `
update rotations set reason = @reason, cause = @cause, priority = @priority, state = @state, detail = @detail, steps = @steps, delay = @delay,
	candidate = nullif(@candidate, 0), previous = nullif(@previous, 0), submitted = @submitted, answer = @answer, refusals = @refusals, rung = @rung,
	factors = coalesce(@factors::integer[], '{}'), factor_said = @factor_said, pass = @pass, probed = @probed, new_accepted = @new_accepted, old_refused = @old_refused, hosts = @hosts, agent = @agent,
	events = @events, follow = @follow, administrator = @administrator, mailed = @mailed, fence = @fence, lease_until = @lease_until, wake = @wake, app_id = @app, parked = @parked, attempts = @attempts,
	next_attempt = @next_attempt, updated = @updated, finished = @finished, receipt = @receipt
where workspace_id = @workspace and id = @id`

// save writes a locked row back.
func (p *progress) save(ctx context.Context, tx pgx.Tx, now time.Time) error {
	p.Updated = now
	_, err := p.writes(tx).Exec(ctx, updateProgress, pgx.StrictNamedArgs{
		"workspace": p.Workspace, "id": p.ID, "reason": p.Reason, "cause": p.Cause, "priority": p.Priority, "state": p.State,
		"detail": p.Detail, "steps": p.Steps, "delay": p.Delay, "candidate": p.Candidate, "previous": p.Previous, "submitted": p.Submitted,
		"answer": p.Answer, "refusals": p.Refusals, "factors": p.Factors, "factor_said": p.FactorSaid, "rung": p.Rung, "pass": p.Pass, "probed": p.Probed, "new_accepted": p.NewAccepted,
		"old_refused": p.OldRefused, "hosts": p.Hosts, "agent": p.Agent, "events": p.Events, "follow": p.Follow, "administrator": p.Administrator, "mailed": p.Mailed, "fence": p.Fence,
		"lease_until": p.LeaseUntil, "wake": p.Wake, "app": p.App, "parked": p.Parked, "attempts": p.Attempts, "next_attempt": p.NextAttempt, "updated": p.Updated,
		"finished": p.Finished, "receipt": p.Receipt,
	})
	return err
}

const insertStep = `
insert into rotation_steps (workspace_id, rotation_id, number, state, detail, evidence, at)
values (@workspace, @rotation, @number, @state, @detail, @evidence, @at)`

// step moves a locked row to a state and writes it into the history. save must follow.
func (p *progress) step(ctx context.Context, tx pgx.Tx, now time.Time, state State, detail string, evidence any) error {
	p.State, p.Detail = state, detail
	p.Steps++
	text := []byte("{}")
	if evidence != nil {
		var err error
		if text, err = json.Marshal(evidence); err != nil {
			return core.Internal(err)
		}
	}
	_, err := p.writes(tx).Exec(ctx, insertStep, pgx.StrictNamedArgs{
		"workspace": p.Workspace, "rotation": p.ID, "number": p.Steps, "state": state, "detail": detail, "evidence": text, "at": now,
	})
	return err
}

// tell appends an event of a locked row and remembers it for the receipt. save must follow.
func (p *progress) tell(ctx context.Context, tx pgx.Tx, event core.Event) error {
	event = event.With("rotation", p.ID.String()).With("reason", string(p.Reason))
	if err := audit.Append(ctx, p.writes(tx), event); err != nil {
		return err
	}
	p.Events = append(p.Events, event.ID)
	return nil
}

// targets names the account, and the rotation, in an event.
func (p *progress) targets(account accounts.Account) []core.Target {
	return []core.Target{account.Target(), {Kind: "rotation", ID: p.ID}}
}

// reset reports whether somebody else than the account sets the candidate: the app's administrator, or whoever has the app's
// forgotten-password mail.
func (p *progress) reset() bool { return !p.Administrator.IsZero() || p.Mailed }

// resting is the state that tells where a rotation goes on.
func (p *progress) resting() State {
	switch {
	case p.NewAccepted != nil:
		return StateNewProven
	case p.Pass != passNone:
		return StateProbing
	case p.reset():
		return StateReconciling
	case p.Candidate != 0:
		return StateStored
	}
	return StatePlanned
}
