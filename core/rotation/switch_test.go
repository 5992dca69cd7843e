package rotation_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/rotation"
)

// switching is the connector to an app whose administrator disables accounts.
type switching struct {
	*simulated
	says  rotation.Outcome // instead of doing it
	meets rotation.Outcome // who signs in to a disabled account; empty: Disabled
	keeps bool             // its own record is read back
	lies  bool             // it says that it did, and did not
	asked []bool
	admin []string
}

func (s *switching) SetEnabled(ctx context.Context, _ rotation.Target, admin rotation.Credential, _ string, enabled bool) rotation.Report {
	if !lifeOf(ctx).tick() {
		return gone
	}
	s.asked, s.admin = append(s.asked, enabled), append(s.admin, admin.Password.Reveal())
	s.app.lock.Lock()
	switch {
	case s.says != "" || s.lies:
	case enabled:
		s.app.signIn = ""
	default:
		s.app.signIn = cmp.Or(s.meets, rotation.Disabled)
	}
	s.app.lock.Unlock()
	outcome := rotation.Applied
	if s.says != "" {
		outcome = s.says
	}
	report := s.report(outcome, outcome == rotation.Applied)
	report.Stage, report.Recorded = rotation.StageSubmit, s.keeps && outcome == rotation.Applied
	if outcome == rotation.AdminRejected {
		report.Stage = rotation.StageSignIn
	}
	if !lifeOf(ctx).tick() {
		return gone
	}
	return report
}

// switchable is an account whose app's administrator disables it.
func (h *house) switchable(t *testing.T, workspace int) (*subject, *switching) {
	t.Helper()
	s := h.open(t, workspace)
	s.administered()
	talks := &switching{simulated: s.connector}
	s.talks = talks
	return s, talks
}

func (s *subject) set(enabled bool) rotation.Switch {
	s.t.Helper()
	var planned rotation.Switch
	s.tx(s.t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = s.engine().SetEnabled(ctx, tx, core.NewCause(core.System, s.clock.Now()), s.workspace, s.account, enabled)
		return err
	})
	return planned
}

// run drives a switch until it rests for good, or the process dies.
func (s *subject) run(id core.ID, l *life) rotation.Switch {
	s.t.Helper()
	ctx := context.WithValue(context.Background(), lifeKey{}, l)
	for range 300 {
		err := s.engine().AdvanceSwitch(ctx, s.workspace, id)
		after, snoozed := jobs.SnoozeOf(err)
		switch {
		case l.dead, err == nil:
			return s.switched()
		case !snoozed:
			s.t.Fatalf("advance: %v", err)
		}
		s.clock.Pass(max(after, 0))
	}
	s.t.Fatalf("it never comes to rest: %+v", s.switched())
	return rotation.Switch{}
}

func (s *subject) switched() rotation.Switch {
	s.t.Helper()
	found, err := s.engine().Switches(context.Background(), s.db, s.workspace, s.account, 1)
	if err != nil || len(found) != 1 {
		s.t.Fatalf("%+v, %v", found, err)
	}
	return found[0]
}

// An account is disabled by the app's administrator, which a sign-in proves, and nobody is given its password; enabled again it
// gets another password, and opens once that is proved.
func TestAnAccountIsDisabledAndEnabled(t *testing.T) {
	s, talks := build(t).switchable(t, 0)
	end := s.run(s.set(false).ID, &life{})
	if end.State != rotation.SwitchDone || end.Proven == nil || end.Proven.Before(*end.Applied) || end.Administrator != s.admin || !slices.Equal(end.Hosts, []string{"app.example", "cdn.example"}) {
		t.Fatalf("%+v", end)
	}
	if !slices.Equal(talks.asked, []bool{false}) || talks.admin[0] != s.app.admin {
		t.Errorf("asked %v", talks.asked)
	}
	account := s.accountOf(s.account)
	if account.State != accounts.AppDisabled || account.Closed() == nil || !slices.Equal(account.Advice().Steps, []accounts.Step{accounts.StepEnable}) {
		t.Errorf("%+v", account)
	}
	for _, finding := range []accounts.Finding{accounts.SignInAccepted, accounts.LoginDisabled, accounts.Expired, accounts.Replaced} {
		s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			after, err := s.accounts.Learn(ctx, tx, system, s.workspace, s.account, finding, "Somebody did something at the app.")
			if after.Finding != accounts.SwitchedOff {
				t.Errorf("%s makes %s of it", finding, after.State)
			}
			return err
		})
	}
	s.clock.Pass(time.Hour)
	end = s.run(s.set(true).ID, &life{})
	if end.State != rotation.SwitchDone || s.accountOf(s.account).Closed() == nil {
		t.Fatalf("%+v, %s", end, s.state())
	}
	open, err := s.engine().List(t.Context(), s.db, s.workspace, s.account, 1)
	if err != nil || len(open) != 1 || open[0].Finished != nil {
		t.Fatalf("%+v, %v", open, err)
	}
	s.advance(open[0].ID, &life{})
	if err := s.rotated(open[0].ID); err != nil {
		t.Error(err)
	}
	for _, want := range []core.EventType{core.AccountDisableRequested, core.AccountDisabled, core.AccountEnableRequested, core.AccountEnabled} {
		if count := len(slices.DeleteFunc(s.events(), func(one core.EventType) bool { return one != want })); count != 1 {
			t.Errorf("%d events %s", count, want)
		}
	}
	if slices.Contains(s.events(), core.AccountAppDisabled) {
		t.Error("it is told twice")
	}
}

