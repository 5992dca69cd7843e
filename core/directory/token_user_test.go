package directory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// What one look tells is what the three questions tell that it stands for.
func TestATokenSeesAUserOfItsOwnWorkspace(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme
	hour := w.clock.Now().Add(time.Hour)
	token, expiring := w.connectionToken(t, nil), w.connectionToken(t, &hour)
	alone := w.user(t, acme, "alone@example.com")
	w.tx(t, func(tx pgx.Tx) error {
		later, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme.workspace.ID, DisplayName: "Made here"})
		if err != nil {
			return err
		}
		_, err = w.AddMembers(ctx, tx, acme.workspace.ID, later.ID, []core.ID{acme.ana.ID})
		return err
	})
	for _, user := range []core.ID{acme.ana.ID, alone.ID} {
		connection, sight, err := w.AuthenticateConnectionAndSee(ctx, token, directory.Sought{ID: user, Teams: true})
		if err != nil || !cmp.Equal(connection, acme.connection) {
			t.Fatal(err, cmp.Diff(acme.connection, connection))
		}
		want, err := w.User(ctx, w.DB, acme.workspace.ID, user)
		if err != nil || sight.User == nil || !cmp.Equal(*sight.User, want) {
			t.Fatal(err, cmp.Diff(&want, sight.User))
		}
		teams, err := w.TeamsOf(ctx, w.DB, acme.workspace.ID, user)
		teams = slices.DeleteFunc(teams, func(team directory.Team) bool { return team.Connection != acme.connection.ID })
		if err != nil || !slices.EqualFunc(sight.Teams, teams, func(name directory.TeamName, team directory.Team) bool { return name == team.Name() }) {
			t.Fatalf("got %v, %v, want %v", sight.Teams, err, teams)
		}
	}
	for _, nobody := range []core.ID{w.other.ana.ID, core.NewID(), {}} {
		connection, sight, err := w.AuthenticateConnectionAndSee(ctx, token, directory.Sought{ID: nobody, Teams: true})
		if err != nil || connection.ID != acme.connection.ID || sight.User != nil || sight.Teams != nil {
			t.Fatalf("got %v %v %v", connection, sight, err)
		}
	}
	w.clock.Pass(time.Hour)
	if _, err := w.DB.Exec(ctx, `delete from connection_tokens where hash = $1`, seal.HashToken(token.Reveal())); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]seal.Secret{"revoked": token, "expired": expiring, "unknown": seal.NewToken("pst_scim"), "none": {}} {
		connection, sight, err := w.AuthenticateConnectionAndSee(ctx, bad, directory.Sought{ID: acme.ana.ID})
		if !connection.ID.IsZero() || sight.User != nil || core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("%s: %v %v %v", name, connection, sight, err)
		}
	}
}

func TestSeeingAUserIsUsingTheToken(t *testing.T) {
	w := open(t)
	token := w.connectionToken(t, nil)
	if _, _, err := w.AuthenticateConnectionAndSee(t.Context(), token, directory.Sought{ID: w.acme.ana.ID}); err != nil {
		t.Fatal(err)
	}
	var at time.Time
	if err := w.DB.QueryRow(t.Context(), `select last_used from connection_tokens`).Scan(&at); err != nil || !at.Equal(w.clock.Now()) {
		t.Fatalf("last used %v, %v", at, err)
	}
}
