package rotation_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

// changes has somebody change the app of the subject's account.
func (s *subject) changes(change func(made *accounts.NewApp)) {
	s.t.Helper()
	app := s.appSeen()
	s.tx(s.t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.engine().ChangeApp(ctx, tx, core.NewCause(core.System, s.clock.Now()), s.workspace, app.ID, func(made *accounts.NewApp) error {
			change(made)
			return nil
		})
		return err
	})
}

func elsewhere(made *accounts.NewApp) { made.ChangeURL = "https://app.example/password" }

// What waits because nobody found the app's form goes on once the app is changed; what the app said of one account does not, nor
// what waits in the app of the same name next door.
func TestAChangedAppIsGoneBackTo(t *testing.T) {
	h := build(t)
	lost, locked, unmanaged, neighbour := h.open(t, 0), h.open(t, 0), h.open(t, 0), h.open(t, 1)
	lost.app.signIn, unmanaged.app.signIn, neighbour.app.signIn = rotation.FormNotFound, rotation.FormNotFound, rotation.FormNotFound
	locked.app.signIn = rotation.Locked
	planned := map[*subject]core.ID{}
	for _, s := range []*subject{lost, locked, unmanaged, neighbour} {
		planned[s] = s.plan(rotation.ReasonDeprovision).ID
		s.advance(planned[s], &life{})
		if found := s.rotation(planned[s]); found.State != rotation.StateBlocked {
			t.Fatalf("it is %s", found.State)
		}
	}
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.accounts.Learn(ctx, tx, system, unmanaged.workspace, unmanaged.account, accounts.Abandoned, "by hand")
		return err
	})

	lost.changes(func(*accounts.NewApp) {})
	if found := lost.rotation(planned[lost]); found.State != rotation.StateBlocked {
		t.Fatalf("a change of nothing has it go on: %s", found.State)
	}
	lost.changes(elsewhere)
	for _, s := range []*subject{locked, unmanaged, neighbour} {
		if found := s.rotation(planned[s]); found.State != rotation.StateBlocked {
			t.Errorf("it is %s, and nothing changed for it", found.State)
		}
	}
	lost.app.signIn = ""
	lost.advance(planned[lost], &life{})
	lost.mustBeRotated(planned[lost])
}

// overtaken is a connector that finds no form the first time, because the app is changed in that moment.
type overtaken struct {
	*simulated
	meanwhile func()
}

func (o *overtaken) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	if o.meanwhile == nil {
		return o.simulated.Change(ctx, target, current, next, release)
	}
	o.meanwhile()
	o.meanwhile = nil
	return o.report(rotation.FormNotFound, false)
}

// An attempt that went by the app as it was, and is blocked after the change, does not wait for a second one.
func TestAnAppChangedMeanwhileIsGoneBackTo(t *testing.T) {
	s := build(t).open(t, 0)
	s.talks = &overtaken{s.connector, func() { s.changes(elsewhere) }}
	planned := s.plan(rotation.ReasonDeprovision)
	s.advance(planned.ID, &life{})
	if found := s.rotation(planned.ID); found.State == rotation.StateBlocked || found.NextAttempt == nil {
		t.Fatalf("it is %s (%v)", found.State, s.states(planned.ID))
	}
	s.advance(planned.ID, &life{})
	s.mustBeRotated(planned.ID)
}
