package rotation

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/postgres"
)

// rotatedFirst is how long an account that is to be disabled is left to a rotation that is under way.
const rotatedFirst = 15 * time.Minute

// switching is one worker's hold of a switch.
type switching struct {
	*attempt
	one Switch // as taken
}

// AdvanceSwitch drives a switch as far as it can go now. What it returns is as of Advance.
func (r *Rotations) AdvanceSwitch(ctx context.Context, workspace, id core.ID) error {
	return r.advanceSwitch(ctx, workspace, id, 0)
}

func (r *Rotations) advanceSwitch(ctx context.Context, workspace, id core.ID, wake int) error {
	for {
		s, err := r.takeSwitch(ctx, workspace, id, wake)
		if s == nil {
			return err
		}
		if s.one.Applied == nil {
			err = s.ask(ctx)
		} else {
			err = s.prove(ctx)
		}
		if err != nil {
			s.release(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if kind := core.KindOf(err); kind == core.KindUnavailable || kind == core.KindStale || kind == core.KindRateLimited {
				return err
			}
			return core.Internal(err) // giving the job up would leave it open for ever
		}
	}
}

// takeSwitch takes the lease. If it is not to be had, err is what the job is to answer.
func (r *Rotations) takeSwitch(ctx context.Context, workspace, id core.ID, wake int) (taken *switching, answer error) {
	options := r.Options.withDefaults()
	err := r.DB.Tx(ctx, func(tx pgx.Tx) error {
		taken, answer = nil, nil
		one, account, err := r.lockedSwitch(ctx, tx, workspace, id)
		if core.KindOf(err) == core.KindNotFound {
			return nil
		} else if err != nil {
			return err
		}
		now := r.now()
		wait := func(until time.Time) {
			if wake == 0 || wake >= one.Wake {
				answer = jobs.Snooze(until.Sub(now))
			}
		}
		switch {
		case one.Finished != nil || one.NextAttempt == nil:
			return nil
		case one.LeaseUntil != nil && one.LeaseUntil.After(now):
			wait(now.Add(min(one.LeaseUntil.Sub(now), busy)))
			return nil
		case one.NextAttempt.After(now):
			wait(*one.NextAttempt)
			return nil
		}
		if !one.Enabled && one.Applied == nil && now.Before(one.Cause.Received.Add(rotatedFirst)) {
			open, blocked, err := r.Standing(ctx, tx, workspace, one.Account)
			if err != nil {
				return err
			}
			if open && !blocked {
				one.NextAttempt, one.Detail = new(now.Add(options.FirstRetry)), "Its password is being rotated first."
				wait(*one.NextAttempt)
				return r.saveSwitch(ctx, tx, &one)
			}
		}
		one.Fence++
		// A sign-in of the administrator's or the account's, with the wait for a code, and what is written after it.
		one.LeaseUntil = new(now.Add(options.SignInTimeout + accounts.MaxTOTPPeriod + 2*commitTimeout))
		taken = &switching{one: one, attempt: &attempt{Rotations: r, options: options, fence: one.Fence, account: account}}
		taken.progress.Workspace, taken.progress.Account, taken.progress.Cause = workspace, one.Account, one.Cause
		if taken.app, err = r.Accounts.App(ctx, tx, workspace, account.App); err != nil {
			return err
		}
		taken.connector = r.Connectors[taken.app.Connector]
		return r.saveSwitch(ctx, tx, &one)
	})
	if err != nil {
		return nil, err
	}
	return taken, answer
}

// lockedSwitch locks an account and then its switch, as every command does.
func (r *Rotations) lockedSwitch(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (one Switch, account accounts.Account, err error) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": id}
	if one, err = postgres.One[Switch](ctx, tx, "switch", selectSwitch, args); err != nil {
		return Switch{}, accounts.Account{}, err
	}
	if account, err = r.Accounts.Hold(ctx, tx, workspace, one.Account); err != nil {
		return Switch{}, accounts.Account{}, err
	}
	one, err = postgres.One[Switch](ctx, tx, "switch", lockSwitch, args)
	return one, account, err
}

// record is a transaction on the switch, made only if this worker still has it and what it did is still wanted.
func (s *switching) record(ctx context.Context, work func(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account) error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	return s.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, account, err := s.lockedSwitch(ctx, tx, s.one.Workspace, s.one.ID)
		if err != nil || one.Fence != s.one.Fence || one.Finished != nil {
			return err
		}
		one.LeaseUntil = nil
		if one.Enabled == s.one.Enabled && one.Wake == s.one.Wake {
			if err := work(ctx, tx, &one, account); err != nil {
				return err
			}
		}
		return s.saveSwitch(ctx, tx, &one)
	})
}

