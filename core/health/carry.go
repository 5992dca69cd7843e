package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
)

const (
	// depth is how many passwords beside the current one are tried. Each costs a failed sign-in, and so minutes.
	depth = 10
	// tries is how often the password somebody gave is tried at an app that cannot be reached.
	tries = 8
	// firstTry and lastTry bound the wait between them.
	firstTry = time.Minute
	lastTry  = 30 * time.Minute
	// aside is the wait while somebody else works on the account.
	aside = 5 * time.Second
)

// Register makes this the handler of the checks' jobs.
func (h *Health) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, one job, _ int) error { return h.carry(ctx, one) })
}

// Carry carries a check out as far as it can go now. It returns nil when the check is finished, jobs.Snooze when it
// is to be run again, and any other error when something of ours failed: then too it is to be run again. It may
// be called at any time, by anybody, any number of times at once.
func (h *Health) Carry(ctx context.Context, workspace, check core.ID) error {
	return h.carry(ctx, job{Workspace: workspace, Check: check})
}

// turn is one sign-in of a check.
type turn struct {
	Check
	account accounts.Account
	current int // the version that was, when it began
	version int // to be tried
	attempt core.ID
}

func (h *Health) carry(ctx context.Context, of job) error {
	for {
		next, err := h.begin(ctx, of)
		if err != nil || next == nil {
			return err
		}
		trial, err := h.Rotations.Try(ctx, next.account, next.version)
		if err != nil {
			h.leave(ctx, *next)
			return err
		}
		more, err := h.record(ctx, *next, trial)
		if err != nil || !more {
			return err
		}
		of.Wake = 0 // whoever asked meanwhile is served by this worker
	}
}

const lockCheck = `select ` + columns + ` from checks where workspace_id = @workspace and id = @id for update`

const selectAccountOf = `select account_id from checks where workspace_id = @workspace and id = @id and finished is null`

// locked reads an open check and its account for change; the account first, as every command does.
func (h *Health) locked(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Check, accounts.Account, error) {
	var account core.ID
	err := tx.QueryRow(ctx, selectAccountOf, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&account)
	if errors.Is(err, pgx.ErrNoRows) {
		return Check{}, accounts.Account{}, core.NotFound("check")
	} else if err != nil {
		return Check{}, accounts.Account{}, postgres.Classify(err)
	}
	found, err := h.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return Check{}, accounts.Account{}, err
	}
	check, err := one(ctx, tx, lockCheck, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && check.Finished != nil {
		err = core.NotFound("check")
	}
	return check, found, err
}

// countLeased counts the sign-ins of checks to an app, once nobody else begins one.
const countLeased = `
with app as materialized (select id from apps where workspace_id = @workspace and id = @app for no key update)
select count(*) from app join checks c on c.app_id = app.id and c.lease_until is not null and c.lease_until > @now and c.id <> @id`

