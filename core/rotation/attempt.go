package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/seal"
)

// Register makes this the handler of the rotations' jobs.
func (r *Rotations) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, job step, _ int) error {
		return r.turn(ctx, job)
	})
	jobs.Handle(handlers, func(ctx context.Context, job switchStep, _ int) error {
		return r.advanceSwitch(ctx, job.Workspace, job.Switch, job.Wake)
	})
	jobs.Handle(handlers, func(ctx context.Context, job listStep, _ int) error {
		return r.advanceListing(ctx, job.Workspace, job.App, job.Wake)
	})
}

// Advance drives a rotation as far as it can go now. It returns nil when the rotation is finished
// or waits for a person, jobs.Snooze when it is to be run again, and any other error when something
// of ours failed: then too it is to be run again. It may be called at any time, by anybody, any
// number of times at once.
func (r *Rotations) Advance(ctx context.Context, workspace, id core.ID) error {
	_, err := r.advance(ctx, workspace, id, 0)
	return err
}

// attempt is one worker's hold of a rotation.
type attempt struct {
	*Rotations
	options  Options
	fence    int64
	progress progress // as last committed
	wake     int      // of the job that runs it; 0: none
	first    *turn    // whose turn it is instead
	rests    bool     // nobody is to drive it now
	paced    bool     // its app is given time between two
	ended    bool

	account   accounts.Account
	app       accounts.App
	connector Connector
	passwords map[int]seal.Secret // by version, as read from the vault
	asked     bool                // the sign-in under way was asked for a one-time code
}

// advance returns whose turn it is, and then has done nothing, or what the job is to answer.
func (r *Rotations) advance(ctx context.Context, workspace, id core.ID, wake int) (*turn, error) {
	a := &attempt{Rotations: r, options: r.Options.withDefaults(), wake: wake, passwords: map[int]seal.Secret{}}
	held, err := a.take(ctx, workspace, id)
	if a.rests || a.paced {
		// Who drove it may have died before passing its place on; where the app is given time, the next turn is known.
		a.passOn(ctx, workspace, id)
	}
	if !held {
		return a.first, err
	}
	defer a.passOn(ctx, workspace, id)
	return nil, a.work(ctx, workspace, id)
}

// work drives a rotation that is held, and returns what the job is to answer.
func (a *attempt) work(ctx context.Context, workspace, id core.ID) error {
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
		a.meter().Rested(a.app, a.progress.Rotation)
		if a.progress.State == StateBlocked {
			return a.overtaken(ctx)
		}
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
	case len(p.Factors) > 0:
		return a.proveFactor(ctx)
	case p.Reason == ReasonEnrol:
		return a.enrol(ctx)
	case p.Reason == ReasonVerify:
		return a.verify(ctx)
	case p.Candidate == 0:
		return a.store(ctx)
	case !p.Administrator.IsZero():
		return a.reset(ctx)
	case p.Mailed:
		return a.recover(ctx)
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
	if a.account.State == accounts.Unmanaged && a.progress.NewAccepted == nil && a.progress.Pass == passNone {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			return a.block(ctx, tx, p, "Nobody keeps this password up to date. Take the account under management again; the rotation then goes on.", nil)
		})
	}
	known := false
	if a.connector, known = a.Connectors[a.app.Connector]; !known {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			return a.block(ctx, tx, p, "There is no connector named "+a.app.Connector+". Choose another for the app.", nil)
		})
	}
	return nil
}

func (a *attempt) target() Target { return a.targetOf(a.account, a.app) }

func (r *Rotations) targetOf(account accounts.Account, app accounts.App) Target {
	return Target{
		Workspace: account.Workspace, Account: account.ID, AppName: app.Name, Domains: slices.Clone(app.Domains),
		SignInURL: app.SignInURL, ChangeURL: app.ChangeURL, Settings: slices.Clone(app.Settings), AllowPrivate: r.AllowPrivate,
		PasswordRules: app.PasswordRules,
		Known:         func(ctx context.Context) json.RawMessage { return r.known(ctx, account) },
	}
}

// credential reads a password from the vault, once: nothing a rotation needs lives only in memory, the candidate is sent as
// the vault gives it back, and no version ever changes.
func (a *attempt) credential(ctx context.Context, version int) (Credential, error) {
	password, known := a.passwords[version]
	if !known {
		var err error
		if password, err = a.Accounts.Password(ctx, a.DB, a.account.Workspace, a.account.ID, version); err != nil {
			return Credential{}, err
		}
		a.passwords[version] = password
	}
	given, err := a.credentialWith(ctx, a.account, password)
	if err != nil {
		return Credential{}, err
	}
	a.asked = false
	code := given.Code
	if len(a.progress.Factors) > 0 {
		factor := a.progress.Factors[0]
		code = func(ctx context.Context) (seal.Secret, error) { return a.candidateCode(ctx, a.account, factor) }
		given.Sent = false
	}
	if code != nil {
		given.Code = func(ctx context.Context) (seal.Secret, error) {
			a.asked = true
			return code(ctx)
		}
	}
	return given, nil
}

// current is the version labelled so. An account always has one.
func (a *attempt) current(versions []accounts.Version) (accounts.Version, error) {
	at := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Label == accounts.LabelCurrent })
	if at < 0 {
		return accounts.Version{}, core.Internal(errors.New("rotation: the account has no current password"))
	}
	return versions[at], nil
}

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
