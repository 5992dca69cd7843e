package rotation

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

// SwitchState is how far a Switch has come.
type SwitchState string

// The states of a Switch.
const (
	SwitchWanted  SwitchState = "wanted"  // the app is to be asked
	SwitchApplied SwitchState = "applied" // the app says that it lets the account in no more; a sign-in is to prove it
	SwitchBlocked SwitchState = "blocked" // a person is needed: who asks again has it gone on with
	SwitchDone    SwitchState = "done"
)

// Switch is an account that the app's administrator has the app let in no more, or again. It goes through the same care as
// a rotation: one worker at a time under a lease, again until the app answers, out of the administrator's lockout budget. To ask
// an app twice does no harm, so that a worker may die anywhere.
//
//	wanted ─► applied ─► done       disabled: a fresh sign-in with the stored password was turned away. With Recorded that proves it, and
//	                                where the app says so itself (Outcome is Disabled); otherwise it may refuse that password for another reason
//	wanted ─► done                  enabled: the account opens by the rotation that follows, which knows a new password
//	wanted, applied ─► blocked      the app's administrator is turned away, the app knows no such account, or lets it in still
type Switch struct {
	ID            core.ID     `db:"id"`
	Workspace     core.ID     `db:"workspace_id"`
	Account       core.ID     `db:"account_id"`
	Enabled       bool        `db:"enabled"` // what is wanted
	Cause         core.Cause  `db:"cause"`
	State         SwitchState `db:"state"`
	Detail        string      `db:"detail"`  // for a person: why it is where it is
	Outcome       Outcome     `db:"outcome"` // the connector's latest
	Administrator core.ID     `db:"administrator"`
	Hosts         []string    `db:"hosts"`
	Applied       *time.Time  `db:"applied"`  // when the app said that it did
	Recorded      *time.Time  `db:"recorded"` // when the app's own record, read back, said so too; nil: it was not read
	Proven        *time.Time  `db:"proven"`   // when a sign-in was turned away
	Fence         int64       `db:"fence"`
	LeaseUntil    *time.Time  `db:"lease_until"`
	Wake          int         `db:"wake"`
	Attempts      int         `db:"attempts"` // without progress
	NextAttempt   *time.Time  `db:"next_attempt"`
	Created       time.Time   `db:"created"`
	Updated       time.Time   `db:"updated"`
	Finished      *time.Time  `db:"finished"`
}

// switchStep is the job: go on with one switch.
type switchStep struct {
	Workspace core.ID `json:"workspace"`
	Switch    core.ID `json:"switch"`
	Wake      int     `json:"wake"`
}

// Kind implements jobs.Job.
func (switchStep) Kind() string { return "rotation.switch" }

const switchColumns = `id, workspace_id, account_id, enabled, cause, state, detail, outcome, administrator, hosts, applied, recorded, proven, fence, lease_until,
	wake, attempts, next_attempt, created, updated, finished`

const (
	selectSwitches = `select ` + switchColumns + ` from switches where workspace_id = @workspace and account_id = @account
order by created desc, id desc limit @limit`
	selectSwitch   = `select ` + switchColumns + ` from switches where workspace_id = @workspace and id = @id`
	lockSwitch     = selectSwitch + ` for update`
	lockOpenSwitch = `select ` + switchColumns + ` from switches where workspace_id = @workspace and account_id = @id and finished is null for update`
)

// Switches gives how often an account was to be disabled or enabled, newest first.
func (r *Rotations) Switches(ctx context.Context, q postgres.Querier, workspace, account core.ID, limit int) ([]Switch, error) {
	return postgres.Many[Switch](ctx, q, selectSwitches, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "limit": min(max(limit, 1), 500)})
}

const insertSwitch = `
insert into switches (id, workspace_id, account_id, enabled, cause, state, created, updated)
values (@id, @workspace, @account, @enabled, @cause, 'wanted', @now, @now)`

