package health

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Health checks passwords and tells how they are. It is safe for concurrent use, in many processes.
type Health struct {
	DB        *postgres.DB
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations // whose connectors, budget and timeouts checks use
	Queue     *jobs.Queue
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after a commit with events, if set
	Log       *slog.Logger     // nil: nothing is logged. Only Run does
	Mail      *mail.Mail       // nil: nobody is mailed that an account needs them
	PublicURL string           // of the console, in mails
	PerApp    int              // checks that sign in to one app at a time; default 2
}

// now is the time as PostgreSQL keeps it.
func (h *Health) now() time.Time { return postgres.Now(h.Now) }

func (h *Health) wake() {
	if h.Wake != nil {
		h.Wake()
	}
}

func (h *Health) perApp() int { return cmp.Or(h.PerApp, 2) }

// Reason is why a check is made.
type Reason string

// The reasons.
const (
	Scheduled      Reason = "schedule"
	Asked          Reason = "asked"           // a person wants to know
	Resync         Reason = "resync"          // and has the other stored passwords tried too
	Given          Reason = "given"           // somebody gave the password the app has
	Managed        Reason = "managed"         // the account was taken under management again
	Confirmed      Reason = "confirm"         // a refusal is made sure of
	Created        Reason = "created"         // the account is new
	Reactivated    Reason = "reactivated"     // somebody is back who had it
	GivenBack      Reason = "given_back"      // and was given it anew
	RotationStuck  Reason = "rotation_failed" // a rotation of it waits for a person
	OwnerChanged   Reason = "owner_changed"
	AdminChanged   Reason = "admin_changed" // somebody who knows the password became an administrator, or is none any more
	ReportedFaulty Reason = "reported"      // two people said that it does not work
)

// Superseded is the outcome of a check that was not needed any more, or whose sign-in said nothing about
// the password there is now.
const Superseded rotation.Outcome = "superseded"

// Check is one look at an account's password: a sign-in, or a few where its history is tried too.
type Check struct {
	ID        core.ID          `db:"id"`
	Workspace core.ID          `db:"workspace_id"`
	Account   core.ID          `db:"account_id"`
	App       core.ID          `db:"app_id"`
	Reason    Reason           `db:"reason"`
	Cause     core.Cause       `db:"cause"`
	Asked     time.Time        `db:"asked"`
	Given     *int             `db:"given"`   // the version it is to prove; nil: the current one
	History   bool             `db:"history"` // the others are tried too
	Tried     []int            `db:"tried"`   // refused in this check
	Attempts  int              `db:"attempts"`
	Wake      int              `db:"wake"`
	Fence     int              `db:"fence"`
	Lease     *time.Time       `db:"lease_until"`
	Next      *time.Time       `db:"next"`    // when it goes on, while it waits
	Version   *int             `db:"version"` // of the password that was tried last
	Outcome   rotation.Outcome `db:"outcome"` // of that sign-in; empty: none was made yet
	Detail    string           `db:"detail"`  // for a person: what the app said, or why it waits
	Stage     string           `db:"stage"`
	Started   *time.Time       `db:"started"`
	Finished  *time.Time       `db:"finished"`
	State     accounts.State   `db:"state"` // of the account, afterwards
	Hosts     []string         `db:"hosts"`
	Agent     string           `db:"agent"`
	Changes   bool             `db:"changes"` // what talks to the app can change passwords too
}

const columns = `id, workspace_id, account_id, app_id, reason, cause, asked, given, history, tried, attempts, wake, fence, lease_until, next,
	version, coalesce(outcome, '') as outcome, detail, stage, started, finished, state, hosts, agent, changes`

const selectChecks = `select ` + columns + ` from checks where workspace_id = @workspace and account_id = @account
	and (@before::uuid is null or (asked, id) < (select asked, id from checks where workspace_id = @workspace and account_id = @account and id = @before))
order by asked desc, id desc limit @limit`

// Checks lists an account's checks, latest first, from the one after before on; zero is the first.
func (h *Health) Checks(ctx context.Context, q postgres.Querier, workspace, account, before core.ID, limit int) ([]Check, error) {
	return many(ctx, q, selectChecks, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "before": before, "limit": min(max(limit, 1), 500),
	})
}

func many(ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]Check, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Check])
	return found, postgres.Classify(err)
}

func one(ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) (Check, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return Check{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Check])
	if errors.Is(err, pgx.ErrNoRows) {
		return Check{}, core.NotFound("check")
	}
	return found, postgres.Classify(err)
}
