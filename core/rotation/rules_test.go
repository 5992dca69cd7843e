package rotation_test

import (
	"context"
	"strings"
	"testing"

	"postern/core/accounts"
	"postern/core/passwordrules"
	"postern/core/rotation"
	"postern/core/seal"
)

// ruled is an app that takes only passwords of some rules, and says so or does not.
type ruled struct {
	*simulated
	rules    string
	says     string // of its rules
	released bool   // it finds out only when it is asked
	reused   int    // that many it calls used before
	targets  []rotation.Target
	tried    []string
}

func (r *ruled) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	r.targets, r.tried = append(r.targets, target), append(r.tried, next.Reveal())
	rules, _ := passwordrules.Parse(r.rules)
	refused := rotation.Report{Outcome: rotation.Refused, Stage: rotation.StageChangeForm, Rules: r.says}
	switch {
	case len(r.tried) <= r.reused:
		refused.Reused = true
	case rules.Allows(next.Reveal()):
		report := r.simulated.Change(ctx, target, current, next, release)
		report.Rules = r.says
		return report
	}
	if r.released {
		if err := release(ctx); err != nil {
			return r.report(rotation.NotSent, false)
		}
		refused.Released, refused.Stage = true, rotation.StageSubmit
	}
	return refused
}

// under has the app's rules hold, and gives the engine that meets them.
func (s *subject) under(r *ruled) (*ruled, func(reason rotation.Reason) rotation.Rotation) {
	r.simulated = s.connector
	return r, func(reason rotation.Reason) rotation.Rotation {
		s.t.Helper()
		id := s.plan(reason).ID
		engine := s.engine()
		engine.Connectors = rotation.Connectors{"simulated": r}
		for range 60 {
			if engine.Advance(s.t.Context(), s.workspace, id) == nil {
				return s.rotation(id)
			}
			s.clock.Pass(s.options.Quiet + 20*60e9)
		}
		s.t.Fatalf("it never rests: %+v", s.rotation(id))
		return rotation.Rotation{}
	}
}

func (s *subject) appSeen() accounts.App {
	s.t.Helper()
	account, err := s.accounts.Account(s.t.Context(), s.db, s.workspace, s.account)
	if err != nil {
		s.t.Fatal(err)
	}
	app, err := s.accounts.App(s.t.Context(), s.db, s.workspace, account.App)
	if err != nil {
		s.t.Fatal(err)
	}
	return app
}

// What the app says of its rules holds for the next candidate, and from then on for the first of every account there;
// the app of the same name in another workspace learns nothing.
func TestAnAppsRulesAreLearned(t *testing.T) {
	for _, released := range []bool{false, true} {
		h := build(t)
		s := h.open(t, 0)
		r, turn := s.under(&ruled{rules: "minlength: 30; allowed: lower, digit; required: digit", says: "minlength: 30; allowed: lower, digit; required: digit", released: released})
		if end := turn(rotation.ReasonDeprovision); s.rotated(end.ID) != nil || len(r.tried) != 2 {
			t.Fatalf("%v after %d tries: %+v", s.rotated(end.ID), len(r.tried), end)
		}
		if seen := s.appSeen().SeenRules; seen != "minlength: 30; required: digit; allowed: lower, digit" {
			t.Errorf("the app remembers %q", seen)
		}
		another := h.open(t, 0)
		r, turn = another.under(&ruled{rules: r.rules, says: r.says})
		if end := turn(rotation.ReasonDeprovision); another.rotated(end.ID) != nil || len(r.tried) != 1 {
			t.Errorf("%v after %d tries", another.rotated(end.ID), len(r.tried))
		}
		elsewhere := h.open(t, 1)
		if seen := elsewhere.appSeen().SeenRules; seen != "" {
			t.Errorf("another workspace learned %q", seen)
		}
	}
}

