package directory_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// Everything of one workspace, asked for or changed in the name of the other, is not there.
func TestAnotherWorkspaceIsInvisible(t *testing.T) {
	w := open(t)
	ctx, mine, theirs := t.Context(), w.acme.workspace.ID, w.other
	w.tx(t, func(tx pgx.Tx) error {
		return w.LinkIdentity(ctx, tx, theirs.workspace.ID, theirs.connection.ID, "iss", "sub", theirs.ana.ID)
	})
	notThere := map[string]func(tx pgx.Tx) error{
		"connection": func(tx pgx.Tx) error { _, err := w.Connection(ctx, tx, mine, theirs.connection.ID); return err },
		"user":       func(tx pgx.Tx) error { _, err := w.User(ctx, tx, mine, theirs.ana.ID); return err },
		"lock user":  func(tx pgx.Tx) error { _, err := w.LockUser(ctx, tx, mine, theirs.ana.ID); return err },
		"external id": func(tx pgx.Tx) error {
			_, err := w.UserByExternalID(ctx, tx, mine, theirs.connection.ID, "00u1")
			return err
		},
		"identity": func(tx pgx.Tx) error {
			_, err := w.UserByIdentity(ctx, tx, mine, theirs.connection.ID, "iss", "sub")
			return err
		},
		"update user": func(tx pgx.Tx) error {
			user := theirs.ana
			user.Workspace = mine
			_, err := w.UpdateUser(ctx, tx, user)
			return err
		},
		"end sessions": func(tx pgx.Tx) error {
			_, err := w.EndSessions(ctx, tx, w.acme.cause, mine, theirs.ana.ID, "x")
			return err
		},
		"start session": func(tx pgx.Tx) error {
			_, _, err := w.StartSession(ctx, tx, w.acme.cause, directory.NewSession{
				Workspace: mine, User: theirs.ana.ID, Connection: w.acme.connection.ID, Authenticated: w.clock.Now(),
			})
			return err
		},
		"team":      func(tx pgx.Tx) error { _, err := w.Team(ctx, tx, mine, theirs.team.ID); return err },
		"lock team": func(tx pgx.Tx) error { _, err := w.LockTeam(ctx, tx, mine, theirs.team.ID); return err },
		"update team": func(tx pgx.Tx) error {
			team := theirs.team
			team.Workspace = mine
			_, err := w.UpdateTeam(ctx, tx, team)
			return err
		},
		"delete team": func(tx pgx.Tx) error { _, err := w.Directory.DeleteTeam(ctx, tx, mine, theirs.team.ID); return err },
	}
	for name, ask := range notThere {
		t.Run(name, func(t *testing.T) { w.refused(t, core.KindNotFound, "", ask) })
	}

	// The database itself refuses a row that points across the border.
	across := map[string]func(tx pgx.Tx) error{
		"a user of their connection": func(tx pgx.Tx) error {
			_, err := w.InsertUser(ctx, tx, directory.User{Workspace: mine, Connection: theirs.connection.ID, UserName: "x"})
			return err
		},
		"a team of their connection": func(tx pgx.Tx) error {
			_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: mine, Connection: theirs.connection.ID, DisplayName: "x"})
			return err
		},
		"a session through their connection": func(tx pgx.Tx) error {
			_, _, err := w.StartSession(ctx, tx, w.acme.cause, directory.NewSession{
				Workspace: mine, User: w.acme.ana.ID, Connection: theirs.connection.ID, Authenticated: w.clock.Now(),
			})
			return err
		},
		"a sign-in through their connection": func(tx pgx.Tx) error {
			return w.SaveFlow(ctx, tx, "state", directory.Flow{Workspace: mine, Connection: theirs.connection.ID})
		},
	}
	for name, try := range across {
		t.Run(name, func(t *testing.T) { w.refused(t, core.KindConflict, "", try) })
	}
	w.refused(t, core.KindInvalid, "members", func(tx pgx.Tx) error {
		_, err := w.AddMembers(ctx, tx, mine, theirs.team.ID, []core.ID{w.acme.ana.ID})
		return err
	})

	// What lists or counts sees only its own.
	w.tx(t, func(tx pgx.Tx) error {
		suspended, err := w.SuspendMemberships(ctx, tx, mine, theirs.ana.ID)
		if suspended != 0 {
			t.Errorf("%d of their memberships were suspended", suspended)
		}
		removed, err2 := w.RemoveMembers(ctx, tx, mine, theirs.team.ID, []core.ID{theirs.ana.ID})
		if len(removed) != 0 {
			t.Errorf("their members were removed: %v", removed)
		}
		teams, err3 := w.TeamsOf(ctx, tx, mine, theirs.ana.ID)
		members, err4 := w.Members(ctx, tx, mine, theirs.team.ID, 0, 0)
		sessions, err5 := w.Sessions(ctx, tx, mine, theirs.ana.ID)
		if len(teams)+len(members)+len(sessions) != 0 {
			t.Errorf("seen: %v %v %v", teams, members, sessions)
		}
		for _, err := range []error{err, err2, err3, err4, err5} {
			if err != nil {
				return err
			}
		}
		return nil
	})
}
