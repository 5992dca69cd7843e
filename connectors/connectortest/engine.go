package connectortest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// Engine is an account of a real app that the engine rotates as it is: with its database, its vault and its history.
type Engine struct {
	Connector rotation.Connector
	// App is the app, with the name its connector goes by.
	App accounts.NewApp
	// Account is the account, with the password the app has. One with a Code is not for it: Enrol turns that on.
	Account rotation.Credential
	// Administrator is an account that may set its password; the zero one: there is none.
	Administrator rotation.Credential
	// Set sets the account's password behind Postern's back.
	Set func(t *testing.T, password seal.Secret)
	// Enable has the app let the account in, or not; nil: the app cannot.
	Enable func(t *testing.T, on bool)
	// Options are the engine's. Slow: the app looks at a clock itself, so that waits are waited for.
	Options rotation.Options
	Slow    bool
}

// Engaged is an Engine at work.
type Engaged struct {
	Engine
	*coretest.Core
	clock         *coretest.Clock
	workspace     core.ID
	account, boss core.ID
}

// Open stores the account, and its administrator.
func (e Engine) Open(t *testing.T) *Engaged {
	t.Helper()
	made := &Engaged{Engine: e, clock: coretest.NewClock(time.Now())}
	now := made.clock.Now
	if e.Slow {
		now = nil
	}
	made.Core = coretest.Open(t, now)
	made.Rotations.AllowPrivate, made.Rotations.Options = true, e.Options
	made.Rotations.Connectors = rotation.Connectors{e.App.Connector: e.Connector}
	workspace, connection := made.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.example"})
	made.workspace = workspace.ID
	owner := made.Person(t, connection, directory.User{UserName: "dana", DisplayName: "Dana"})
	made.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		app, err := made.Accounts.CreateApp(ctx, tx, coretest.System(), made.workspace, e.App)
		if err != nil {
			return err
		}
		store := func(credential rotation.Credential) (core.ID, error) {
			stored, err := made.Accounts.CreateAccount(ctx, tx, coretest.System(), made.workspace, accounts.NewAccount{
				App: app.ID, Username: credential.Username, Password: credential.Password, Owner: owner.ID,
			})
			return stored.ID, err
		}
		if made.account, err = store(e.Account); err != nil || e.Administrator.Username == "" {
			return err
		}
		if made.boss, err = store(e.Administrator); err != nil {
			return err
		}
		_, err = made.Accounts.SetReconcileAccount(ctx, tx, coretest.System(), made.workspace, app.ID, made.boss)
		return err
	})
	return made
}

// Run goes through what an account meets.
func (e Engine) Run(t *testing.T) { e.Open(t).Through(t) }

// Through rotates the account: as it is, while the app does not let it in, and after somebody set another password by hand. It gives
// the password it ends with.
func (e *Engaged) Through(t *testing.T) seal.Secret {
	t.Helper()
	before := e.Account.Password
	t.Run("rotated", func(t *testing.T) { before = e.Rotated(t, before) })
	if e.Enable != nil {
		t.Run("disabled", func(t *testing.T) { before = e.disabled(t, before) })
	}
	t.Run("behind our back", func(t *testing.T) { before = e.behind(t, before) })
	return before
}

// Rotated wants the password rotated, and both proofs of it. It gives the new one.
func (e *Engaged) Rotated(t *testing.T, before seal.Secret) seal.Secret {
	t.Helper()
	end := e.Asked(t, 50)
	if end.Receipt == nil || end.Receipt.Administrator != (core.ID{}) {
		t.Fatalf("it is %s: %s, %+v", end.State, end.Detail, end.Receipt)
	}
	return e.replaced(t, end, before)
}

// Asked asks for a rotation, and gives it as it is after so many turns at most.
func (e *Engaged) Asked(t *testing.T, times int) rotation.Rotation {
	t.Helper()
	return e.drive(t, e.plan(t), times)
}

// disabled wants a rotation to rest while the app lets nobody in, and to end well once it does again.
func (e *Engaged) disabled(t *testing.T, before seal.Secret) seal.Secret {
	e.Enable(t, false)
	planned := e.plan(t)
	if rests := e.drive(t, planned, 4); rests.Finished != nil || rests.Detail == "" {
		t.Fatalf("it is %s: %s", rests.State, rests.Detail)
	}
	e.Enable(t, true)
	end := e.drive(t, e.plan(t), 50)
	if end.Receipt == nil {
		t.Fatalf("it is %s: %s", end.State, end.Detail)
	}
	return e.replaced(t, end, before)
}

