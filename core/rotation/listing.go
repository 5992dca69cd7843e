package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
)

const (
	// listEvery is how often an app that was listed once is listed again.
	listEvery = 24 * time.Hour
	// mostLogins is how many accounts of an app are kept.
	mostLogins = 100_000
	maxLogin   = 512 // bytes of a username or name
)

// Listing is what is known of which accounts an app has.
type Listing struct {
	Workspace     core.ID    `db:"workspace_id"`
	App           core.ID    `db:"app_id"`
	Cause         core.Cause `db:"cause"`
	Detail        string     `db:"detail"`  // for a person: why there is none, or an old one
	Outcome       Outcome    `db:"outcome"` // the connector's latest
	Administrator core.ID    `db:"administrator"`
	Listed        *time.Time `db:"listed"` // when the app told all last
	Fence         int64      `db:"fence"`
	LeaseUntil    *time.Time `db:"lease_until"`
	Wake          int        `db:"wake"`
	Attempts      int        `db:"attempts"`
	NextAttempt   *time.Time `db:"next_attempt"` // nil: a person is needed
	Asked         time.Time  `db:"asked"`
}

// Login is an account an app has.
type Login struct {
	Username  string    `db:"username"`
	Name      string    `db:"name"`
	Disabled  bool      `db:"disabled"`
	FirstSeen time.Time `db:"first_seen"`
	Seen      time.Time `db:"seen"`
	Account   core.ID   `db:"account_id"` // zero: Postern knows nothing of it
	Managed   bool      `db:"managed"`    // Postern keeps its password up to date
}

// listStep is the job: list an app's accounts.
type listStep struct {
	Workspace core.ID `json:"workspace"`
	App       core.ID `json:"app"`
	Wake      int     `json:"wake"`
}

// Kind implements jobs.Job.
func (listStep) Kind() string { return "rotation.list" }

const listingColumns = `workspace_id, app_id, cause, detail, outcome, administrator, listed, fence, lease_until, wake, attempts, next_attempt, asked`

const (
	selectListing = `select ` + listingColumns + ` from app_listings where workspace_id = @workspace and app_id = @id`
	lockListing   = selectListing + ` for update`
	upsertListing = `
insert into app_listings (workspace_id, app_id, cause, asked, next_attempt) values (@workspace, @id, @cause, @now, @now)
on conflict (workspace_id, app_id) do update set cause = excluded.cause, asked = excluded.asked, next_attempt = excluded.next_attempt,
	attempts = 0, detail = '', wake = app_listings.wake + 1
returning ` + listingColumns
	updateListing = `
update app_listings set detail = @detail, outcome = @outcome, administrator = @administrator, listed = @listed, fence = @fence,
	lease_until = @lease, attempts = @attempts, next_attempt = @next where workspace_id = @workspace and app_id = @id`
)

// ListLogins has an app tell which accounts it has, as its reconcile account, soon and from then on every day. Administrators may, service
// accounts and the system. Where nobody can be asked it is a Conflict.
func (r *Rotations) ListLogins(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, app core.ID) (Listing, error) {
	if err := r.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return Listing{}, err
	}
	found, err := r.Accounts.App(ctx, tx, workspace, app)
	switch {
	case err != nil:
		return Listing{}, err
	case found.ReconcileAccount.IsZero():
		return Listing{}, core.Conflict("", "the app names no account that administers the others").WithCode("no_reconcile_account")
	}
	listing, err := postgres.One[Listing](ctx, tx, "listing", upsertListing, pgx.StrictNamedArgs{"workspace": workspace, "id": app, "cause": cause, "now": r.now()})
	if err != nil {
		return Listing{}, err
	}
	return listing, r.queueListing(ctx, tx, listing)
}

func (r *Rotations) queueListing(ctx context.Context, tx pgx.Tx, one Listing) error {
	return r.Queue.Add(ctx, tx, listStep{Workspace: one.Workspace, App: one.App, Wake: one.Wake}, jobOptions(ReasonSchedule.priority()))
}

// Listing says what is known of an app's accounts. NotFound: nobody has asked for it.
func (r *Rotations) Listing(ctx context.Context, q postgres.Querier, workspace, app core.ID) (Listing, error) {
	return postgres.One[Listing](ctx, q, "listing", selectListing, pgx.StrictNamedArgs{"workspace": workspace, "id": app})
}

// An account of another case is the same one to most apps.
const selectLogins = `
select l.username, l.name, l.disabled, l.first_seen, l.seen, a.id as account_id, a.id is not null and a.state <> 'unmanaged' as managed
from app_logins l
left join lateral (
	select id, state from accounts where workspace_id = @workspace and app_id = @app and fold(username) = fold(l.username)
	order by username = l.username desc, state = 'unmanaged', id limit 1
) a on true
where l.workspace_id = @workspace and l.app_id = @app and l.username > @after
	and (not @unmanaged::boolean or a.id is null or a.state = 'unmanaged')
order by l.username limit @limit`