// begin takes a check, and a sign-in out of the account's budget. Without a turn there is nothing to do, or err is what
// the job is to answer.
func (h *Health) begin(ctx context.Context, of job) (taken *turn, answer error) {
	err := h.DB.Tx(ctx, func(tx pgx.Tx) error {
		taken, answer = nil, nil
		check, account, err := h.locked(ctx, tx, of.Workspace, of.Check)
		if err != nil {
			return err
		}
		now := h.now()
		switch {
		case of.Wake != 0 && of.Wake < check.Wake:
			return nil
		case check.Lease != nil && check.Lease.After(now):
			answer = jobs.Snooze(min(aside, check.Lease.Sub(now)))
			return nil
		case account.State == accounts.Unmanaged:
			return h.finish(ctx, tx, &check, account, Superseded, "Nobody keeps this password up to date any more.")
		}
		open, blocked, err := h.Rotations.Standing(ctx, tx, of.Workspace, account.ID)
		switch {
		case err != nil:
			return err
		case open && !blocked && check.Given == nil:
			return h.finish(ctx, tx, &check, account, Superseded, "A rotation of the account is under way, and tells as much.")
		case open && !blocked:
			answer = jobs.Snooze(aside)
			return h.wait(ctx, tx, &check, now.Add(aside), "A rotation of the account is under way.")
		}
		var leased int
		if err := tx.QueryRow(ctx, countLeased, pgx.StrictNamedArgs{
			"workspace": of.Workspace, "app": account.App, "id": check.ID, "now": now,
		}).Scan(&leased); err != nil {
			return err
		}
		if leased >= h.perApp() {
			pause := time.Second + rand.N(3*time.Second)
			answer = jobs.Snooze(pause)
			return h.wait(ctx, tx, &check, now.Add(pause), "Other accounts of the app are looked at first.")
		}
		current, suspects, err := h.suspects(ctx, tx, check, account)
		if err != nil {
			return err
		}
		if len(suspects) == 0 {
			return h.none(ctx, tx, &check, account)
		}
		attempt, free, err := h.Rotations.Reserve(ctx, tx, of.Workspace, account.ID)
		if err != nil {
			return err
		}
		if !free.IsZero() {
			answer = jobs.Snooze(free.Sub(now))
			return h.wait(ctx, tx, &check, free, "Too many failed sign-ins would lock the account.")
		}
		limit, err := h.Rotations.TrialTimeout(ctx, tx, of.Workspace, account.ID)
		if err != nil {
			return err
		}
		check.Fence++
		check.Lease, check.Next, check.Started, check.Version = new(now.Add(limit+15*time.Second)), nil, &now, &suspects[0]
		taken = &turn{check, account, current, suspects[0], attempt}
		return h.save(ctx, tx, check)
	})
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil // it is finished
	} else if err != nil {
		return nil, err
	}
	return taken, answer
}

// suspects lists what is still to be tried, in order: what somebody gave, the current password, and where history is
// wanted the others, newest first.
func (h *Health) suspects(ctx context.Context, tx pgx.Tx, check Check, account accounts.Account) (current int, order []int, err error) {
	versions, err := h.Accounts.Versions(ctx, tx, account.Workspace, account.ID)
	if err != nil {
		return 0, nil, err
	}
	add := func(version int) {
		if !slices.Contains(order, version) && len(order) <= depth {
			order = append(order, version)
		}
	}
	if check.Given != nil {
		add(*check.Given)
	}
	for _, one := range versions {
		if one.Label == accounts.LabelCurrent {
			current = one.Version
		}
	}
	if check.Given == nil || check.History {
		add(current)
	}
	if check.History {
		for _, one := range versions {
			add(one.Version)
		}
	}
	return current, slices.DeleteFunc(order, func(version int) bool { return slices.Contains(check.Tried, version) }), nil
}

// record keeps what a sign-in said, and does what follows from it. more is true when the check goes on at once.
func (h *Health) record(ctx context.Context, t turn, trial rotation.Trial) (more bool, answer error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	err := h.DB.Tx(ctx, func(tx pgx.Tx) error {
		more, answer = false, nil
		if err := h.Rotations.Settle(ctx, tx, t.Workspace, t.Account, t.attempt, trial.Outcome); err != nil {
			return err
		}
		check, account, err := h.locked(ctx, tx, t.Workspace, t.ID)
		if core.KindOf(err) == core.KindNotFound || err == nil && check.Fence != t.Fence {
			return nil // somebody else took over
		} else if err != nil {
			return err
		}
		check.Lease, check.Stage, check.Hosts, check.Agent, check.Changes = nil, trial.Stage, append([]string{}, trial.Hosts...), trial.Agent, trial.Changes
		check.Outcome, check.Detail = trial.Outcome, trial.Detail
		current, _, err := h.suspects(ctx, tx, check, account)
		if err != nil {
			return err
		}
		open, blocked, err := h.Rotations.Standing(ctx, tx, t.Workspace, t.Account)
		if err != nil {
			return err
		}
		if current != t.current || open && !blocked {
			return h.finish(ctx, tx, &check, account, Superseded, "The password was changed meanwhile.")
		}
		more, answer, err = h.conclude(ctx, tx, &check, account, t, trial)
		return err
	})
	if err != nil {
		return false, err
	}
	h.wake()
	return more, answer
}

