package idp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/idp"
	"postern/conformance/partstest"
	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// More people leave than the guard lets through: all are out at once, and of those it holds nothing is
// taken until an administrator approves. Then each departure has exactly one effect, as always.
func TestAMassDeparture(t *testing.T) {
	partstest.Long(t, "hundreds of people")
	for i, shape := range idp.Shapes {
		t.Run(string(shape), func(t *testing.T) {
			w := open(t, kindOf(shape), 10)
			options := w.options(shape, idp.Size{Users: 100, Groups: 5, Cycles: 1, Leavers: 40}, 21+uint64(i))
			var sessions []seal.Secret
			options.After = func(ctx context.Context, cycle int, people []idp.Known) error {
				if cycle == 0 {
					if err := w.share(ctx, people); err != nil {
						return err
					}
					var err error
					sessions, err = w.signIn(ctx, people)
					return err
				}
				for _, session := range sessions {
					if _, _, err := w.Directory.Authenticate(ctx, session); core.KindOf(err) != core.KindUnauthenticated {
						return fmt.Errorf("a leaver's session lives on: %w", err)
					}
				}
				return w.approve(ctx, t)
			}
			report, err := idp.Run(t.Context(), options)
			must(t, err)
			var text strings.Builder
			report.WriteText(&text)
			t.Log(text.String())
			if report.Failed() {
				t.Errorf("%d faults", len(report.Faults)+report.More)
			}
			if e := report.Effects; e.Departures != 40 || e.Told != 40 || e.Revoked == 0 || e.Revoked != e.Planned {
				t.Errorf("the effects are %+v", *e)
			}
		})
	}
}

// signIn gives everybody who is about to leave a session.
func (w *world) signIn(ctx context.Context, people []idp.Known) ([]seal.Secret, error) {
	var sessions []seal.Secret
	err := w.DB.Tx(ctx, func(tx pgx.Tx) error {
		sessions = nil
		for _, p := range people {
			if !p.Leaves {
				continue
			}
			user, err := core.ParseID(p.ID)
			if err != nil {
				return err
			}
			_, token, err := w.Directory.StartSession(ctx, tx, w.system, directory.NewSession{
				Workspace: w.workspace, User: user, Connection: w.connection.ID, Authenticated: time.Now(),
			})
			if err != nil {
				return err
			}
			sessions = append(sessions, token)
		}
		return nil
	})
	return sessions, err
}

// approve looks at what the guard holds, then lets it go on.
func (w *world) approve(ctx context.Context, t *testing.T) error {
	holds, err := w.Holds(ctx, w.DB, w.workspace, true)
	if err != nil {
		return err
	}
	events, err := w.events(ctx)
	if err != nil {
		return err
	}
	told := map[core.ID]bool{}
	for _, event := range events {
		if event.Type == core.UserDeprovisioned {
			told[event.Targets[0].ID] = true
		}
	}
	// A fifth of a hundred may leave unasked.
	if len(holds) != 1 || holds[0].People != 20 || len(told) != 20 {
		return fmt.Errorf("%d people are told of and the holds are %+v", len(told), holds)
	}
	held, err := w.HeldUsers(ctx, w.DB, w.workspace, holds[0].ID, 0)
	if err != nil {
		return err
	}
	taken := 0
	for _, one := range held {
		if told[one.User] {
			t.Errorf("%s is held and deprovisioned", one.UserName)
		}
		if len(w.shared[one.User]) > 0 {
			taken++
		}
		if err := w.untouched(ctx, one.User); err != nil {
			return err
		}
	}
	if taken == 0 {
		t.Error("nobody who is held has an account: this shows nothing")
	}
	if err := w.ApproveHold(ctx, w.system, w.workspace, holds[0].ID); err != nil {
		return err
	}
	carried, err := w.Carry(ctx)
	if err == nil && carried != len(held) {
		err = fmt.Errorf("%d of %d were carried out", carried, len(held))
	}
	return err
}

// untouched asks for the grants of somebody who is held: they wait as they were.
func (w *world) untouched(ctx context.Context, user core.ID) error {
	var live int
	err := w.DB.QueryRow(ctx, `select count(*) from grants where workspace_id = @workspace and user_id = @user and revoked is null`,
		pgx.StrictNamedArgs{"workspace": w.workspace, "user": user}).Scan(&live)
	if err == nil && live != len(w.shared[user]) {
		err = fmt.Errorf("%d grants of %d are left to somebody who is held", live, len(w.shared[user]))
	}
	return err
}