// Logins gives the accounts an app has, by their usernames, from behind one of those on; with unmanaged only those whose passwords
// Postern does not keep up to date.
func (r *Rotations) Logins(ctx context.Context, q postgres.Querier, workspace, app core.ID, unmanaged bool, after string, limit int) ([]Login, error) {
	return postgres.Many[Login](ctx, q, selectLogins, pgx.StrictNamedArgs{
		"workspace": workspace, "app": app, "unmanaged": unmanaged, "after": after, "limit": min(max(limit, 1), 500),
	})
}

// AdvanceListing lists an app's accounts if that is due. What it returns is as of Advance.
func (r *Rotations) AdvanceListing(ctx context.Context, workspace, app core.ID) error {
	return r.advanceListing(ctx, workspace, app, 0)
}

func (r *Rotations) advanceListing(ctx context.Context, workspace, app core.ID, wake int) error {
	a, one, err := r.takeListing(ctx, workspace, app, wake)
	if a == nil {
		return err
	}
	logins := map[string]User{}
	lister, can := a.connector.(Lister)
	if !can || a.app.ReconcileAccount.IsZero() || !slices.Contains(Capabilities(a.connector, a.app.Settings), CanList) {
		one.Detail, one.NextAttempt = "Nobody lists the accounts of this app: that takes a connector that can, and an account of the app that administers the others.", nil
		return r.keepListing(ctx, one, nil)
	}
	lent, why, until, err := a.borrow(ctx, a.app.ReconcileAccount)
	if err != nil {
		return err
	}
	if why != "" {
		one.Detail, one.NextAttempt = why, nil
		if !until.IsZero() {
			one.NextAttempt = &until
		}
		return r.keepListing(ctx, one, nil)
	}
	a.account = lent.account
	by, err := r.credential(ctx, lent.account, lent.version)
	if err != nil {
		return err
	}
	started, full := r.now(), false
	trying, stop := context.WithTimeout(ctx, patience(a.options.ChangeTimeout, by))
	report := lister.Users(trying, a.target(), by, func(user User) error {
		if full = len(logins) >= mostLogins; full {
			return errors.New("rotation: the app has too many accounts")
		}
		user.Username, user.Name = plainText(user.Username), plainText(user.Name)
		if user.Username != "" {
			logins[user.Username] = user
		}
		return nil
	})
	stop()
	report = cleaned(report, started, r.now(), by.Password)
	r.meter().Tried(a.app.Connector, false, report.Outcome)
	if ctx.Err() != nil && report.Outcome != Applied {
		return ctx.Err()
	}
	if err := a.giveBack(ctx, lent, report); err != nil {
		return err
	}
	one.Outcome, one.Administrator = report.Outcome, lent.account.ID
	if full {
		one.Detail, one.NextAttempt = fmt.Sprintf("The app has more than %d accounts. A part of a list would hide the rest, so that none of it is kept.", mostLogins), nil
		return r.keepListing(ctx, one, nil)
	}
	switch report.Outcome {
	case Applied:
		one.Listed, one.Attempts, one.Detail, one.NextAttempt = &report.Finished, 0, "", new(r.now().Add(listEvery))
		return r.keepListing(ctx, one, logins)
	case AdminDenied, AdminRejected, Rejected:
		one.Detail, one.NextAttempt = "The app does not let its administrator list its accounts. "+report.Detail, nil
		return r.keepListing(ctx, one, nil)
	}
	one.Attempts++
	one.Detail, one.NextAttempt = words(report), new(r.now().Add(a.options.retry(one.Attempts)))
	if one.Attempts >= a.options.Tries {
		one.NextAttempt = new(r.now().Add(listEvery)) // nobody waits for it
	}
	return r.keepListing(ctx, one, nil)
}

// plainText is a text of an app's as it is stored.
func plainText(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "")
	if len(text) > maxLogin {
		text = strings.ToValidUTF8(text[:maxLogin], "")
	}
	return text
}

// takeListing takes the lease. If it is not to be had, err is what the job is to answer.
func (r *Rotations) takeListing(ctx context.Context, workspace, app core.ID, wake int) (taken *attempt, one Listing, answer error) {
	options := r.Options.withDefaults()
	err := r.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		taken, answer = nil, nil
		one, err = postgres.One[Listing](ctx, tx, "listing", lockListing, pgx.StrictNamedArgs{"workspace": workspace, "id": app})
		if core.KindOf(err) == core.KindNotFound {
			return nil
		} else if err != nil {
			return err
		}
		now := r.now()
		latest := wake == 0 || wake >= one.Wake
		switch {
		case one.NextAttempt == nil:
			return nil
		case one.LeaseUntil != nil && one.LeaseUntil.After(now):
			if latest {
				answer = jobs.Snooze(min(busy, one.LeaseUntil.Sub(now)))
			}
			return nil
		case one.NextAttempt.After(now):
			if latest && one.Attempts > 0 { // the next day's is queued by Sweep
				answer = jobs.Snooze(one.NextAttempt.Sub(now))
			}
			return nil
		}
		one.Fence++
		one.LeaseUntil = new(now.Add(options.ChangeTimeout + accounts.MaxTOTPPeriod + 2*commitTimeout))
		taken = &attempt{Rotations: r, options: options, fence: one.Fence}
		taken.progress.Workspace, taken.progress.Cause = workspace, one.Cause
		if taken.app, err = r.Accounts.App(ctx, tx, workspace, app); err != nil {
			return err
		}
		taken.connector = r.Connectors[taken.app.Connector]
		return r.saveListing(ctx, tx, one)
	})
	if err != nil {
		return nil, Listing{}, err
	}
	return taken, one, answer
}

