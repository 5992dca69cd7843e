package rotation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/seal"
)

// Register makes this the handler of the rotations' jobs.
func (r *Rotations) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, job step, _ int) error {
		return r.advance(ctx, job.Workspace, job.Rotation, job.Wake)
	})
}

// Advance drives a rotation as far as it can go now. It returns nil when the rotation is finished
// or waits for a person, jobs.Snooze when it is to be run again, and any other error when something
// of ours failed: then too it is to be run again. It may be called at any time, by anybody, any
// number of times at once.
func (r *Rotations) Advance(ctx context.Context, workspace, id core.ID) error {
	return r.advance(ctx, workspace, id, 0)
}

// errFenced: another worker has the rotation now, or nobody needs it any more.
var errFenced = errors.New("rotation: another worker took over")

// busy is how soon a rotation that another worker drives is looked at again.
const busy = time.Second

// attempt is one worker's hold of a rotation.
type attempt struct {
	*Rotations
	options  Options
	fence    int64
	progress progress // as last committed
	wake     int      // of the job that runs it; 0: none
	ended    bool

	account   accounts.Account
	app       accounts.App
	connector Connector
}

func (r *Rotations) advance(ctx context.Context, workspace, id core.ID, wake int) error {
	a := &attempt{Rotations: r, options: r.Options.withDefaults(), wake: wake}
	if held, err := a.take(ctx, workspace, id); !held {
		return err
	}
	working, stop := context.WithCancelCause(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		a.beat(working, stop, workspace, id)
	}()
	defer func() {
		stop(nil)
		<-beating
	}()
	err := a.drive(working)
	log := a.log().With("rotation", id, "account", a.progress.Account, "reason", a.progress.Reason, "fence", a.fence)
	switch {
	case err == nil:
		log.Info("rotation rests", "state", a.progress.State, "detail", a.progress.Detail, "next_attempt", a.progress.NextAttempt)
		return a.again()
	case errors.Is(err, errFenced) || errors.Is(context.Cause(working), errFenced):
		return jobs.Snooze(busy)
	case ctx.Err() != nil:
		a.leave(ctx)
		return ctx.Err()
	}
	log.Warn("rotation broken off", "state", a.progress.State, "error", err)
	a.leave(ctx)
	if kind := core.KindOf(err); kind == core.KindUnavailable || kind == core.KindStale || kind == core.KindRateLimited {
		return err
	}
	// Whatever it is, giving the job up would leave the rotation open for ever.
	return core.Internal(err)
}

// take takes the lease. If it is not to be had, err is what the job is to answer.
func (a *attempt) take(ctx context.Context, workspace, id core.ID) (held bool, err error) {
	var answer error
	err = a.DB.Tx(ctx, func(tx pgx.Tx) error {
		held, answer = false, nil
		p, err := lock(ctx, tx, lockProgress, workspace, id)
		if noRows(err) {
			return nil
		} else if err != nil {
			return err
		}
		now := a.now()
		latest := a.wake == 0 || a.wake >= p.Wake
		switch {
		case p.Finished != nil || p.NextAttempt == nil:
			return nil
		case p.LeaseUntil != nil && p.LeaseUntil.After(now):
			if latest {
				answer = jobs.Snooze(min(busy, p.LeaseUntil.Sub(now)))
			}
			return nil
		case p.NextAttempt.After(now):
			if latest {
				answer = jobs.Snooze(p.NextAttempt.Sub(now))
			}
			return nil
		}
		p.Fence++
		p.LeaseUntil = new(now.Add(a.options.Lease))
		a.progress, a.fence, held = p, p.Fence, true
		return a.progress.save(ctx, tx, now)
	})
	if err != nil {
		return false, err
	}
	return held, answer
}

const extendLease = `
update rotations set lease_until = @until
where workspace_id = @workspace and id = @id and fence = @fence and finished is null and lease_until is not null`