// That the app refuses a sign-in says by itself that the account is disabled only where the app says so, or its own record does.
func TestWhatARefusalProves(t *testing.T) {
	for name, test := range map[string]struct {
		keeps bool
		meets rotation.Outcome
		want  string
	}{
		"its own record, and refused":           {true, rotation.Rejected, "own record has the account disabled"},
		"its own record, and locked":            {true, rotation.Locked, "own record has the account disabled"},
		"refused with the word that it is":      {false, rotation.Disabled, "said that the account is disabled"},
		"refused for a reason that is not told": {false, rotation.Rejected, "for another reason"},
		"locked, perhaps for wrong passwords":   {false, rotation.Locked, "for another reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, talks := build(t).switchable(t, 0)
			talks.keeps, talks.meets = test.keeps, test.meets
			end := s.run(s.set(false).ID, &life{})
			if end.State != rotation.SwitchDone || end.Proven == nil || !strings.Contains(end.Detail, test.want) {
				t.Errorf("%+v", end)
			}
			if (end.Recorded != nil) != test.keeps || end.Recorded != nil && end.Recorded.After(*end.Proven) {
				t.Errorf("recorded %v, turned away %v", end.Recorded, end.Proven)
			}
		})
	}
	// A record of before the app let the account in all the same is none.
	s, talks := build(t).switchable(t, 0)
	talks.keeps, talks.lies = true, true
	id := s.set(false).ID
	if end := s.run(id, &life{}); end.State != rotation.SwitchBlocked || end.Recorded != nil {
		t.Errorf("%+v", end)
	}
	talks.keeps, talks.lies, talks.meets = false, false, rotation.Rejected
	s.clock.Pass(time.Hour)
	s.set(false)
	if end := s.run(id, &life{}); end.State != rotation.SwitchDone || end.Recorded != nil || !strings.Contains(end.Detail, "for another reason") {
		t.Errorf("%+v", end)
	}
}

// What keeps the app from it is tried again without end if nobody answers, and otherwise told, with what to do.
func TestWhatKeepsAnAccountFromBeingDisabled(t *testing.T) {
	for name, test := range map[string]struct {
		says rotation.Outcome
		lies bool
		want string
	}{
		"a wrong password of the administrator": {says: rotation.AdminRejected, want: "refused the stored password of its administrator"},
		"without the right":                     {says: rotation.AdminDenied, want: "does not let its administrator"},
		"no such account":                       {says: rotation.Rejected, want: "has no account named"},
		"an answer that makes no sense":         {says: rotation.Unknown, want: "could not be understood"},
		"it lets the account in all the same":   {lies: true, want: "let it in all the same"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, talks := build(t).switchable(t, 1)
			talks.says, talks.lies = test.says, test.lies
			id := s.set(false).ID
			end := s.run(id, &life{})
			if end.State != rotation.SwitchBlocked || !strings.Contains(end.Detail, test.want) || !slices.Contains(s.events(), core.AccountSwitchBlocked) {
				t.Fatalf("%+v", end)
			}
			if admin := s.accountOf(s.admin); (admin.State == accounts.Desynced) != (test.says == rotation.AdminRejected) {
				t.Errorf("the administrator is %s", admin.State)
			}
			if err := s.sound(); err != nil {
				t.Error(err)
			}
			talks.says, talks.lies = "", false
			s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := s.accounts.Learn(ctx, tx, system, s.workspace, s.admin, accounts.SignInAccepted, "It was set right.")
				return err
			})
			s.clock.Pass(time.Hour)
			if again := s.set(false); again.ID != id {
				t.Errorf("another is begun")
			}
			if end := s.run(id, &life{}); end.State != rotation.SwitchDone || end.Proven == nil {
				t.Errorf("%+v", end)
			}
		})
	}
	t.Run("an app that is down", func(t *testing.T) {
		s, talks := build(t).switchable(t, 0)
		talks.says = rotation.Unreachable
		id := s.set(false).ID
		for range 20 {
			after, waits := jobs.SnoozeOf(s.engine().AdvanceSwitch(t.Context(), s.workspace, id))
			if !waits {
				t.Fatalf("%+v", s.switched())
			}
			s.clock.Pass(after)
		}
		talks.says = ""
		if end := s.run(id, &life{}); end.State != rotation.SwitchDone {
			t.Errorf("%+v", end)
		}
	})
}