func (r *Rotations) saveListing(ctx context.Context, tx pgx.Tx, one Listing) error {
	_, err := tx.Exec(ctx, updateListing, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.App, "detail": one.Detail, "outcome": string(one.Outcome), "administrator": one.Administrator,
		"listed": one.Listed, "fence": one.Fence, "lease": one.LeaseUntil, "attempts": one.Attempts, "next": one.NextAttempt,
	})
	return postgres.Classify(err)
}

const upsertLogins = `
insert into app_logins (workspace_id, app_id, username, name, disabled, first_seen, seen)
select @workspace, @app, l.username, l.name, l.disabled, @now, @now
from unnest(@usernames::text[], @names::text[], @disabled::boolean[]) as l (username, name, disabled)
on conflict (workspace_id, app_id, username) do update set name = excluded.name, disabled = excluded.disabled, seen = excluded.seen`

const deleteLogins = `delete from app_logins where workspace_id = @workspace and app_id = @app and seen < @now`

const countUnmanaged = `
select count(*) from app_logins l where l.workspace_id = @workspace and l.app_id = @app and not exists (
	select 1 from accounts a where a.workspace_id = @workspace and a.app_id = @app and fold(a.username) = fold(l.username) and a.state <> 'unmanaged')`

// keepListing records what came of a listing, if this worker still has it; with logins, they are all there are.
func (r *Rotations) keepListing(ctx context.Context, one Listing, logins map[string]User) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	return r.DB.Tx(ctx, func(tx pgx.Tx) error {
		kept, failed := one, one.Outcome != Applied && one.NextAttempt == nil
		stored, err := postgres.One[Listing](ctx, tx, "listing", lockListing, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.App})
		if err != nil || stored.Fence != one.Fence {
			return err
		}
		kept.LeaseUntil = nil
		if stored.Wake != one.Wake { // somebody asked meanwhile
			kept.NextAttempt, kept.Attempts = stored.NextAttempt, 0
		}
		if err := r.saveListing(ctx, tx, kept); err != nil || logins == nil && !failed {
			return err
		}
		app, err := r.Accounts.App(ctx, tx, one.Workspace, one.App)
		if err != nil {
			return err
		}
		event := core.NewEvent(core.AppLoginsListed, one.Workspace, one.Cause, r.now(), app.Target())
		if failed {
			return audit.Append(ctx, tx, event.Failed(one.Detail))
		}
		unmanaged, err := r.keepLogins(ctx, tx, one, logins)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, event.With("logins", strconv.Itoa(len(logins))).With("unmanaged", strconv.Itoa(unmanaged)))
	})
}

func (r *Rotations) keepLogins(ctx context.Context, tx pgx.Tx, one Listing, logins map[string]User) (unmanaged int, err error) {
	var usernames, names []string
	var disabled []bool
	for _, user := range logins {
		usernames, names, disabled = append(usernames, user.Username), append(names, user.Name), append(disabled, user.Disabled)
	}
	args := pgx.StrictNamedArgs{"workspace": one.Workspace, "app": one.App}
	kept := pgx.StrictNamedArgs{"workspace": one.Workspace, "app": one.App, "now": r.now()}
	if _, err := tx.Exec(ctx, upsertLogins, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "app": one.App, "now": kept["now"], "usernames": usernames, "names": names, "disabled": disabled,
	}); err != nil {
		return 0, postgres.Classify(err)
	}
	if _, err := tx.Exec(ctx, deleteLogins, kept); err != nil {
		return 0, postgres.Classify(err)
	}
	err = tx.QueryRow(ctx, countUnmanaged, args).Scan(&unmanaged)
	return unmanaged, postgres.Classify(err)
}

const sweepListings = `
update app_listings set wake = wake + 1 where (workspace_id, app_id) in (
	select workspace_id, app_id from app_listings where next_attempt < @before and (lease_until is null or lease_until < @before)
	order by next_attempt limit 100 for update skip locked)
returning ` + listingColumns

// sweepListings queues the listings that are due, of all workspaces.
func (r *Rotations) sweepListings(ctx context.Context) error {
	return r.DB.Tx(ctx, func(tx pgx.Tx) error {
		due, err := postgres.Many[Listing](ctx, tx, sweepListings, pgx.StrictNamedArgs{"before": r.now().Add(-r.Options.withDefaults().SweepAfter)})
		if err != nil {
			return err
		}
		for _, one := range due {
			if err := r.queueListing(ctx, tx, one); err != nil {
				return err
			}
		}
		return nil
	})
}