// behind wants a password that somebody set by hand replaced by the app's administrator. Where there is none the rotation rests, the
// account is closed, and all goes on when the app has a password that is stored.
func (e *Engaged) behind(t *testing.T, before seal.Secret) seal.Secret {
	foreign := password()
	e.Set(t, foreign)
	end := e.drive(t, e.plan(t), 50)
	if e.Administrator.Username == "" {
		account, err := e.Accounts.Account(t.Context(), e.DB, e.workspace, e.account)
		coretest.Must(t, err)
		if end.State != rotation.StateBlocked || account.Closed() == nil || account.Closed().Code != "desynced" {
			t.Fatalf("it is %s: %s; %v", end.State, end.Detail, account.Closed())
		}
		e.Set(t, before)
		if end = e.drive(t, e.plan(t), 50); end.Receipt == nil {
			t.Fatalf("it is %s: %s", end.State, end.Detail)
		}
	} else if end.Receipt == nil || end.Receipt.Administrator != e.boss {
		t.Fatalf("it is %s: %s, %+v", end.State, end.Detail, end.Receipt)
	}
	e.opens(t, foreign, rotation.Rejected)
	return e.replaced(t, end, before)
}

// plan asks for a rotation, as the departure of somebody does.
func (e *Engaged) plan(t *testing.T) core.ID {
	t.Helper()
	var planned rotation.Rotation
	e.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = e.Rotations.Plan(ctx, tx, coretest.System(), e.workspace, e.account, rotation.ReasonDeprovision, 0)
		return err
	})
	return planned.ID
}

// Enrol turns the account's second factor on.
func (e *Engaged) Enrol(t *testing.T) rotation.Rotation {
	t.Helper()
	var planned rotation.Rotation
	e.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = e.Rotations.Enrol(ctx, tx, coretest.System(), e.workspace, e.account)
		return err
	})
	return e.drive(t, planned.ID, 50)
}

// BackupCodes are how many backup codes of the account are in the vault.
func (e *Engaged) BackupCodes(t *testing.T) int {
	t.Helper()
	codes, err := e.Accounts.BackupCodes(t.Context(), e.DB, e.workspace, e.account)
	coretest.Must(t, err)
	return codes.Left
}

// drive advances a rotation at most so many times, and tells how it is then.
func (e *Engaged) drive(t *testing.T, id core.ID, times int) rotation.Rotation {
	t.Helper()
	for range times {
		err := e.Rotations.Advance(t.Context(), e.workspace, id)
		after, waits := jobs.SnoozeOf(err)
		if !waits {
			coretest.Must(t, err)
			break
		}
		if e.Slow {
			time.Sleep(after)
		} else {
			e.clock.Pass(after)
		}
	}
	found, err := e.Rotations.Rotation(t.Context(), e.DB, e.workspace, id)
	coretest.Must(t, err)
	return found
}

// replaced is the password that a rotation ended with: the app takes it, and the one before no more.
func (e *Engaged) replaced(t *testing.T, end rotation.Rotation, before seal.Secret) seal.Secret {
	t.Helper()
	if end.State != rotation.StateDone || end.Receipt.NewAccepted.IsZero() || end.Receipt.OldRefused.IsZero() {
		t.Fatalf("it is %s: %s, %+v", end.State, end.Detail, end.Receipt)
	}
	next, err := e.Accounts.Password(t.Context(), e.DB, e.workspace, e.account, end.Receipt.Candidate)
	coretest.Must(t, err)
	e.opens(t, next, rotation.Accepted)
	e.opens(t, before, rotation.Rejected)
	return next
}

// opens asks the app itself. One that wants a code besides has taken the password.
func (e *Engaged) opens(t *testing.T, password seal.Secret, want rotation.Outcome) {
	t.Helper()
	report := e.Connector.Verify(t.Context(), rotation.Target{
		AppName: e.App.Name, Domains: e.App.Domains, SignInURL: e.App.SignInURL, ChangeURL: e.App.ChangeURL, Settings: e.App.Settings, AllowPrivate: true,
	}, with(e.Account, password))
	if report.Outcome != want && (want != rotation.Accepted || report.Outcome != rotation.Challenge) {
		t.Errorf("%s, want %s: %s", report.Outcome, want, report.Detail)
	}
}
