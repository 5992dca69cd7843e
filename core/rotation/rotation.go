package rotation

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/postgres"
)

// State is how far a rotation has come.
type State string

// The states; see the package comment for the way through them.
const (
	StatePlanned   State = "planned"
	StateStored    State = "stored"     // the candidate is sealed in the vault
	StateArmed     State = "armed"      // a worker goes to the app with it
	StateSubmitted State = "submitted"  // the change request has been allowed to leave
	StateProbing   State = "probing"    // finding out which password the app has
	StateNewProven State = "new_proven" // the candidate was accepted: it is the current password now
	StateOldDead   State = "old_dead"   // and the old one refused
	StateDone      State = "done"

	StateNotSent     State = "not_sent"    // certain: no request left
	StateUnchanged   State = "unchanged"   // the old password still works
	StateDrifted     State = "drifted"     // a password from history works
	StateUnknown     State = "unknown"     // no stored password works
	StateReconciling State = "reconciling" // the app's administrator is to set the candidate, or whoever has the app's forgotten-password mail
	StateBlocked     State = "blocked"     // a person is asked; a new Plan goes on
)

// Reason is why a password is rotated.
type Reason string

// The reasons, the weightiest first. ReasonEnrol leaves the password as it is and turns on a second factor.
// ReasonVerify changes nothing: it only tells whether the stored password is right.
const (
	ReasonDeprovision Reason = "deprovision"
	ReasonRevocation  Reason = "revocation"
	ReasonLinkEnd     Reason = "link_end"
	ReasonLogout      Reason = "logout" // it and those before lock somebody out
	ReasonOwnerChange Reason = "owner_change"
	ReasonAdminChange Reason = "admin_change"
	ReasonManual      Reason = "manual"
	ReasonSignIn      Reason = "sign_in"
	ReasonSchedule    Reason = "schedule"
	ReasonEnrol       Reason = "enrol"
	ReasonVerify      Reason = "verify"
)

// byWeight are the reasons, the lightest first.
var byWeight = []Reason{
	ReasonVerify, ReasonEnrol, ReasonSchedule, ReasonSignIn, ReasonManual, ReasonAdminChange, ReasonOwnerChange, ReasonLogout, ReasonLinkEnd, ReasonRevocation,
	ReasonDeprovision,
}

// weight orders reasons; an unknown one weighs nothing.
func (r Reason) weight() int { return slices.Index(byWeight, r) + 1 }

// priority is the job priority of a reason nobody gave one for.
func (r Reason) priority() int {
	switch r {
	case ReasonDeprovision, ReasonRevocation, ReasonLinkEnd, ReasonLogout:
		return 1
	case ReasonManual, ReasonEnrol:
		return 2
	case ReasonSignIn, ReasonOwnerChange, ReasonAdminChange, ReasonVerify:
		return 3
	}
	return 4
}

// Rotation is one rotation as a reader sees it.
type Rotation struct {
	ID          core.ID    `json:"id"`
	Workspace   core.ID    `json:"-" db:"workspace_id"`
	Account     core.ID    `json:"account" db:"account_id"`
	Reason      Reason     `json:"reason"`
	Cause       core.Cause `json:"cause"` // who asked, and when
	Priority    int        `json:"priority"`
	State       State      `json:"state"`
	Detail      string     `json:"detail,omitempty"` // for a person: why it is where it is
	Attempts    int        `json:"attempts"`         // without progress
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
	Created     time.Time  `json:"created"`
	Updated     time.Time  `json:"updated"`
	Finished    *time.Time `json:"finished,omitempty"`
	Receipt     *Receipt   `json:"receipt,omitempty"` // once a password was rotated
}

// Receipt proves a rotation: when the new password was accepted and the old one refused, in two
// fresh sign-ins.
type Receipt struct {
	Account       core.ID       `json:"account"`
	Rotation      core.ID       `json:"rotation"`
	Correlation   core.ID       `json:"correlation"`
	Reason        Reason        `json:"reason"`
	Candidate     int           `json:"candidate"` // version of the credential that is current now
	NewAccepted   time.Time     `json:"new_accepted"`
	OldRefused    time.Time     `json:"old_refused"`
	Received      time.Time     `json:"received"`           // when Postern was asked
	LockedOut     time.Time     `json:"locked_out"`         // when the old password was proven refused
	TimeToLockout time.Duration `json:"time_to_lockout_ns"` // between the two
	Hosts         []string      `json:"hosts"`              // every host contacted
	Agent         string        `json:"agent"`
	Fence         int64         `json:"fence"` // of the worker that finished
	EventIDs      []core.ID     `json:"events"`
	Administrator core.ID       `json:"administrator,omitzero"`   // who set the password, if not the account itself
	SessionsEnded *time.Time    `json:"sessions_ended,omitempty"` // when the app said that it ended the sessions open before
	Mailed        bool          `json:"mailed,omitempty"`         // it was set by way of the app's forgotten-password mail
}

// Step is one entry of a rotation's history.
type Step struct {
	Number   int             `json:"number"`
	State    State           `json:"state"`
	Detail   string          `json:"detail,omitempty"`
	Evidence json.RawMessage `json:"evidence,omitempty"` // what was seen, without secrets
	At       time.Time       `json:"at"`
}

