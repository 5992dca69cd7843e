package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/rotation"
	"postern/core/seal"
)

// guarded is an app with a second factor: the simulated one, which asks for a code once that is on, and takes each once.
type guarded struct {
	*simulated
	enrols  []behaviour // of the next first codes; then it obeys
	shown   []string    // every secret it ever showed
	inForce string      // empty: its second factor is off
	used    map[string]bool
	garbage string // shown instead of a secret
}

// letIn is a sign-in with what is given.
func (g *guarded) letIn(ctx context.Context, given rotation.Credential) rotation.Outcome {
	if outcome := g.app.enter(given.Password.Reveal()); outcome != rotation.Accepted || g.inForce == "" {
		return outcome
	}
	if given.Code == nil {
		return rotation.Challenge
	}
	nextStep(g.app.clock) // nobody waits in a test
	code, err := given.Code(ctx)
	if err != nil || !g.takes(code.Reveal(), g.inForce) {
		return rotation.Challenge
	}
	return rotation.Accepted
}

// nextStep goes to a moment at which a code is good for long.
func nextStep(clock *coretest.Clock) {
	clock.Pass(31*time.Second - time.Duration(clock.Now().UnixNano())%(30*time.Second))
}

func (g *guarded) takes(code, secret string) bool {
	right, err := totp.GenerateCode(secret, g.app.clock.Now())
	if err != nil || code != right || g.used[secret+code] {
		return false
	}
	g.used[secret+code] = true
	return true
}

func (g *guarded) Verify(ctx context.Context, _ rotation.Target, given rotation.Credential) rotation.Report {
	life := lifeOf(ctx)
	if !life.tick() {
		return gone
	}
	outcome := g.letIn(ctx, given)
	if !life.tick() {
		return gone
	}
	return g.report(outcome, false)
}

func (g *guarded) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(context.Context) error) rotation.Report {
	if g.inForce != "" {
		if outcome := g.letIn(ctx, current); outcome != rotation.Accepted {
			return g.report(outcome, false)
		}
	}
	return g.simulated.Change(ctx, target, current, next, release)
}

func (g *guarded) Enrol(ctx context.Context, _ rotation.Target, given rotation.Credential, keep func(context.Context, seal.Secret) (seal.Secret, error)) rotation.Report {
	life := lifeOf(ctx)
	if !life.tick() {
		return gone
	}
	behaves := obeys
	if len(g.enrols) > 0 {
		behaves, g.enrols = g.enrols[0], g.enrols[1:]
	}
	if behaves == hangs {
		return g.report(rotation.TimedOut, false)
	}
	if outcome := g.letIn(ctx, given); outcome != rotation.Accepted {
		return g.report(outcome, false)
	}
	secret := strings.Repeat("GEZDGNBVGY3TQOJQ", 2)[:28] + fmt.Sprintf("AAA%c", 'A'+len(g.shown)%26)
	g.shown = append(g.shown, secret)
	nextStep(g.app.clock)
	show := "otpauth://totp/Wiki:shared?secret=" + secret
	if g.garbage != "" {
		show = g.garbage
	}
	code, err := keep(ctx, seal.NewSecret(show))
	if err != nil {
		return g.report(rotation.NotSent, false)
	}
	if !life.tick() { // stored, and the code never left
		return gone
	}
	right := g.takes(code.Reveal(), secret)
	outcome := map[behaviour]rotation.Outcome{losesAnswer: rotation.Unknown, losesRequest: rotation.TimedOut, refuses: rotation.Refused}[behaves]
	if outcome == "" {
		outcome = rotation.Applied
	}
	switch behaves {
	case losesRequest, refuses, liesSuccess:
	default:
		if !right {
			outcome = rotation.Refused
		} else {
			g.inForce = secret
		}
	}
	if !life.tick() { // on, and nobody heard
		return gone
	}
	return g.report(outcome, true)
}

func (s *subject) guard(behaves ...behaviour) *guarded {
	g := &guarded{simulated: s.connector, enrols: behaves, used: map[string]bool{}}
	s.talks = g
	return g
}

func (s *subject) enrol(t testing.TB) (planned rotation.Rotation, err error) {
	t.Helper()
	err = s.db.Tx(context.Background(), func(tx pgx.Tx) (err error) {
		planned, err = s.engine().Enrol(context.Background(), tx, core.NewCause(core.System, s.clock.Now()), s.workspace, s.account)
		return err
	})
	return planned, err
}

// secure checks that Postern's codes are the app's.
func (s *subject) secure(g *guarded) error {
	if g.inForce == "" {
		return errors.New("the second factor is off")
	}
	nextStep(s.clock)
	code, wait, err := s.accounts.SpendCode(context.Background(), s.workspace, s.account)
	if err != nil {
		return err
	}
	if wait > 0 || !g.takes(code.Reveal(), g.inForce) {
		return fmt.Errorf("the app does not take Postern's code (wait %v)", wait)
	}
	return nil
}

