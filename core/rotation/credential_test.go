package rotation_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// asking is an app that wants a one-time code at every sign-in, each once.
type asking struct {
	*simulated
	s       *subject
	used    map[string]bool
	granted time.Duration // how long the last sign-in might have taken
	without int           // sign-ins that had no code to give
}

func (a *asking) let(ctx context.Context, given rotation.Credential) bool {
	deadline, _ := ctx.Deadline()
	a.granted = time.Until(deadline)
	if given.Code == nil {
		a.without++
		return false
	}
	a.s.clock.Pass(30 * time.Second)
	code, err := given.Code(ctx)
	if err != nil {
		a.s.t.Error(err)
		return false
	}
	if right, err := totp.GenerateCode(totpSecret, a.s.clock.Now()); err != nil || code.Reveal() != right || a.used[right] {
		a.s.t.Errorf("got %q, want %q, used before: %v", code.Reveal(), right, a.used[right])
	}
	a.used[code.Reveal()] = true
	// Whoever asks again within the step waits.
	soon, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	if again, err := given.Code(soon); !errors.Is(err, context.DeadlineExceeded) {
		a.s.t.Errorf("the same step gives %q again: %v", again.Reveal(), err)
	}
	return true
}

func (a *asking) Verify(ctx context.Context, target rotation.Target, given rotation.Credential) rotation.Report {
	if !a.let(ctx, given) {
		return rotation.Report{Outcome: rotation.Challenge}
	}
	return a.simulated.Verify(ctx, target, given)
}

func (a *asking) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(context.Context) error) rotation.Report {
	if !a.let(ctx, current) {
		return rotation.Report{Outcome: rotation.Challenge}
	}
	return a.simulated.Change(ctx, target, current, next, release)
}

// Where the app asks for codes, every sign-in of a rotation gives one of its own.
func TestEverySignInHasACodeOfItsOwn(t *testing.T) {
	s := build(t).open(t, 0)
	app := &asking{simulated: s.connector, s: s, used: map[string]bool{}}
	engine := s.engine()
	engine.Connectors = rotation.Connectors{"simulated": app}

	account, err := s.accounts.Account(t.Context(), s.db, s.workspace, s.account)
	if err != nil {
		t.Fatal(err)
	}
	trial, err := engine.Try(t.Context(), account, 1)
	if err != nil || trial.Outcome != rotation.Challenge || app.without != 1 || app.granted > time.Minute {
		t.Fatalf("%+v, %v after %v", trial, err, app.granted)
	}
	if limit, err := engine.TrialTimeout(t.Context(), s.db, s.workspace, s.account); err != nil || limit != time.Minute {
		t.Errorf("a sign-in without codes may take %v, %v", limit, err)
	}
	s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.accounts.SetTOTP(ctx, tx, system, s.workspace, s.account, seal.NewSecret(totpSecret))
		return err
	})
	planned := s.plan(rotation.ReasonDeprovision)
	for range 50 {
		err := engine.Advance(t.Context(), s.workspace, planned.ID)
		after, snoozed := jobs.SnoozeOf(err)
		if err == nil {
			break
		} else if !snoozed {
			t.Fatal(err)
		}
		s.clock.Pass(after)
	}
	s.mustBeRotated(planned.ID)
	if len(app.used) != 3 || app.without != 1 {
		t.Errorf("%d codes, %d sign-ins without: a change and two proofs want three", len(app.used), app.without-1)
	}
	if trial, err = engine.Try(t.Context(), account, 2); err != nil || trial.Outcome != rotation.Accepted || len(app.used) != 4 {
		t.Errorf("%+v, %v, %d codes", trial, err, len(app.used))
	}
	limit, err := engine.TrialTimeout(t.Context(), s.db, s.workspace, s.account)
	if err != nil || app.granted < 2*time.Minute || app.granted > limit {
		t.Errorf("a sign-in may take %v, of %v with the wait for a code, %v", app.granted, limit, err)
	}
}

// letters are the codes that are sent to an account.
type letters struct {
	s      *subject
	begun  int
	coming string // empty: the account can be sent none
	asked  int
}

func (l *letters) Codes(_ context.Context, _ postgres.Querier, workspace, account core.ID) (func(context.Context) (seal.Secret, error), error) {
	if workspace != l.s.workspace || account != l.s.account {
		l.s.t.Errorf("asked of %v in %v", account, workspace)
	}
	if l.coming == "" {
		return nil, nil
	}
	l.begun++
	return func(context.Context) (seal.Secret, error) {
		l.asked++
		return seal.NewSecret(l.coming), nil
	}, nil
}

func (l *letters) Links(context.Context, postgres.Querier, core.ID, core.ID) (string, func(context.Context) (seal.Secret, error), error) {
	return "", nil, nil
}

// given is a connector that remembers what it was given.
type given struct {
	*simulated
	credential rotation.Credential
	within     time.Duration
}

func (g *given) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	deadline, _ := ctx.Deadline()
	g.credential, g.within = credential, time.Until(deadline)
	return g.simulated.Verify(ctx, target, credential)
}

// A code that is sent is for accounts without a TOTP secret alone, and each sign-in waits for one of its own.
func TestCodesAreSentWhereNoneAreMade(t *testing.T) {
	s := build(t).open(t, 0)
	app, inbox := &given{simulated: s.connector}, &letters{s: s}
	engine := s.engine()
	engine.Connectors, engine.Inbox = rotation.Connectors{"simulated": app}, inbox
	account, err := s.accounts.Account(t.Context(), s.db, s.workspace, s.account)
	coretest.Must(t, err)
	try := func() {
		t.Helper()
		trial, err := engine.Try(t.Context(), account, 1)
		if err != nil || trial.Outcome != rotation.Accepted {
			t.Fatalf("%+v, %v", trial, err)
		}
	}
	limit := func() time.Duration {
		t.Helper()
		limit, err := engine.TrialTimeout(t.Context(), s.db, s.workspace, s.account)
		coretest.Must(t, err)
		return limit
	}
	if try(); app.credential.Code != nil || app.credential.Sent || app.within > time.Minute || limit() != time.Minute {
		t.Errorf("an account that can be sent nothing is given codes, within %v", app.within)
	}
	inbox.coming = "482913"
	if try(); app.credential.Code == nil || !app.credential.Sent || app.within < 2*time.Minute || limit() < app.within {
		t.Errorf("no codes, or not the time to wait for one: %v", app.within)
	}
	if code, err := app.credential.Code(t.Context()); err != nil || code.Reveal() != "482913" || inbox.asked != 1 || inbox.begun < 1 {
		t.Errorf("%q, %v", code.Reveal(), err)
	}
	s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.accounts.SetTOTP(ctx, tx, system, s.workspace, s.account, seal.NewSecret(totpSecret))
		return err
	})
	if try(); app.credential.Code == nil || app.credential.Sent || inbox.asked != 1 {
		t.Error("the TOTP secret is not used first")
	}
}
