package accounts_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

func TestMayUse(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	equal(t, "the owner", acme.may(t, acme.user("ana"), account.ID), accounts.Owner)
	equal(t, "a stranger", acme.may(t, acme.user("ben"), account.ID), "")
	equal(t, "an administrator", acme.may(t, acme.user("ada"), account.ID), "")
	for what, role := range map[string]accounts.Role{
		"the neighbour's user": acme.may(t, other.user("ana"), account.ID), "the neighbour's account": acme.may(t, acme.user("ana"), twin.ID),
		"all of it next door": other.may(t, acme.user("ana"), account.ID), "nobody": acme.may(t, core.ID{}, account.ID), "nothing": acme.may(t, acme.user("ana"), core.ID{}),
	} {
		equal(t, what, role, "")
	}
	// A demoted owner is capped by their role in the workspace.
	w.tx(t, func(tx pgx.Tx) error {
		user, err := w.Directory.LockUser(t.Context(), tx, acme.workspace, acme.user("ana"))
		if err != nil {
			return err
		}
		user.Role = directory.RoleLoginOnly
		_, err = w.Directory.UpdateUser(t.Context(), tx, user)
		return err
	})
	equal(t, "a login-only owner", acme.may(t, acme.user("ana"), account.ID), accounts.Collaborator)
	w.tx(t, func(tx pgx.Tx) error {
		orphaned, err := w.CheckOwners(t.Context(), tx, acme.cause, acme.workspace, account.ID, twin.ID)
		if len(orphaned) != 1 || orphaned[0] != account.ID {
			t.Errorf("an account whose only owner may own nothing is not orphaned: %v", orphaned)
		}
		return err
	})
}

func TestRevealAndFill(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	other.account(t, "shared", "ana")
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("ben")}, accounts.Collaborator, nil); err != nil {
		t.Fatal(err)
	}
	reveal := func(s *side, cause core.Cause, user core.ID) error {
		username, password, err := w.Reveal(t.Context(), cause, s.workspace, user, account.ID)
		if err == nil && (username != "shared" || password.Reveal() != "first password of shared") {
			t.Errorf("got %q, %q", username, password.Reveal())
		}
		if err != nil && (username != "" || !password.IsZero()) {
			t.Error("refused, and given all the same")
		}
		return err
	}
	fill := func(cause core.Cause, user core.ID) error {
		username, password, err := w.Fill(t.Context(), cause, acme.workspace, user, account.ID)
		if err == nil && (username != "shared" || password.IsZero()) {
			t.Errorf("got %q, %v", username, password)
		}
		return err
	}
	none := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none(reveal(acme, acme.as("ana"), acme.user("ana")))
	none(fill(acme.as("ana"), acme.user("ana")))
	none(fill(acme.as("ben"), acme.user("ben")))
	coretest.Wants(t, reveal(acme, acme.as("ben"), acme.user("ben")), core.KindDenied, "not_owner")
	coretest.Wants(t, reveal(acme, acme.as("ben"), acme.user("ana")), core.KindDenied, "not_you")
	coretest.Wants(t, reveal(acme, acme.as("cleo"), acme.user("cleo")), core.KindDenied, "not_shared")
	coretest.Wants(t, reveal(acme, acme.as("ada"), acme.user("ada")), core.KindDenied, "not_shared")
	coretest.Wants(t, reveal(other, acme.as("ana"), acme.user("ana")), core.KindDenied, "not_shared")
	coretest.Wants(t, reveal(other, other.as("ana"), other.user("ana")), core.KindDenied, "not_shared")
	none(reveal(acme, core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, w.clock.Now()), acme.user("ana")))

	exposures, err := w.Exposures(t.Context(), w.DB, acme.workspace, account.ID, 0)
	if err != nil || len(exposures) != 4 || exposures[1].Name != "ben" || exposures[1].Level != "filled" || exposures[3].Level != "revealed" {
		t.Errorf("got %+v, %v", exposures, err)
	}
	if theirs, err := w.Exposures(t.Context(), w.DB, other.workspace, account.ID, 0); err != nil || len(theirs) != 0 {
		t.Errorf("the neighbour sees %+v, %v", theirs, err)
	}
	equal(t, "revealed events", acme.events(t, core.AccountPasswordRevealed), 2)
	equal(t, "filled events", acme.events(t, core.AccountPasswordFilled), 2)

	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.Learn(t.Context(), tx, acme.cause, acme.workspace, account.ID, accounts.NoneAccepted, "the app refuses it")
		return err
	})
	coretest.Wants(t, fill(acme.as("ben"), acme.user("ben")), core.KindDenied, "desynced")
	coretest.Wants(t, reveal(acme, acme.as("ana"), acme.user("ana")), core.KindDenied, "desynced")
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.Learn(t.Context(), tx, acme.cause, acme.workspace, account.ID, accounts.Expired, "the app wants another")
		return err
	})
	coretest.Wants(t, fill(acme.as("ben"), acme.user("ben")), core.KindDenied, "desynced")
	none(reveal(acme, acme.as("ana"), acme.user("ana"))) // who sets another one by hand needs it

	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	coretest.Wants(t, fill(acme.as("ben"), acme.user("ben")), core.KindDenied, "inactive")
}