// Rotations plans rotations and drives them. It is safe for concurrent use, in many processes.
type Rotations struct {
	DB         *postgres.DB
	Accounts   *accounts.Accounts
	Queue      *jobs.Queue
	Connectors Connectors
	// AllowPrivate lets connectors reach private addresses, as on a developer's machine.
	AllowPrivate bool
	// Inbox gives the codes that apps send to accounts without a TOTP secret. Nil: none come.
	Inbox Inbox
	// Rehearsed gives the Model of the last rehearsal of an app that passed; empty: there was none. Nil: nobody rehearses.
	Rehearsed func(ctx context.Context, q postgres.Querier, workspace, app core.ID) (json.RawMessage, error)
	Options   Options
	Now       func() time.Time // default time.Now
	Log       *slog.Logger     // default none
	Meter     Meter            // default none
}

// Options tune how patiently apps are treated. Zero values are good.
type Options struct {
	// Lease is how long a worker may be silent before another takes over. Default 15 seconds; it is
	// extended while the worker lives.
	Lease time.Duration
	// SignInTimeout bounds one sign-in. Default 1 minute.
	SignInTimeout time.Duration
	// ChangeTimeout bounds one sign-in with change. Default 2 minutes.
	ChangeTimeout time.Duration
	// FailedSignIns is how many failed sign-ins Postern allows itself per account within
	// FailedWindow. Defaults 2 and 15 minutes: below the lockout of most apps. Less than 1 would
	// leave no room for proving that the old password is refused.
	FailedSignIns int
	FailedWindow  time.Duration
	// FirstRetry and LastRetry bound the wait before an app that is down is tried again; it doubles
	// in between, without end. Defaults 10 seconds and 30 minutes.
	FirstRetry time.Duration
	LastRetry  time.Duration
	// Quiet is how long a change request that seems not to have been applied is given to be applied
	// late, before the same candidate is sent again. Default 10 minutes.
	Quiet time.Duration
	// Settle is the pause before everything is tried a second time: all stored passwords when none
	// worked, the old password when it was still accepted. Default 1 minute.
	Settle time.Duration
	// ProofAge is how old the new password's acceptance may be when the old one is tried. Default 2
	// minutes.
	ProofAge time.Duration
	// Tries is how often in a row an answer that makes no sense is borne before a person is asked.
	// Default 6.
	Tries int
	// PerApp is how many rotations of one app are under way at once, over all processes, unless SetPace says otherwise. It
	// should be less than how many jobs run at once, or an app that hangs keeps all others waiting. Default 3.
	PerApp int
	// SweepAfter is how long a rotation may be overdue before Sweep queues it again. Default 1 minute.
	SweepAfter time.Duration
}

func (o Options) withDefaults() Options {
	o.Lease = cmp.Or(o.Lease, 15*time.Second)
	o.SignInTimeout = cmp.Or(o.SignInTimeout, time.Minute)
	o.ChangeTimeout = cmp.Or(o.ChangeTimeout, 2*time.Minute)
	o.FailedSignIns = cmp.Or(o.FailedSignIns, 2)
	o.FailedWindow = cmp.Or(o.FailedWindow, 15*time.Minute)
	o.FirstRetry = cmp.Or(o.FirstRetry, 10*time.Second)
	o.LastRetry = cmp.Or(o.LastRetry, 30*time.Minute)
	o.Quiet = cmp.Or(o.Quiet, 10*time.Minute)
	o.Settle = cmp.Or(o.Settle, time.Minute)
	o.ProofAge = cmp.Or(o.ProofAge, 2*time.Minute)
	o.Tries = cmp.Or(o.Tries, 6)
	o.PerApp = cmp.Or(o.PerApp, 3)
	o.SweepAfter = cmp.Or(o.SweepAfter, time.Minute)
	return o
}

// retry is the wait before attempt number attempts+1 at an app that is down.
func (o Options) retry(attempts int) time.Duration {
	wait := o.FirstRetry
	for range min(attempts-1, 30) {
		if wait *= 2; wait >= o.LastRetry {
			return o.LastRetry
		}
	}
	return wait
}

// now is cut to microseconds, what PostgreSQL keeps.
func (r *Rotations) now() time.Time { return postgres.Now(r.Now) }

func (r *Rotations) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}

const columns = `id, workspace_id, account_id, reason, cause, priority, state, detail, attempts, next_attempt, created, updated, finished, receipt`

const selectRotation = `select ` + columns + ` from rotations where workspace_id = @workspace and id = @id`

// Rotation returns one rotation.
func (r *Rotations) Rotation(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Rotation, error) {
	rows, err := q.Query(ctx, selectRotation, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Rotation{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Rotation])
	if err := postgres.Classify(err); core.KindOf(err) == core.KindNotFound {
		return Rotation{}, core.NotFound("rotation")
	} else if err != nil {
		return Rotation{}, err
	}
	return found, nil
}

const selectRotations = `select ` + columns + ` from rotations
where workspace_id = @workspace and (@account::uuid is null or account_id = @account)
order by created desc, id desc limit @limit`

// List returns the latest rotations of an account, or of the whole workspace if account is zero,
// newest first.
func (r *Rotations) List(ctx context.Context, q postgres.Querier, workspace, account core.ID, limit int) ([]Rotation, error) {
	rows, err := q.Query(ctx, selectRotations, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "limit": min(max(limit, 1), 500)})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Rotation])
	return found, postgres.Classify(err)
}

const selectSteps = `
select number, state, detail, evidence, at from rotation_steps
where workspace_id = @workspace and rotation_id = @rotation order by number`

// Steps returns a rotation's history, oldest first.
func (r *Rotations) Steps(ctx context.Context, q postgres.Querier, workspace, rotation core.ID) ([]Step, error) {
	rows, err := q.Query(ctx, selectSteps, pgx.StrictNamedArgs{"workspace": workspace, "rotation": rotation})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Step])
	return found, postgres.Classify(err)
}