// TestNoCrashLosesASecondFactor kills the process before and after every transaction and at every point of its talk with
// the app, for every way the app can treat the first code, and lets another process go on. Whatever the app has in force
// is stored, and the password can be rotated afterwards.
func TestNoCrashLosesASecondFactor(t *testing.T) {
	var executions atomic.Int64
	stride := 1
	if testing.Short() {
		stride = 6
	}
	t.Cleanup(func() { t.Logf("%d executions", executions.Load()) })
	for _, behaves := range []behaviour{obeys, losesAnswer, losesRequest, refuses, hangs, liesSuccess} {
		t.Run(string(behaves), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			points := 1
			for at := 0; at <= points; at += stride { // 0: it lives
				s := h.open(t, at%2)
				g := s.guard(behaves)
				planned, err := s.enrol(t)
				coretest.Must(t, err)
				first := &life{endsAt: at}
				s.advance(planned.ID, first)
				if at == 0 {
					points = first.ticks
				}
				s.advance(planned.ID, &life{})
				if behaves == liesSuccess && s.rotation(planned.ID).State == rotation.StateBlocked {
					planned, err = s.enrol(t) // whoever is asked looks, and asks again
					coretest.Must(t, err)
					s.advance(planned.ID, &life{})
				}
				end := s.rotation(planned.ID)
				if end.State != rotation.StateDone || end.Reason != rotation.ReasonEnrol || end.Receipt != nil {
					t.Errorf("killed at %d of %d: it ended %s: %s (%v)", at, points, end.State, end.Detail, s.states(planned.ID))
				}
				if err := s.secure(g); err != nil {
					t.Errorf("killed at %d of %d: %v (%v)", at, points, err, s.states(planned.ID))
				}
				if err := s.sound(); err != nil {
					t.Errorf("killed at %d of %d: %v", at, points, err)
				}
				id := s.plan(rotation.ReasonDeprovision).ID
				s.advance(id, &life{})
				if err := s.rotated(id); err != nil {
					t.Errorf("killed at %d of %d, then rotated: %v (%v)", at, points, err, s.states(id))
				}
				executions.Add(1)
				h.clock.Pass(time.Hour)
			}
		})
	}
}

// Somebody leaves while the second factor is being turned on: whatever has come of that, their password dies.
func TestALeaverComesFirstWhileASecondFactorIsTurnedOn(t *testing.T) {
	h := build(t)
	for at := range 30 {
		s := h.open(t, at%2)
		g := s.guard()
		planned, err := s.enrol(t)
		coretest.Must(t, err)
		s.advance(planned.ID, &life{endsAt: at + 1})
		id := s.plan(rotation.ReasonDeprovision).ID
		s.advance(id, &life{})
		if err := s.rotated(id); err != nil {
			t.Errorf("killed at %d: %v (%v)", at, err, s.states(id))
		}
		if g.inForce != "" {
			if err := s.secure(g); err != nil {
				t.Errorf("killed at %d: %v", at, err)
			}
		}
		h.clock.Pass(time.Hour)
	}
}

func TestWhoMayTurnASecondFactorOn(t *testing.T) {
	s := build(t).open(t, 0)
	// What talks to the app cannot.
	_, err := s.enrol(t)
	coretest.Wants(t, err, core.KindConflict, "cannot_enrol")
	g := s.guard()
	cannot := func(cause core.Cause, workspace core.ID, kind core.Kind) {
		t.Helper()
		err := s.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := s.engine().Enrol(t.Context(), tx, cause, workspace, s.account)
			return err
		})
		if core.KindOf(err) != kind {
			t.Errorf("got %v, want %s", err, kind)
		}
	}
	cannot(system, s.house.workspace[1], core.KindNotFound)
	s.plan(rotation.ReasonManual)
	_, err = s.enrol(t)
	coretest.Wants(t, err, core.KindConflict, "rotation_open")
	planned, err := s.engine().List(t.Context(), s.db, s.workspace, s.account, 1)
	coretest.Must(t, err)
	s.advance(planned[0].ID, &life{})

	g.garbage = "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1"
	bad, err := s.enrol(t)
	coretest.Must(t, err)
	s.advance(bad.ID, &life{})
	if end := s.rotation(bad.ID); end.State != rotation.StateBlocked || !strings.Contains(end.Detail, "made by the clock only") || strings.Contains(end.Detail, "GEZD") {
		t.Errorf("%s: %s", end.State, end.Detail)
	}
	g.garbage = ""
	again, err := s.enrol(t) // joins the one that waits for a person
	coretest.Must(t, err)
	if again.ID != bad.ID {
		t.Error("a second one was begun")
	}
	s.advance(again.ID, &life{})
	coretest.Must(t, s.secure(g))
	_, err = s.enrol(t)
	coretest.Wants(t, err, core.KindConflict, "totp_stored")
	var told []string
	for _, event := range s.events() {
		if event == core.AccountTOTPStored {
			told = append(told, string(event))
		}
	}
	if len(told) != 1 {
		t.Errorf("stored %d times on record: %v", len(told), s.events())
	}
	// A code of a secret that was never in force is given to nobody.
	if _, _, err := s.accounts.SpendCandidateCode(t.Context(), s.house.workspace[1], s.account, 1); core.KindOf(err) != core.KindNotFound {
		t.Errorf("a neighbour is given %v", err)
	}
}
