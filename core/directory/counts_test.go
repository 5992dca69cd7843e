package directory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// counted compares the kept counts of a house with what there is.
func (w *world) counted(t *testing.T, h house) {
	t.Helper()
	total, active, err := w.CountUsers(t.Context(), w.DB, h.workspace.ID, h.connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	teams, err := w.CountTeams(t.Context(), w.DB, h.workspace.ID, h.connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	var wantTotal, wantActive, wantTeams int
	err = w.DB.QueryRow(t.Context(), `
		select (select count(*) from users where workspace_id = @workspace and connection_id = @connection and deleted is null),
		       (select count(*) from users where workspace_id = @workspace and connection_id = @connection and deleted is null and active),
		       (select count(*) from teams where workspace_id = @workspace and connection_id = @connection and deleted is null)`,
		pgx.StrictNamedArgs{"workspace": h.workspace.ID, "connection": h.connection.ID}).Scan(&wantTotal, &wantActive, &wantTeams)
	if err != nil {
		t.Fatal(err)
	}
	if total != wantTotal || active != wantActive || teams != wantTeams {
		t.Fatalf("%s counts %d users, %d active, %d teams; there are %d, %d, %d",
			h.workspace.Slug, total, active, teams, wantTotal, wantActive, wantTeams)
	}
}

// Who writes to a count waits for nobody else who does.
func TestTransactionsOfTheMomentCountApart(t *testing.T) {
	w := open(t)
	seen := map[int]bool{}
	var with func(tx pgx.Tx, more int) error
	with = func(tx pgx.Tx, more int) error {
		var first, again int
		if err := tx.QueryRow(t.Context(), `select count_slot(), count_slot()`).Scan(&first, &again); err != nil {
			return err
		}
		if seen[first] || first < 0 || first > 63 || again != first {
			t.Errorf("slots %d and %d beside %v", first, again, seen)
		}
		seen[first] = true
		if more == 0 {
			return nil
		}
		return w.DB.Tx(t.Context(), func(tx pgx.Tx) error { return with(tx, more-1) })
	}
	if err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error { return with(tx, 3) }); err != nil {
		t.Fatal(err)
	}
}

// TestCountsFollowEveryChange lets many commands create, change, delete, fail and take back at once.
func TestCountsFollowEveryChange(t *testing.T) {
	w := open(t)
	takenBack := errors.New("taken back")
	worker := func(number int) func() {
		random := rand.New(rand.NewPCG(1, uint64(number)))
		var users []directory.User
		var teams []core.ID
		return func() {
			for step := range 40 {
				h := []house{w.acme, w.other}[random.IntN(2)]
				fails := random.IntN(4) == 0
				var made directory.User
				var team directory.Team
				choice, at := random.IntN(6), 0
				if len(users) > 0 {
					at = random.IntN(len(users))
				}
				err := w.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
					name := fmt.Sprintf("%d-%d", number, step)
					switch {
					case choice < 2 || len(users) == 0:
						made, err = w.InsertUser(t.Context(), tx, directory.User{
							Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: name, Active: random.IntN(3) > 0,
						})
					case choice < 4:
						made = users[at]
						made.Active = random.IntN(2) == 0
						made, err = w.UpdateUser(t.Context(), tx, made)
					case choice == 4:
						made = users[at]
						made.Deleted = new(w.clock.Now())
						made, err = w.UpdateUser(t.Context(), tx, made)
					case len(teams) > 0 && random.IntN(2) == 0:
						_, err = w.DeleteTeam(t.Context(), tx, h.workspace.ID, teams[0])
					default:
						team, err = w.InsertTeam(t.Context(), tx, directory.Team{Workspace: h.workspace.ID, Connection: h.connection.ID, DisplayName: name})
					}
					if err == nil && fails {
						return takenBack
					}
					return err
				})
				switch {
				case errors.Is(err, takenBack) || core.KindOf(err) == core.KindNotFound && choice == 5:
				case err != nil && core.AsError(err).Err != nil && errors.Is(core.AsError(err).Err, takenBack):
				case err != nil:
					t.Error(err)
				case !team.ID.IsZero():
					teams = append(teams, team.ID)
				case made.Deleted != nil:
					users = append(users[:at], users[at+1:]...)
				case choice < 2 || len(users) == 0:
					if !made.ID.IsZero() {
						users = append(users, made)
					}
				case choice < 4:
					users[at] = made
				}
			}
		}
	}
	work := make([]func(), 8)
	for number := range work {
		work[number] = worker(number)
	}
	together(work...)
	w.counted(t, w.acme)
	w.counted(t, w.other)
}

func TestCountsKnowNoOtherWorkspace(t *testing.T) {
	w := open(t)
	if total, _, err := w.CountUsers(t.Context(), w.DB, w.acme.workspace.ID, w.other.connection.ID); err != nil || total != 0 {
		t.Fatalf("counted %d of another workspace, %v", total, err)
	}
	// A guest belongs to no connection and is in nobody's count.
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.workspace.ID, UserName: "guest", Active: true})
		return err
	})
	w.counted(t, w.acme)
}

// TestAStaleUpdateCountsNothing changes a user by a version that is no more.
func TestAStaleUpdateCountsNothing(t *testing.T) {
	w := open(t)
	w.tx(t, func(tx pgx.Tx) error {
		changed := w.acme.ana
		changed.DisplayName = "Ana M"
		_, err := w.UpdateUser(t.Context(), tx, changed)
		return err
	})
	w.refused(t, core.KindStale, "", func(tx pgx.Tx) error {
		old := w.acme.ana
		old.Active = false
		_, err := w.UpdateUser(t.Context(), tx, old)
		return err
	})
	w.counted(t, w.acme)
}

func TestRecount(t *testing.T) {
	w := open(t)
	w.tx(t, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into users (id, workspace_id, connection_id, user_name, active) select gen_random_uuid(), $1, $2, 'u' || n, n > 3 from generate_series(1, 10) n`,
			w.acme.workspace.ID, w.acme.connection.ID)
		if err != nil {
			return err
		}
		return w.Recount(t.Context(), tx, w.acme.workspace.ID, w.acme.connection.ID)
	})
	w.counted(t, w.acme)
	w.counted(t, w.other)
}