// SetEnabled has the app's reconcile account disable an account there, or enable it again, and returns what will do it. It asks
// nobody's leave: the caller does. One that is open already is gone on with, or turned round; row, event and job are part of tx.
// Of the reconcile account itself it is a Conflict. If there is none, or it cannot, that is told.
//
// Where the account is rotated at the time, that goes first for a while: nobody rotates what is disabled. An account that is
// enabled is rotated then, since who knew its password knows it still.
func (r *Rotations) SetEnabled(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, enabled bool) (Switch, error) {
	found, err := r.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return Switch{}, err
	}
	app, err := r.Accounts.App(ctx, tx, workspace, found.App)
	switch {
	case err != nil:
		return Switch{}, err
	case app.ReconcileAccount == account:
		return Switch{}, core.Conflict("", "this account disables and enables the others, and nobody does that to it").WithCode("reconcile_account")
	}
	now := r.now()
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": account}
	open, err := postgres.Many[Switch](ctx, tx, lockOpenSwitch, args)
	if err != nil {
		return Switch{}, err
	}
	one := Switch{ID: core.NewID(), Workspace: workspace, Account: account, Created: now, State: SwitchWanted, Hosts: []string{}}
	if len(open) > 0 {
		one = open[0]
	} else if _, err := tx.Exec(ctx, insertSwitch, pgx.StrictNamedArgs{
		"id": one.ID, "workspace": workspace, "account": account, "enabled": enabled, "cause": cause, "now": now,
	}); err != nil {
		return Switch{}, postgres.Classify(err)
	}
	if one.Enabled != enabled || one.State == SwitchBlocked {
		one.State, one.Applied, one.Recorded, one.Detail, one.Attempts = SwitchWanted, nil, nil, "", 0
	}
	one.Enabled, one.Cause, one.NextAttempt = enabled, cause, &now
	one.Wake++
	if err := r.saveSwitch(ctx, tx, &one); err != nil {
		return Switch{}, err
	}
	asked := map[bool]core.EventType{false: core.AccountDisableRequested, true: core.AccountEnableRequested}[enabled]
	if err := audit.Append(ctx, tx, core.NewEvent(asked, workspace, cause, now, found.Target()).With("switch", one.ID.String())); err != nil {
		return Switch{}, err
	}
	return one, r.queueSwitch(ctx, tx, one)
}

func (r *Rotations) queueSwitch(ctx context.Context, tx pgx.Tx, one Switch) error {
	return r.Queue.Add(ctx, tx, switchStep{Workspace: one.Workspace, Switch: one.ID, Wake: one.Wake}, jobOptions(ReasonDeprovision.priority()))
}

const updateSwitch = `
update switches set enabled = @enabled, cause = @cause, state = @state, detail = @detail, outcome = @outcome, administrator = @administrator,
	hosts = @hosts, applied = @applied, recorded = @recorded, proven = @proven, fence = @fence, lease_until = @lease, wake = @wake, attempts = @attempts,
	next_attempt = @next, updated = @now, finished = @finished
where workspace_id = @workspace and id = @id`

func (r *Rotations) saveSwitch(ctx context.Context, tx pgx.Tx, one *Switch) error {
	one.Updated = r.now()
	_, err := tx.Exec(ctx, updateSwitch, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "enabled": one.Enabled, "cause": one.Cause, "state": string(one.State), "detail": one.Detail,
		"outcome": string(one.Outcome), "administrator": one.Administrator, "hosts": one.Hosts, "applied": one.Applied, "recorded": one.Recorded, "proven": one.Proven,
		"fence": one.Fence, "lease": one.LeaseUntil, "wake": one.Wake, "attempts": one.Attempts, "next": one.NextAttempt, "now": one.Updated,
		"finished": one.Finished,
	})
	return postgres.Classify(err)
}

// tellSwitch appends what came of a switch.
func (r *Rotations) tellSwitch(ctx context.Context, tx pgx.Tx, kind core.EventType, one Switch, account accounts.Account) error {
	event := core.NewEvent(kind, one.Workspace, one.Cause, r.now(), account.Target()).Because(one.Detail).
		With("switch", one.ID.String()).With("enabled", strconv.FormatBool(one.Enabled)).With("outcome", string(one.Outcome))
	if kind == core.AccountSwitchBlocked {
		event = event.Failed(one.Detail)
	}
	if one.Recorded != nil {
		event = event.With("recorded", one.Recorded.UTC().Format(time.RFC3339Nano))
	}
	if !one.Administrator.IsZero() {
		event = event.With("administrator", one.Administrator.String())
	}
	return audit.Append(ctx, tx, event)
}

const selectOverdueSwitches = `
update switches set wake = wake + 1, next_attempt = @now
where (workspace_id, id) in (
	select workspace_id, id from switches
	where finished is null and next_attempt < @before and (lease_until is null or lease_until < @before)
	order by next_attempt limit 100 for update skip locked)
returning ` + switchColumns

// sweepSwitches queues again what should have gone on some time ago, of all workspaces, as Sweep does.
func (r *Rotations) sweepSwitches(ctx context.Context) (swept int, err error) {
	now := r.now()
	err = r.DB.Tx(ctx, func(tx pgx.Tx) error {
		overdue, err := postgres.Many[Switch](ctx, tx, selectOverdueSwitches, pgx.StrictNamedArgs{
			"now": now, "before": now.Add(-r.Options.withDefaults().SweepAfter),
		})
		if err != nil {
			return err
		}
		swept = len(overdue)
		for _, one := range overdue {
			if err := r.queueSwitch(ctx, tx, one); err != nil {
				return err
			}
		}
		return nil
	})
	return swept, err
}