const dropSwitchLease = `update switches set lease_until = null where workspace_id = @workspace and id = @id and fence = @fence`

// release gives the lease back when the work is broken off, so that the next worker need not wait.
func (s *switching) release(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	_, _ = s.DB.Exec(ctx, dropSwitchLease, pgx.StrictNamedArgs{"workspace": s.one.Workspace, "id": s.one.ID, "fence": s.one.Fence})
}

// stop has a person asked.
func (s *switching) stop(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account, why string) error {
	one.State, one.Detail, one.NextAttempt = SwitchBlocked, why, nil
	return s.tellSwitch(ctx, tx, core.AccountSwitchBlocked, *one, account)
}

// again tries once more, after a while that doubles; without an answer of the app's without end.
func (s *switching) again(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account, endless bool, why string) error {
	if one.Attempts++; !endless && one.Attempts >= s.options.Tries {
		return s.stop(ctx, tx, one, account, why)
	}
	one.Detail, one.NextAttempt = why, new(s.now().Add(s.options.retry(one.Attempts)))
	return nil
}

// ask has the app's administrator do it.
func (s *switching) ask(ctx context.Context) error {
	disabler, can := s.connector.(Disabler)
	admin := s.app.ReconcileAccount
	if !can || admin.IsZero() || admin == s.account.ID || !slices.Contains(Capabilities(s.connector, s.app.Settings), CanDisable) {
		return s.record(ctx, func(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account) error {
			return s.stop(ctx, tx, one, account, "Nobody disables or enables accounts in this app: that takes a connector that can, and an account of the app that administers the others.")
		})
	}
	lent, why, until, err := s.borrow(ctx, admin)
	if err != nil {
		return err
	}
	if why != "" {
		return s.record(ctx, func(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account) error {
			if until.IsZero() {
				return s.stop(ctx, tx, one, account, why)
			}
			one.Detail, one.NextAttempt = why, &until
			return nil
		})
	}
	by, err := s.Rotations.credential(ctx, lent.account, lent.version)
	if err != nil {
		return err
	}
	started := s.now()
	trying, stop := context.WithTimeout(ctx, patience(s.options.SignInTimeout, by))
	report := disabler.SetEnabled(trying, s.target(), by, s.account.Username, s.one.Enabled)
	stop()
	report = cleaned(report, started, s.now(), by.Password)
	s.meter().Tried(s.app.Connector, false, report.Outcome)
	if ctx.Err() != nil && report.Outcome != Applied {
		return ctx.Err() // broken off: the next worker asks again
	}
	if err := s.giveBack(ctx, lent, report); err != nil {
		return err
	}
	return s.record(ctx, func(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account) error {
		one.Outcome, one.Administrator = report.Outcome, admin
		s.reached(one, report)
		switch report.Outcome {
		case Applied:
			one.Recorded = nil
			if report.Recorded {
				one.Recorded = &report.Finished
			}
			return s.applied(ctx, tx, one, account, report.Finished)
		case Unreachable, TimedOut:
			return s.again(ctx, tx, one, account, true, words(report))
		case Rejected:
			return s.stop(ctx, tx, one, account, "The app has no account named "+account.Username+". "+report.Detail)
		case AdminDenied:
			return s.stop(ctx, tx, one, account, "The app does not let its administrator do this. "+report.Detail)
		case AdminRejected:
			return s.stop(ctx, tx, one, account, words(report))
		}
		return s.again(ctx, tx, one, account, false, words(report))
	})
}

func (s *switching) reached(one *Switch, report Report) {
	for _, host := range report.Hosts {
		if !slices.Contains(one.Hosts, host) {
			one.Hosts = append(one.Hosts, host)
		}
	}
}

