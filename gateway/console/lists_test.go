package console_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/rotation"
)

const oneAccount = `
with p as (
	insert into apps (id, workspace_id, name, domains, sign_in_url, connector) values (gen_random_uuid(), $1, $2, '{x.example.com}', 'https://x.example.com', 'browser')
	on conflict (workspace_id, name) do update set name = excluded.name returning id
)
insert into accounts (id, workspace_id, app_id, vault_id, username) select gen_random_uuid(), $1, p.id, $4, $3 from p`

// TestListsAreWhole: page by page, and whatever is searched for, each account, user and team is listed once, and none of
// another workspace.
func TestListsAreWhole(t *testing.T) {
	w := newWorld(t)
	ctx, acme := t.Context(), w.acme.ID
	for i, app := range []string{"Ärger", "alpha", "Beta", "beta 2", "ﬀ", "Wiki 2"} {
		for _, username := range []string{"Beta-user", "a", "wiki", "Ünal", "\U0010FFFD"} {
			w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, oneAccount, acme, fmt.Sprint(app, " ", i), username, w.wiki.Vault)
				return err
			})
		}
	}
	var total int
	if err := w.db.QueryRow(ctx, `select count(*) from accounts where workspace_id = $1`, acme).Scan(&total); err != nil {
		t.Fatal(err)
	}
	for _, search := range []string{"", "b", "BETA", "beta-", "wiki", "ä", "Ü", "nothing", "a"} {
		var want int
		if err := w.db.QueryRow(ctx, `select count(*) from accounts a join apps p on p.id = a.app_id where a.workspace_id = $1
			and (starts_with(fold(p.name), fold($2)) or starts_with(fold(a.username), fold($2)))`, acme, search).Scan(&want); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 3, 100} {
			query, seen := accounts.NamedQuery{Search: search, Limit: size}, map[core.ID]bool{}
			for range 3 * total {
				page, err := w.accounts.Named(ctx, w.db, acme, query)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range page.Accounts {
					if seen[one.ID] || one.Workspace != acme {
						t.Fatalf("%q by %d: %s again", search, size, one.Name())
					}
					seen[one.ID] = true
				}
				if query.After, query.ByUsername = page.Next, page.ByUsername; page.Next.IsZero() {
					break
				}
			}
			if len(seen) != want {
				t.Errorf("%q by %d: %d, want %d", search, size, len(seen), want)
			}
		}
	}
	var users []string
	query := directory.NamedQuery{Limit: 1}
	for range 20 {
		page, err := w.directory.NamedUsers(ctx, w.db, acme, query)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		users, query.After = append(users, page[0].UserName), page[0].ID
	}
	if got := strings.Join(users, " "); got != "ana@acme.example ben@acme.example eve@acme.example zoe@acme.example" {
		t.Error(got)
	}
	for _, path := range []string{"/?after=" + w.theirs.ID.String(), "/users?after=" + w.people["gus"].ID.String(), "/teams?after=" + core.NewID().String()} {
		w.expect(t, "zoe", path, http.StatusBadRequest, nil, []string{"globex"})
	}
	if roles, err := w.accounts.RolesOn(ctx, w.db, acme, w.people["ben"].ID, []core.ID{w.wiki.ID, w.mail.ID, w.theirs.ID}); err != nil || len(roles) != 1 || roles[w.wiki.ID] != accounts.Collaborator {
		t.Error(roles, err)
	}
}

// TestListsStayInTheirWorkspace asks in the name of one workspace for what is another's.
func TestListsStayInTheirWorkspace(t *testing.T) {
	w := newWorld(t)
	ctx, globex := t.Context(), w.globex.ID
	id := w.rotated(t, w.wiki, rotation.StateStored)
	crew := w.team(t, "Crew", "ana")
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, core.NewCause(w.people["ana"].Actor(), time.Now()), w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{Team: crew.ID}, Role: accounts.Collaborator})
		return err
	})
	for name, list := range map[string]func(workspace core.ID) (int, error){
		"accounts with ids": func(workspace core.ID) (int, error) {
			found, err := w.accounts.Some(ctx, w.db, workspace, []core.ID{w.wiki.ID})
			return len(found), err
		},
		"grants": func(workspace core.ID) (int, error) {
			found, err := w.accounts.GrantsBehind(ctx, w.db, workspace, w.wiki.ID, core.ID{}, 10)
			return len(found), err
		},
		"what a team is given": func(workspace core.ID) (int, error) {
			found, err := w.accounts.GivenTo(ctx, w.db, workspace, crew.ID, core.ID{}, 10)
			return len(found), err
		},
		"roles": func(workspace core.ID) (int, error) {
			found, err := w.accounts.RolesOn(ctx, w.db, workspace, w.people["ana"].ID, []core.ID{w.wiki.ID})
			return len(found), err
		},
		"members": func(workspace core.ID) (int, error) {
			found, err := w.directory.MembersBehind(ctx, w.db, workspace, crew.ID, core.ID{}, 10)
			return len(found), err
		},
		"teams": func(workspace core.ID) (int, error) {
			found, err := w.directory.NamedTeams(ctx, w.db, workspace, directory.NamedQuery{})
			return len(found), err
		},
		"people by address": func(workspace core.ID) (int, error) {
			found, err := w.directory.AddressedUsers(ctx, w.db, workspace, directory.NamedQuery{Search: "ana@"})
			return len(found), err
		},
		"rotations under way": func(workspace core.ID) (int, error) {
			found, err := w.rotations.Open(ctx, w.db, workspace, core.ID{}, 10)
			return len(found), err
		},
		"rotations with ids": func(workspace core.ID) (int, error) {
			found, err := w.rotations.Some(ctx, w.db, workspace, []core.ID{id})
			return len(found), err
		},
		"latest rotations": func(workspace core.ID) (int, error) {
			found, err := w.rotations.Latest(ctx, w.db, workspace, []core.ID{w.wiki.ID})
			return len(found), err
		},
		"earlier rotations": func(workspace core.ID) (int, error) {
			found, err := w.rotations.Earlier(ctx, w.db, workspace, rotation.Place{Created: time.Now().Add(time.Hour), ID: id}, 10)
			return len(found), err
		},
	} {
		if count, err := list(w.acme.ID); err != nil || count == 0 {
			t.Errorf("%s: %d, %v", name, count, err)
		}
		if count, err := list(globex); err != nil || count != 0 {
			t.Errorf("%s of another workspace: %d, %v", name, count, err)
		}
	}
	w.expect(t, "zoe", "/teams/"+crew.ID.String(), http.StatusOK, []string{"Ana Ito", "team-wiki"}, nil)
	w.expect(t, "gus", "/teams/"+crew.ID.String(), http.StatusNotFound, nil, []string{"Ana Ito"})
	w.expect(t, "ana", "/teams/"+crew.ID.String(), http.StatusForbidden, nil, []string{"team-wiki"})
	w.expect(t, "ana", "/teams", http.StatusForbidden, nil, []string{"Crew"})
}