// conclude goes by the outcome of a sign-in that counts. The check ends by it, goes on at once, or waits: answer is then
// what the job is to answer.
func (h *Health) conclude(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account, t turn, trial rotation.Trial) (more bool, answer, err error) {
	given := check.Given != nil && *check.Given == t.version
	switch trial.Outcome {
	case rotation.Accepted, rotation.MustChange:
		if account, err = h.accepted(ctx, tx, check, account, t, trial, given); err != nil {
			return false, nil, err
		}
		if check.Given != nil && !given { // which somebody gave meanwhile
			return true, nil, h.save(ctx, tx, *check)
		}
	case rotation.Rejected:
		if err := h.Accounts.MarkRefused(ctx, tx, t.Workspace, t.Account, t.version, trial.Finished); err != nil {
			return false, nil, err
		}
		check.Tried = append(check.Tried, t.version)
		_, left, err := h.suspects(ctx, tx, *check, account)
		switch {
		case err != nil:
			return false, nil, err
		case len(left) > 0:
			return true, nil, h.save(ctx, tx, *check)
		case check.History:
			return false, nil, h.none(ctx, tx, check, account)
		case given:
			check.Detail = "The app refuses the password that was given; the one that was there before is still the account's."
		default:
			return false, nil, h.learn(ctx, tx, check, account, accounts.SignInRefused, trial.Outcome)
		}
	case rotation.Locked, rotation.Disabled:
		finding, _ := trial.Outcome.Finding()
		return false, nil, h.learn(ctx, tx, check, account, finding, trial.Outcome)
	case rotation.Unreachable, rotation.TimedOut:
		if check.Attempts++; check.Given != nil && check.Attempts < tries {
			pause := min(firstTry<<(check.Attempts-1), lastTry)
			return false, jobs.Snooze(pause), h.wait(ctx, tx, check, h.now().Add(pause), check.Detail)
		}
		if err := h.missed(ctx, tx, account); err != nil {
			return false, nil, err
		}
	}
	return false, nil, h.finish(ctx, tx, check, account, trial.Outcome, check.Detail)
}

// accepted deals with a password the app took: it is the current one from now on, and what waited for that goes
// on. Where the app wants it changed before anything else, it is right and of no use.
func (h *Health) accepted(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account, t turn, trial rotation.Trial, given bool) (accounts.Account, error) {
	if err := h.Accounts.MarkProven(ctx, tx, t.Workspace, t.Account, t.version, trial.Finished); err != nil {
		return account, err
	}
	finding, _ := trial.Outcome.Finding()
	why := "The app accepted the stored password."
	switch {
	case finding != accounts.SignInAccepted:
		why = check.Detail
	case given:
		why = "The app accepted the password that was given."
	case t.version != t.current:
		why = fmt.Sprintf("The app has password version %d, not version %d; it is the current one again.", t.version, t.current)
	}
	if t.version != t.current {
		if err := h.Accounts.Promote(ctx, tx, t.Workspace, t.Account, t.version); err != nil {
			return account, err
		}
		if !given {
			if err := audit.Append(ctx, tx, core.NewEvent(core.AccountPasswordDrifted, t.Workspace, check.Cause, h.now(), account.Target()).
				Because(why).With("version", fmt.Sprint(t.version))); err != nil {
				return account, err
			}
		}
	}
	after, err := h.Accounts.Learn(ctx, tx, check.Cause, t.Workspace, t.Account, finding, why)
	if err != nil {
		return account, err
	}
	check.Detail = why
	if finding != accounts.SignInAccepted {
		return after, nil
	}
	if _, err := tx.Exec(ctx, forgetReports, pgx.StrictNamedArgs{"workspace": t.Workspace, "account": t.Account}); err != nil {
		return after, postgres.Classify(err)
	}
	// A rotation that is stuck for another reason would only get stuck again.
	if !given && (after.State == account.State || check.Reason == RotationStuck) {
		return after, nil
	}
	open, _, err := h.Rotations.Standing(ctx, tx, t.Workspace, t.Account)
	if err == nil && open {
		_, err = h.Rotations.Plan(ctx, tx, check.Cause, t.Workspace, t.Account, rotation.ReasonVerify, 0)
	}
	return after, err
}

