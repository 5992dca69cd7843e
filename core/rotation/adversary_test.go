package rotation_test

import (
	"flag"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/rotation"
)

// TestNoAdversaryLosesAPassword has random apps treat one change after the other in random ways,
// while processes die at random points one after the other, wishes arrive in between, and somebody
// may change the password behind Postern's back to one it once had or, where an administrator can reset it, to any.
func TestNoAdversaryLosesAPassword(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("30") // each is some hundred transactions
	}
	h := build(t)
	rapid.Check(t, func(r *rapid.T) {
		s := h.open(t, rapid.IntRange(0, 1).Draw(r, "workspace"),
			rapid.SliceOfN(rapid.SampledFrom(behaviours), 0, 4).Draw(r, "behaviours")...)
		s.administer(core.ID{})
		administered := rapid.Bool().Draw(r, "administered")
		if administered {
			s.administered()
		}
		reasons := rapid.SampledFrom([]rotation.Reason{rotation.ReasonDeprovision, rotation.ReasonManual, rotation.ReasonVerify})
		id := s.plan(rotation.ReasonManual).ID
		for range rapid.IntRange(0, 4).Draw(r, "crashes") {
			s.advance(id, &life{endsAt: rapid.IntRange(1, 45).Draw(r, "dies at")})
			if err := s.sound(); err != nil {
				r.Fatal(err)
			}
			h.clock.Pass(time.Duration(rapid.IntRange(0, 3600).Draw(r, "pause")) * time.Second)
			switch rapid.IntRange(0, 6).Draw(r, "meanwhile") {
			case 0:
				id = s.plan(reasons.Draw(r, "reason")).ID
			case 1:
				s.app.lock.Lock()
				s.app.password = rapid.SampledFrom(s.app.had).Draw(r, "reset to")
				s.app.lock.Unlock()
			case 2:
				if administered {
					s.lost()
				}
			}
		}
		// In the end the app behaves, and whoever is asked for help asks again.
		s.app.lock.Lock()
		s.app.behaviour = nil
		s.app.lock.Unlock()
		for range 5 {
			h.clock.Pass(time.Hour)
			id = s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			if err := s.sound(); err != nil {
				r.Fatalf("%v (%v)", err, s.states(id))
			}
			if s.rotation(id).State == rotation.StateDone {
				break
			}
		}
		if end := s.rotation(id); end.Reason == rotation.ReasonDeprovision {
			if err := s.rotated(id); err != nil {
				r.Fatalf("%v (%v)", err, s.states(id))
			}
		}
		h.clock.Pass(24 * time.Hour)
	})
}