// No event and no error of any command tells a password.
func TestNoEventTellsAPassword(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	w.side(t)
	account := acme.account(t, "shared", "ana")
	if _, _, err := w.Reveal(t.Context(), acme.as("ana"), acme.workspace, acme.user("ana"), account.ID); err != nil {
		t.Fatal(err)
	}
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.AddCandidate(t.Context(), tx, acme.workspace, account.ID, seal.NewSecret("the next password of shared"))
		return err
	})
	if _, err := acme.leave(t, "ana"); err != nil {
		t.Fatal(err)
	}
	rows, err := w.DB.Query(t.Context(), `select event::text from audit_outbox`)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(texts) < 5 {
		t.Fatal(len(texts), err)
	}
	for _, text := range texts {
		if strings.Contains(text, "password of") {
			t.Error(text)
		}
	}
}

// The questions are answered through indexes, however many others there are.
func TestAccessIsAskedThroughIndexes(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	w.side(t)
	fill(t, w, acme, 15_000)
	args := pgx.NamedArgs{"workspace": acme.workspace, "user": acme.user("ana"), "account": acme.account(t, "one", "ana").ID,
		"now": w.clock.Now(), "after": core.ID{}, "search": "", "limit": 100}
	for what, query := range map[string]string{"MayUse": accounts.SelectMayUse, "Usable": accounts.SelectUsable, "Access": accounts.SelectAccess} {
		var text string
		if err := w.DB.QueryRow(t.Context(), "explain (format json) "+query, args).Scan(&text); err != nil {
			t.Fatal(err)
		}
		var plan []map[string]any
		if err := json.Unmarshal([]byte(text), &plan); err != nil {
			t.Fatal(err)
		}
		for _, table := range scanned(plan[0]["Plan"]) {
			if table != "apps" { // a handful of rows
				t.Errorf("%s reads all of %s", what, table)
			}
		}
	}
}

// scanned lists the tables a plan reads from end to end.
func scanned(node any) (tables []string) {
	plan, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	if plan["Node Type"] == "Seq Scan" {
		tables = append(tables, fmt.Sprint(plan["Relation Name"]))
	}
	children, _ := plan["Plans"].([]any)
	for _, child := range children {
		tables = append(tables, scanned(child)...)
	}
	return tables
}

// fill adds users, teams of 20 and accounts, each owned by one user and shared with one team.
func fill(t testing.TB, w *world, s *side, count int) {
	t.Helper()
	var vault core.ID
	w.tx(t, func(tx pgx.Tx) (err error) {
		vault, err = w.Vault.Prepare(t.Context(), tx, s.workspace)
		return err
	})
	for _, statement := range []string{
		`insert into users (id, workspace_id, user_name) select gen_random_uuid(), @workspace, 'crowd' || n from generate_series(1, @count) n`,
		`insert into teams (id, workspace_id, display_name) select gen_random_uuid(), @workspace, 'crowd' || n from generate_series(1, @count / 20) n`,
		`insert into accounts (id, workspace_id, app_id, vault_id, username) select gen_random_uuid(), @workspace, @app, @vault, 'crowd' || n from generate_series(1, @count) n`,
		`analyze users, teams, accounts`,
		`insert into team_members (workspace_id, team_id, user_id)
			select @workspace, t.id, u.id from (select id, row_number() over () n from users where workspace_id = @workspace) u
			join (select id, row_number() over () n from teams where workspace_id = @workspace) t on t.n = 1 + u.n % (@count / 20)`,
		`insert into grants (id, workspace_id, account_id, user_id, role)
			select gen_random_uuid(), @workspace, a.id, u.id, 'owner' from (select id, row_number() over () n from accounts where workspace_id = @workspace and username like 'crowd%') a
			join (select id, row_number() over () n from users where workspace_id = @workspace) u using (n)`,
		`insert into grants (id, workspace_id, account_id, team_id, role)
			select gen_random_uuid(), @workspace, a.id, t.id, 'collaborator' from (select id, row_number() over () n from accounts where workspace_id = @workspace and username like 'crowd%') a
			join (select id, row_number() over () n from teams where workspace_id = @workspace) t on t.n = 1 + a.n % (@count / 20)`,
	} {
		// Without their statistics PostgreSQL joins the new rows in hours.
		if _, err := w.DB.Exec(t.Context(), statement, pgx.NamedArgs{"workspace": s.workspace, "count": count, "app": s.app.ID, "vault": vault}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.DB.Exec(t.Context(), `analyze`); err != nil {
		t.Fatal(err)
	}
}