// applied is what the app's word brings about: of a disabled account the password is given to nobody any more, and of one that is
// enabled a rotation makes another that who knew the old one does not know.
func (s *switching) applied(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account, at time.Time) error {
	now := s.now()
	one.Applied, one.NextAttempt = &at, &now // an app may say so again and again, and not do it
	if !one.Enabled {
		one.State, one.Detail = SwitchApplied, "The app says that it lets the account in no more."
		_, err := s.Accounts.Learn(ctx, tx, one.Cause, one.Workspace, one.Account, accounts.SwitchedOff, "It was disabled at the app from here.")
		return err
	}
	one.State, one.Detail, one.Finished, one.NextAttempt = SwitchDone, "The app says that it lets the account in again.", &now, nil
	after, err := s.Accounts.Learn(ctx, tx, one.Cause, one.Workspace, one.Account, accounts.SwitchedOn, "It was enabled at the app again, and opens once sign-ins have proved another password.")
	if err != nil {
		return err
	}
	if err := s.tellSwitch(ctx, tx, core.AccountEnabled, *one, account); err != nil || after.State == accounts.Unmanaged {
		return err
	}
	_, err = s.want(ctx, tx, after, wish{Reason: ReasonManual, Cause: one.Cause, Priority: ReasonManual.priority()})
	return err
}

// proof is what a sign-in that was turned away proves, in words.
func (s Switch) proof() string {
	switch {
	case s.Recorded != nil:
		return "The app's own record has the account disabled, and it turned a fresh sign-in away."
	case s.Outcome == Disabled:
		return "The app turned a fresh sign-in away, and said that the account is disabled."
	}
	return "The app said that it disabled the account, and refused a fresh sign-in. Its own record was not read, so that it may have refused the stored password for another reason."
}

// prove signs in once as the account, out of its own budget: what the app says it did is evidence, and that it turns the account
// away is the proof, together with its own record where that was read back.
func (s *switching) prove(ctx context.Context) error {
	versions, err := s.Accounts.Versions(ctx, s.DB, s.one.Workspace, s.one.Account)
	if err != nil {
		return err
	}
	current, err := s.current(versions)
	if err != nil {
		return err
	}
	var reserved core.ID
	var free time.Time
	err = s.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		if _, err = s.Accounts.Hold(ctx, tx, s.one.Workspace, s.one.Account); err != nil {
			return err
		}
		reserved, free, err = s.Reserve(ctx, tx, s.one.Workspace, s.one.Account)
		return err
	})
	if err != nil {
		return err
	}
	if !free.IsZero() {
		return s.record(ctx, func(_ context.Context, _ pgx.Tx, one *Switch, _ accounts.Account) error {
			one.Detail, one.NextAttempt = "Too many failed sign-ins would lock the account.", &free
			return nil
		})
	}
	trial, err := s.Try(ctx, s.account, current.Version)
	if err != nil {
		return err
	}
	return s.record(ctx, func(ctx context.Context, tx pgx.Tx, one *Switch, account accounts.Account) error {
		if err := s.Settle(ctx, tx, one.Workspace, one.Account, reserved, trial.Outcome); err != nil {
			return err
		}
		one.Outcome = trial.Outcome
		s.reached(one, trial.Report)
		switch trial.Outcome {
		case Rejected, Locked, Disabled:
			now := s.now()
			one.State, one.Proven, one.Finished, one.NextAttempt = SwitchDone, &trial.Finished, &now, nil
			one.Detail = one.proof()
			return s.tellSwitch(ctx, tx, core.AccountDisabled, *one, account)
		case Accepted, MustChange:
			one.State, one.Applied, one.Recorded = SwitchWanted, nil, nil // it said so, and did not
			return s.again(ctx, tx, one, account, false, "The app said that the account is disabled, and let it in all the same.")
		case Unreachable, TimedOut:
			return s.again(ctx, tx, one, account, true, trial.Detail)
		}
		return s.again(ctx, tx, one, account, false, "The app says that the account is disabled, and no sign-in could tell. "+trial.Detail)
	})
}