// Rules an app has once changed: the latest hold, and those a safe password cannot satisfy are told and not kept.
func TestAnAppsRulesChange(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	r, turn := s.under(&ruled{rules: "maxlength: 12", says: "maxlength: 12"})
	turn(rotation.ReasonManual)
	r.rules, r.says, r.tried = "minlength: 20", "minlength: 20", nil
	if end := turn(rotation.ReasonManual); s.rotated(end.ID) != nil || len(r.tried) != 2 {
		t.Errorf("%v after %d tries", s.rotated(end.ID), len(r.tried))
	}
	r.rules, r.says, r.tried = "maxlength: 6", "maxlength: 6", nil
	end := turn(rotation.ReasonDeprovision)
	if end.State != rotation.StateBlocked || !strings.Contains(end.Detail, "maxlength: 6") || len(r.tried) != 1 || s.sound() != nil {
		t.Errorf("%+v after %d tries", end, len(r.tried))
	}
	if seen := s.appSeen().SeenRules; seen != "minlength: 20" {
		t.Errorf("the app remembers %q", seen)
	}
	// The app comes to its senses.
	r.rules, r.says = "", ""
	if end := turn(rotation.ReasonDeprovision); s.rotated(end.ID) != nil {
		t.Error(s.rotated(end.ID))
	}
}

// A password used before says nothing against the next of its kind; a refusal nobody understands does.
func TestARefusalOfAUsedPasswordWeakensNothing(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	r, turn := s.under(&ruled{reused: 3, released: true})
	if end := turn(rotation.ReasonManual); s.rotated(end.ID) != nil || len(r.tried) != 4 || len(r.tried[3]) != seal.DefaultPasswordLength {
		t.Errorf("%v after %q", s.rotated(end.ID), r.tried)
	}
	s = h.open(t, 0)
	r, turn = s.under(&ruled{reused: 100})
	if end := turn(rotation.ReasonManual); end.State != rotation.StateBlocked || len(r.tried) != 8 || s.sound() != nil {
		t.Errorf("%+v after %d tries", end, len(r.tried))
	}
	s = h.open(t, 0)
	r, turn = s.under(&ruled{rules: "allowed: lower, upper, digit"})
	if end := turn(rotation.ReasonManual); s.rotated(end.ID) != nil || len(r.tried) != 3 {
		t.Errorf("%v after %d tries", s.rotated(end.ID), len(r.tried))
	}
}

// An app that says something else of its rules every time is given up, and garbage is no rule.
func TestAnAppThatChangesItsMindIsGivenUp(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	r, _ := s.under(&ruled{rules: "minlength: 100; maxlength: 100"})
	lengths := []string{"minlength: 25", "maxlength: 20", "minlength: 26", "maxlength: 19", "minlength: 27", "maxlength: 18", "minlength: 28", "maxlength: 17", "minlength: 29"}
	wrapped := &fickle{ruled: r, says: lengths}
	id := s.plan(rotation.ReasonManual).ID
	engine := s.engine()
	engine.Connectors = rotation.Connectors{"simulated": wrapped}
	if err := engine.Advance(t.Context(), s.workspace, id); err != nil {
		t.Fatal(err)
	}
	if end := s.rotation(id); end.State != rotation.StateBlocked || len(r.tried) != 8 {
		t.Errorf("%+v after %d tries", end, len(r.tried))
	}
	s = h.open(t, 1)
	r, turn := s.under(&ruled{rules: "allowed: lower, upper, digit, [-_]", says: strings.Repeat("\x00[required: ", 5000)})
	end := turn(rotation.ReasonManual)
	tries := 2
	if rules, _ := passwordrules.Parse(r.rules); rules.Allows(r.tried[0]) { // one in seven of the usual kind does
		tries = 1
	}
	if s.rotated(end.ID) != nil || len(r.tried) != tries || s.appSeen().SeenRules != "" {
		t.Errorf("%v after %d tries, %q", s.rotated(end.ID), len(r.tried), s.appSeen().SeenRules)
	}
}

type fickle struct {
	*ruled
	says []string
}

func (f *fickle) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	f.ruled.says, f.says = f.says[0], f.says[1:]
	return f.ruled.Change(ctx, target, current, next, release)
}