// learn finishes a check with what it found out about the account.
func (h *Health) learn(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account, finding accounts.Finding, outcome rotation.Outcome) error {
	after, err := h.Accounts.Learn(ctx, tx, check.Cause, account.Workspace, account.ID, finding, check.Detail)
	if err != nil {
		return err
	}
	if account.State != accounts.Desynced && after.State == accounts.Desynced {
		if err := h.resetDesynced(ctx, tx, check, after); err != nil {
			return err
		}
	}
	return h.finish(ctx, tx, check, after, outcome, check.Detail)
}

// resetDesynced has another password set for an account whose own the app refuses, if the workspace wants that and anybody can. It
// is begun once: what comes to rest for a person stays with one.
func (h *Health) resetDesynced(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account) error {
	settings, err := h.Settings(ctx, tx, account.Workspace)
	if err != nil || !settings.ResetDesynced || check.Reason == RotationStuck {
		return err
	}
	switch _, err := h.Rotations.PlanReset(ctx, tx, check.Cause, account.Workspace, account.ID); {
	case core.KindOf(err) == core.KindConflict:
		return nil // nobody can
	case err != nil:
		return err
	}
	check.Detail += " Another password is set."
	return nil
}

// none finishes a check all of whose passwords were refused.
func (h *Health) none(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account) error {
	check.Detail = "The app accepts no stored password."
	return h.learn(ctx, tx, check, account, accounts.NoneAccepted, rotation.Rejected)
}

func (h *Health) finish(ctx context.Context, tx pgx.Tx, check *Check, account accounts.Account, outcome rotation.Outcome, detail string) error {
	now := h.now()
	check.Lease, check.Next, check.Finished, check.State, check.Outcome, check.Detail = nil, nil, &now, account.State, outcome, detail
	return h.save(ctx, tx, *check)
}

// wait gives a check back until a time.
func (h *Health) wait(ctx context.Context, tx pgx.Tx, check *Check, until time.Time, why string) error {
	check.Lease, check.Next, check.Detail = nil, &until, why
	return h.save(ctx, tx, *check)
}

const updateCheck = `
update checks set tried = @tried, attempts = @attempts, fence = @fence, lease_until = @lease, next = @next, version = @version,
	outcome = nullif(@outcome, ''), detail = @detail, stage = @stage, started = @started, finished = @finished, state = @state,
	hosts = @hosts, agent = @agent, changes = @changes
where workspace_id = @workspace and id = @id`

func (h *Health) save(ctx context.Context, tx pgx.Tx, check Check) error {
	_, err := tx.Exec(ctx, updateCheck, pgx.StrictNamedArgs{
		"workspace": check.Workspace, "id": check.ID, "tried": check.Tried, "attempts": check.Attempts, "fence": check.Fence,
		"lease": check.Lease, "next": check.Next, "version": check.Version, "outcome": string(check.Outcome), "detail": check.Detail,
		"stage": check.Stage, "started": check.Started, "finished": check.Finished, "state": string(check.State), "hosts": check.Hosts,
		"agent": check.Agent, "changes": check.Changes,
	})
	return postgres.Classify(err)
}

const dropLease = `update checks set lease_until = null where workspace_id = @workspace and id = @id and fence = @fence`

// leave gives a check back when the work is broken off, so that the next worker need not wait.
func (h *Health) leave(ctx context.Context, t turn) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	_, _ = h.DB.Exec(ctx, dropLease, pgx.StrictNamedArgs{"workspace": t.Workspace, "id": t.ID, "fence": t.Fence})
}