// A process may die anywhere while an account is disabled, or while somebody turns that round: it ends as was wanted last.
func TestNoCrashLeavesAnAccountEnabled(t *testing.T) {
	h := build(t)
	points := 1
	for at := 0; at <= points; at++ {
		s, talks := h.switchable(t, at%2)
		id := s.set(false).ID
		first := &life{endsAt: at}
		s.run(id, first)
		if at == 0 {
			points = first.ticks
		}
		s.clock.Pass(5 * time.Minute) // a lease runs out
		if end := s.run(id, &life{}); end.State != rotation.SwitchDone || end.Proven == nil || s.app.signIn != rotation.Disabled || s.state() != accounts.AppDisabled {
			t.Errorf("killed at %d of %d: %+v", at, points, end)
		}
		if at%3 == 0 {
			s.clock.Pass(time.Hour)
			id = s.set(false).ID
			s.run(id, &life{endsAt: at})
			s.set(true)
			s.clock.Pass(5 * time.Minute)
			if s.run(s.switched().ID, &life{}); s.app.signIn != "" || !talks.asked[len(talks.asked)-1] {
				t.Errorf("killed at %d of %d and turned round: the app was asked %v", at, points, talks.asked)
			}
		}
		h.clock.Pass(time.Hour)
	}
}

// An account is rotated before it is disabled, if that does not take too long.
func TestARotationGoesBeforeTheLock(t *testing.T) {
	s, talks := build(t).switchable(t, 0)
	rotated := s.plan(rotation.ReasonDeprovision).ID
	id := s.set(false).ID
	if after, waits := jobs.SnoozeOf(s.engine().AdvanceSwitch(t.Context(), s.workspace, id)); !waits || after <= 0 || len(talks.asked) > 0 {
		t.Fatalf("%t, asked %v", waits, talks.asked)
	}
	s.advance(rotated, &life{})
	if err := s.rotated(rotated); err != nil {
		t.Fatal(err)
	}
	if end := s.run(id, &life{}); end.State != rotation.SwitchDone || s.state() != accounts.AppDisabled {
		t.Errorf("%+v", end)
	}

	other, talks := build(t).switchable(t, 0)
	other.app.signIn = rotation.Unreachable
	other.advanceOnce(other.plan(rotation.ReasonDeprovision).ID)
	for id := other.set(false).ID; len(talks.asked) == 0; {
		after, waits := jobs.SnoozeOf(other.engine().AdvanceSwitch(t.Context(), other.workspace, id))
		if !waits && len(talks.asked) == 0 || other.clock.Now().Sub(system.Received) > 2*time.Hour {
			t.Fatalf("%+v", other.switched())
		}
		other.clock.Pass(after)
	}
}

func (s *subject) advanceOnce(id core.ID) {
	s.t.Helper()
	if _, waits := jobs.SnoozeOf(s.engine().Advance(context.Background(), s.workspace, id)); !waits {
		s.t.Fatalf("%+v", s.rotation(id))
	}
}

// Nobody disables the account that disables the others, nor one of an app that names none or whose connector cannot; another
// workspace's is not there.
func TestWhoCannotBeDisabled(t *testing.T) {
	h := build(t)
	s, _ := h.switchable(t, 0)
	bare := h.open(t, 1)
	set := func(workspace, account core.ID) (err error) {
		return h.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := s.engine().SetEnabled(t.Context(), tx, system, workspace, account, false)
			return err
		})
	}
	for _, test := range []struct {
		workspace, account core.ID
		kind               core.Kind
	}{{s.workspace, s.admin, core.KindConflict}, {bare.workspace, s.account, core.KindNotFound}} {
		if err := set(test.workspace, test.account); core.KindOf(err) != test.kind {
			t.Errorf("%v, want %v", err, test.kind)
		}
	}
	stranger, _ := h.switchable(t, 0)
	stranger.talks = stranger.connector
	for _, one := range []*subject{bare, stranger} {
		if end := one.run(one.set(false).ID, &life{}); end.State != rotation.SwitchBlocked || !strings.Contains(end.Detail, "takes a connector that can") {
			t.Errorf("%+v", end)
		}
	}
}