// beat extends the lease while the worker lives, and stops the work when the lease is lost.
func (a *attempt) beat(ctx context.Context, stop context.CancelCauseFunc, workspace, id core.ID) {
	ticker := time.NewTicker(a.options.Lease / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		tag, err := a.DB.Exec(ctx, extendLease, pgx.StrictNamedArgs{
			"until": a.now().Add(a.options.Lease), "workspace": workspace, "id": id, "fence": a.fence,
		})
		if err == nil && tag.RowsAffected() == 0 {
			stop(errFenced)
			return
		}
	}
}

const dropLease = `update rotations set lease_until = null where workspace_id = @workspace and id = @id and fence = @fence`

// leave gives the lease back when the work is broken off, so that the next worker need not wait.
func (a *attempt) leave(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	_, _ = a.DB.Exec(ctx, dropLease, pgx.StrictNamedArgs{"workspace": a.progress.Workspace, "id": a.progress.ID, "fence": a.fence})
}

// commitTimeout bounds one transaction of the engine.
const commitTimeout = 10 * time.Second

// commit is a transaction on the rotation's row, made only if this worker still holds the lease.
// What the app did is recorded even when the worker is being stopped.
func (a *attempt) commit(ctx context.Context, work func(ctx context.Context, tx pgx.Tx, p *progress) error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	return a.commitNow(ctx, work)
}

// lockAccount comes before the rotation's own row, as in the commands that revoke grants of an
// account and plan its rotation in one transaction: the same order cannot deadlock.
const lockAccount = `select id from accounts where workspace_id = @workspace and id = @account for no key update`

// commitNow is commit, but not after ctx has ended.
func (a *attempt) commitNow(ctx context.Context, work func(ctx context.Context, tx pgx.Tx, p *progress) error) error {
	var p progress
	err := a.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, lockAccount, pgx.StrictNamedArgs{"workspace": a.progress.Workspace, "account": a.progress.Account}); err != nil {
			return err
		}
		if p, err = lock(ctx, tx, lockProgress, a.progress.Workspace, a.progress.ID); err != nil {
			return err
		}
		if p.Fence != a.fence || p.Finished != nil || p.LeaseUntil == nil {
			return errFenced
		}
		now := a.now()
		p.LeaseUntil = new(now.Add(a.options.Lease))
		if err := work(ctx, tx, &p); err != nil {
			return err
		}
		return p.save(ctx, tx, now)
	})
	if err != nil {
		return err
	}
	a.progress = p
	a.ended = p.LeaseUntil == nil
	return nil
}

// again is what the job answers after the last commit gave the lease back.
func (a *attempt) again() error {
	if a.progress.NextAttempt == nil || a.wake != 0 && a.wake < a.progress.Wake {
		return nil
	}
	return jobs.Snooze(a.progress.NextAttempt.Sub(a.now()))
}

// drive goes from fact to fact until the rotation is finished or must wait.
func (a *attempt) drive(ctx context.Context) error {
	if err := a.find(ctx); err != nil || a.ended {
		return err
	}
	for !a.ended {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := a.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) next(ctx context.Context) error {
	p := &a.progress
	switch {
	case p.OldRefused != nil:
		return a.finish(ctx)
	case p.NewAccepted != nil:
		return a.proveOld(ctx)
	case p.Pass != passNone:
		return a.probe(ctx)
	case p.Reason == ReasonVerify:
		return a.verify(ctx)
	case p.Candidate == 0:
		return a.store(ctx)
	}
	return a.change(ctx)
}

// find reads what the rotation is about; it blocks one whose app nothing can talk to.
func (a *attempt) find(ctx context.Context) (err error) {
	if a.account, err = a.Accounts.Account(ctx, a.DB, a.progress.Workspace, a.progress.Account); err != nil {
		return err
	}
	if a.app, err = a.Accounts.App(ctx, a.DB, a.progress.Workspace, a.account.App); err != nil {
		return err
	}
	known := false
	if a.connector, known = a.Connectors[a.app.Connector]; !known {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			return a.block(ctx, tx, p, "There is no connector named "+a.app.Connector+". Choose another for the app.", nil)
		})
	}
	return nil
}

