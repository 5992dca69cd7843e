package rotation_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/rotation"
)

// revoking is the connector to an app whose administrator ends sessions.
type revoking struct {
	*simulated
	says  rotation.Outcome
	down  int // it cannot be reached so often before it says that
	ended []string
	admin []string
}

func (r *revoking) Revoke(ctx context.Context, _ rotation.Target, admin rotation.Credential, username string) rotation.Report {
	if !lifeOf(ctx).tick() {
		return gone
	}
	r.ended, r.admin = append(r.ended, username), append(r.admin, admin.Password.Reveal())
	says := r.says
	if r.down > 0 {
		says = rotation.Unreachable
		r.down--
	}
	report := r.report(says, says == rotation.Applied)
	report.Stage = rotation.StageSubmit
	if !lifeOf(ctx).tick() {
		return gone
	}
	return report
}

// After both proofs the sessions opened with the old password are ended; what comes of that is in the history, and holds up
// nothing.
func TestARotationEndsSessions(t *testing.T) {
	for name, test := range map[string]struct {
		says  rotation.Outcome
		want  string
		down  int  // sign-ins of the administrator that reach nothing, at first
		spent bool // the administrator's budget is, at first
		asked int  // 0: any number
	}{
		"ended":                {says: rotation.Applied, want: "ended the sessions", asked: 1},
		"without the right":    {says: rotation.AdminDenied, want: "were not ended", asked: 1},
		"unreachable":          {says: rotation.Unreachable, want: "were not ended"},
		"unreachable at first": {says: rotation.Applied, want: "ended the sessions", down: 3, asked: 4},
		"others sign in as it": {says: rotation.Applied, want: "ended the sessions", spent: true, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t).open(t, 0)
			s.administered()
			talks := &revoking{simulated: s.connector, says: test.says, down: test.down}
			s.talks = talks
			if test.spent {
				s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
					for range 2 {
						if _, free, err := s.engine().Reserve(ctx, tx, s.workspace, s.admin); err != nil || !free.IsZero() {
							t.Errorf("reserved: %v, %v", free, err)
						}
					}
					return nil
				})
			}
			id := s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			if err := s.rotated(id); err != nil {
				t.Fatal(err)
			}
			if asked := len(talks.ended); asked == 0 || asked > 20 || test.asked != 0 && asked != test.asked {
				t.Fatalf("asked %d times", asked)
			}
			if talks.ended[0] != s.accountOf(s.account).Username || talks.admin[0] != s.app.admin {
				t.Fatalf("ended %v", talks.ended)
			}
			steps, err := s.engine().Steps(t.Context(), s.db, s.workspace, id)
			if err != nil || !slices.ContainsFunc(steps, func(step rotation.Step) bool {
				return strings.Contains(step.Detail, test.want) && strings.Contains(string(step.Evidence), s.admin.String())
			}) {
				t.Errorf("%+v, %v", steps, err)
			}
			if ended := s.rotation(id).Receipt.SessionsEnded; (ended != nil) != (test.says == rotation.Applied) || ended != nil && ended.Before(s.rotation(id).Receipt.OldRefused) {
				t.Errorf("the receipt says %v", ended)
			}
		})
	}
}

// A process may die anywhere while sessions are ended: they are ended again, and the rotation is done once.
func TestNoCrashKeepsASession(t *testing.T) {
	h := build(t)
	points := 1
	for at := 0; at <= points; at++ {
		s := h.open(t, at%2)
		s.administered()
		talks := &revoking{simulated: s.connector, says: rotation.Applied}
		s.talks = talks
		id := s.plan(rotation.ReasonDeprovision).ID
		first := &life{endsAt: at}
		s.advance(id, first)
		if at == 0 {
			points = first.ticks
		} else if testing.Short() {
			at += 7
		}
		s.advance(id, &life{})
		if err := s.rotated(id); err != nil {
			t.Errorf("killed at %d of %d: %v", at, points, err)
		} else if len(talks.ended) == 0 || s.rotation(id).Receipt.SessionsEnded == nil {
			t.Errorf("killed at %d of %d: ended %v", at, points, talks.ended)
		}
		h.clock.Pass(time.Hour)
	}
}
