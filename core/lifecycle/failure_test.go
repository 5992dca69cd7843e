package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// Wherever a command fails, nothing of it is left and nobody is woken.
func TestAFailureInsideLeavesNothing(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{Team: h.team.ID})
	h.share(t, 1, accounts.Subject{User: h.bob.ID})
	coretest.Must(t, h.fill(t, h.bob, 1))
	_, err := h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
	_, err = h.DB.Exec(ctx, `create function refuse() returns trigger language plpgsql as $$ begin raise 'the disk is full'; end $$`)
	coretest.Must(t, err)

	deprovision := func() error { _, err := h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID); return err }
	take := func() error { _, err := h.Take(ctx); return err }
	remove := func() error { return h.Remove(ctx, h.cause, h.workspace, h.bob.ID, nil) }
	put := func() error {
		_, err := h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error {
			u.Active, u.DisplayName = false, "gone"
			return nil
		})
		return err
	}
	logout := func() error {
		_, err := h.core.Signals.LogOut(ctx, h.system, h.workspace, h.bob.ID)
		return err
	}
	edit := func() error {
		_, err := h.ChangeTeam(ctx, h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error {
			e.DisplayName, e.Replace = "Field", &[]core.ID{h.ana.ID}
			return nil
		})
		return err
	}
	removeTeam := func() error { return h.DeleteTeam(ctx, h.cause, h.workspace, h.team.ID, nil) }
	leaving := map[string]func() error{"deprovision": deprovision, "remove": remove, "put": put}
	for table, commands := range map[string]map[string]func() error{
		"users":          leaving,
		"leavers":        leaving,
		"sessions":       {"logout": logout},
		"team_members":   {"edit": edit, "remove team": removeTeam},
		"grants":         {"remove team": removeTeam},
		"rotations":      {"logout": logout},
		"rotation_steps": {"logout": logout},
		"river_job":      {"logout": logout},
		"audit_outbox":   {"deprovision": deprovision, "remove": remove, "put": put, "logout": logout, "edit": edit, "remove team": removeTeam},
		"teams":          {"edit": edit, "remove team": removeTeam},
	} {
		for name, command := range commands {
			t.Run(name+" without "+table, func(t *testing.T) {
				before, woken := h.snapshot(t), h.woken.Load()
				_, err := h.DB.Exec(ctx, `create trigger refuse before insert or update or delete on `+table+` for each row execute function refuse()`)
				coretest.Must(t, err)
				err = command()
				if _, undo := h.DB.Exec(ctx, `drop trigger refuse on `+table); undo != nil {
					t.Fatal(undo)
				}
				coretest.Wants(t, err, core.KindInternal, "")
				if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
					t.Fatal(diff)
				}
				if h.woken.Load() != woken {
					t.Fatal("somebody was woken for nothing")
				}
			})
		}
	}

	// A caller who gives up gets nothing either.
	before := h.snapshot(t)
	gone, cancel := context.WithCancel(ctx)
	_, err = h.Change(gone, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.Active = false; cancel(); return nil })
	if err == nil {
		t.Fatal("a command without a caller went through")
	}
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	// And without a fault all of it works.
	coretest.Must(t, logout())
	_, err = h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
	h.share(t, 2, accounts.Subject{User: h.bob.ID})
	coretest.Must(t, put())

	// Whoever is shut out stays so when taking what they have fails, and nothing is half taken.
	for _, table := range []string{"sessions", "team_members", "grants", "rotations", "rotation_steps", "river_job", "audit_outbox", "leavers"} {
		t.Run("take without "+table, func(t *testing.T) {
			_, err := h.DB.Exec(ctx, `update leavers set due = now() - interval '1 hour' where workspace_id = $1`, h.workspace)
			coretest.Must(t, err)
			before, woken := h.snapshot(t), h.woken.Load()
			_, err = h.DB.Exec(ctx, `create trigger refuse before insert or delete or update on `+table+` for each row execute function refuse()`)
			coretest.Must(t, err)
			err = take()
			if _, undo := h.DB.Exec(ctx, `drop trigger refuse on `+table); undo != nil {
				t.Fatal(undo)
			}
			coretest.Wants(t, err, core.KindInternal, "")
			after := h.snapshot(t)
			delete(before, "leavers")
			delete(after, "leavers")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatal(diff)
			}
			if h.woken.Load() != woken {
				t.Fatal("somebody was woken for nothing")
			}
			coretest.Wants(t, h.fill(t, h.bob, 1), core.KindDenied, "")
		})
	}
	_, err = h.DB.Exec(ctx, `update leavers set due = now() where workspace_id = $1`, h.workspace)
	coretest.Must(t, err)
	if n := h.take(t); n != 1 || h.has(t, h.bob.ID) != "000" {
		t.Fatalf("%d were taken from, and he has %s", n, h.has(t, h.bob.ID))
	}
}