func (a *attempt) target() Target {
	return Target{
		Workspace: a.account.Workspace, Account: a.account.ID, AppName: a.app.Name, Domains: slices.Clone(a.app.Domains),
		SignInURL: a.app.SignInURL, ChangeURL: a.app.ChangeURL, Settings: slices.Clone(a.app.Settings), AllowPrivate: a.AllowPrivate,
	}
}

// credential reads a password from the vault: nothing a rotation needs lives only in memory.
func (a *attempt) credential(ctx context.Context, version int) (Credential, error) {
	password, err := a.Accounts.Password(ctx, a.DB, a.account.Workspace, a.account.ID, version)
	return Credential{Username: a.account.Username, Password: password}, err
}

// current is the version labelled so. An account always has one.
func (a *attempt) current(versions []accounts.Version) (accounts.Version, error) {
	at := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Label == accounts.LabelCurrent })
	if at < 0 {
		return accounts.Version{}, core.Internal(errors.New("rotation: the account has no current password"))
	}
	return versions[at], nil
}

// signIn makes one fresh sign-in within the budget, in the given state, and has record keep what
// came of it. If the budget is spent the rotation waits instead.
func (a *attempt) signIn(ctx context.Context, state State, version int, record func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error) error {
	var attempt core.ID
	err := a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		reserved, free, err := reserve(ctx, tx, p, version, a.now(), a.options)
		if err != nil {
			return err
		}
		attempt = reserved
		if !free.IsZero() {
			return a.wait(ctx, tx, p, p.State, free, "Too many failed sign-ins would lock the account.", nil)
		}
		if p.State == state {
			return nil
		}
		return p.step(ctx, tx, a.now(), state, "", nil)
	})
	if err != nil || a.ended {
		return err
	}
	credential, err := a.credential(ctx, version)
	if err != nil {
		return err
	}
	started := a.now()
	trying, stop := context.WithTimeout(ctx, a.options.SignInTimeout)
	report := a.connector.Verify(trying, a.target(), credential)
	stop()
	report = cleaned(report, started, a.now(), credential.Password)
	if ctx.Err() != nil && report.Outcome != Accepted && report.Outcome != Rejected {
		return context.Cause(ctx) // broken off: it says nothing about the app
	}
	return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		if err := settle(ctx, tx, p, attempt, report.Outcome); err != nil {
			return err
		}
		p.met(report)
		return record(ctx, tx, p, report, a.evidence(report, version))
	})
}

func (a *attempt) evidence(report Report, version int) evidence {
	kept := evidence{
		Outcome: report.Outcome, Detail: report.Detail, Stage: report.Stage, Version: version, Started: report.Started,
		Finished: report.Finished, Hosts: report.Hosts, Released: report.Released, Agent: report.Agent, Fence: a.fence, Model: report.Model,
	}
	if report.Outcome != Accepted {
		kept.Screenshot = report.Screenshot
	}
	return kept
}

// met remembers, for the receipt, who talked to whom.
func (p *progress) met(report Report) {
	for _, host := range report.Hosts {
		if at, found := slices.BinarySearch(p.Hosts, host); !found {
			p.Hosts = slices.Insert(p.Hosts, at, host)
		}
	}
	p.Agent = cmp.Or(report.Agent, p.Agent)
}

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// policies are the passwords to try with an app, one after the other as it refuses them.
func policy(refusals int) (seal.PasswordPolicy, bool) {
	policies := [...]seal.PasswordPolicy{
		{},
		{Length: 20, AllowedSymbols: "-_"},
		{Length: 16, Classes: seal.Lower | seal.Upper | seal.Digits},
		{Length: 12},
	}
	if refusals >= len(policies) {
		return seal.PasswordPolicy{}, false
	}
	return policies[refusals], true
}
