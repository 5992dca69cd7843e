package reviews_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/reviews"
)

// Random people share, review, leave and let time pass, beside a model of which item has which decision: each gets
// exactly one, nobody decides about themselves, what was revoked is gone, and nobody has more than before.
func TestHistories(t *testing.T) {
	w := open(t)
	w.house(t)
	rapid.Check(t, func(t *rapid.T) {
		h := w.house(t)
		people := []directory.User{h.zoe, h.ana}
		people = append(people, h.join(t, "mona", directory.RoleSuperAdmin, directory.User{}))
		for i := range 3 {
			people = append(people, h.join(t, fmt.Sprint("user", i), directory.RoleUser, people[1]))
		}
		logins := []accounts.Account{h.account(t, people[1]), h.account(t, people[3]), h.account(t, people[0])}
		for range rapid.IntRange(2, 6).Draw(t, "grants") {
			of, to := rapid.IntRange(0, 2).Draw(t, "of"), rapid.IntRange(0, len(people)-1).Draw(t, "to")
			role := rapid.SampledFrom([]accounts.Role{accounts.Owner, accounts.Collaborator, accounts.Collaborator}).Draw(t, "role")
			if to == []int{1, 3, 0}[of] { // its first owner stays one
				role = accounts.Owner
			}
			h.share(t, h.system(), logins[of].ID, accounts.Subject{User: people[to].ID}, role)
		}
		fallback := rapid.SampledFrom([]reviews.Verdict{reviews.Keep, reviews.Revoke}).Draw(t, "fallback")
		begun := h.campaign(t, reviews.Campaign{Days: 5, Fallback: fallback})
		gone := map[core.ID]bool{}
		decided := map[core.ID]reviews.Verdict{}
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			who := people[rapid.IntRange(0, len(people)-1).Draw(t, "who")]
			item := h.items(t, begun.ID)[rapid.IntRange(0, begun.Items-1).Draw(t, "item")]
			switch rapid.SampledFrom([]string{"decide", "decide", "decide", "decide", "leave", "unshare", "hand on"}).Draw(t, "step") {
			case "decide":
				verdict := rapid.SampledFrom([]reviews.Verdict{reviews.Keep, reviews.Revoke}).Draw(t, "verdict")
				results, err := h.Decide(context.Background(), h.by(who), h.workspace, begun.ID, []reviews.Decision{{Item: item.ID, Verdict: verdict, Reason: "so it is"}})
				if gone[who.ID] {
					coretest.Wants(t, err, core.KindDenied, "inactive")
					continue
				}
				// It is over once nothing is left to decide and somebody has looked, as when somebody leaves.
				if now := h.read(t, begun.ID); now.State == reviews.Closed && now.Undecided() == 0 {
					coretest.Wants(t, err, core.KindConflict, "review_over")
					continue
				}
				coretest.Must(t, err)
				got := results[0]
				switch {
				case who.ID == item.User:
					coretest.Wants(t, got.Refused, core.KindDenied, "own_access")
				case !who.Role.Administers() && who.ID != item.Reviewer:
					coretest.Wants(t, got.Refused, core.KindDenied, "not_reviewer")
				case item.Decision != "":
					if got.Refused == nil || got.Verdict != item.Decision {
						t.Fatalf("decided twice: %+v", got)
					}
				case got.Refused == nil:
					decided[item.ID] = got.Verdict
				case got.Refused.Code != "last_owner":
					t.Fatalf("got %v", got.Refused)
				}
			case "leave":
				if who.ID == h.zoe.ID || gone[who.ID] {
					continue
				}
				gone[who.ID] = true
				_, err := h.core.Lifecycle.Deprovision(context.Background(), h.system(), h.workspace, who.ID)
				coretest.Must(t, err)
				h.settle(t)
			case "unshare":
				err := h.core.DB.Tx(context.Background(), func(tx pgx.Tx) error {
					return h.core.Lifecycle.Unshare(context.Background(), tx, h.system(), h.workspace, item.Grant)
				})
				if err != nil && core.KindOf(err) != core.KindNotFound && core.AsError(err).Code != "last_owner" {
					t.Fatal(err)
				}
			case "hand on":
				_, _ = h.Reassign(context.Background(), h.by(who), h.workspace, begun.ID, reviews.Reassignment{To: people[rapid.IntRange(0, len(people)-1).Draw(t, "to")].ID})
			}
			for _, item := range h.items(t, begun.ID) {
				if item.Reviewer == item.User {
					t.Fatalf("%s is asked about access of their own", item.Subject)
				}
			}
		}
		h.clock.Pass(7 * 24 * time.Hour)
		h.settle(t)
		closed := h.read(t, begun.ID)
		if closed.State != reviews.Closed || closed.Undecided() != 0 {
			t.Fatalf("got %+v", closed)
		}
		for _, item := range h.items(t, begun.ID) {
			want, said := decided[item.ID]
			switch {
			case item.Decision == "" || item.Decided == nil:
				t.Fatalf("%+v has no decision", item)
			case said && item.Decision != want:
				t.Fatalf("%s was decided, and is %s", want, item.Decision)
			case !said && item.Decision != reviews.Ended && (item.Decision != fallback || !item.Defaulted):
				t.Fatalf("nobody decided, and it is %s", item.Decision)
			}
			role, err := h.core.Accounts.MayUse(context.Background(), h.core.DB, h.workspace, item.User, item.Account)
			has := err == nil
			if has && (item.Decision == reviews.Ended || item.Decision == reviews.Revoke && item.Failure == "") {
				t.Fatalf("%s of %s is %s, and there", item.Username, item.Subject, item.Decision)
			}
			if has && role == accounts.Owner && item.Role != string(accounts.Owner) {
				t.Fatal("somebody has more than before")
			}
		}
		h.settle(t) // let it be told
		if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'review.item_decided'`); told != closed.Kept+closed.Revoked+closed.Changed {
			t.Fatalf("%d decisions are told of %+v", told, closed.Progress)
		}
	})
}

// Reviewers, administrators and the end of the last day are at the same items at once: each gets one decision, each
// grant is taken once.
func TestOneDecisionHoweverManyDecide(t *testing.T) {
	w := open(t)
	h := w.house(t)
	login := h.account(t, h.ana)
	const people = 12
	for i := range people {
		user := h.join(t, fmt.Sprint("user", i), directory.RoleUser, directory.User{})
		h.share(t, h.system(), login.ID, accounts.Subject{User: user.ID}, accounts.Collaborator)
	}
	begun := h.campaign(t, reviews.Campaign{Days: 2, Scope: reviews.Scope{Role: accounts.Collaborator}})
	items := h.items(t, begun.ID)
	h.clock.Pass(2*24*time.Hour + 15*time.Hour - time.Millisecond) // the day ends in a moment
	var taken atomic.Int64
	var all sync.WaitGroup
	for _, cause := range []core.Cause{h.by(h.ana), h.by(h.zoe), h.system()} {
		all.Go(func() {
			for _, item := range items {
				switch err := h.say(cause, begun.ID, item.ID, reviews.Revoke); {
				case err == nil:
					taken.Add(1)
				case core.KindOf(err) != core.KindConflict:
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		other := w.another(t)
		all.Go(func() {
			h.clock.Pass(time.Millisecond)
			for h.read(t, begun.ID).State != reviews.Closed && t.Context().Err() == nil {
				if _, err := other.Tick(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	h.settle(t)
	closed := h.read(t, begun.ID)
	if closed.Revoked != people || closed.Defaulted != people-int(taken.Load()) || closed.Failed != 0 {
		t.Fatalf("%d were taken by people, got %+v", taken.Load(), closed.Progress)
	}
	if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'account.unshared'`); told != people {
		t.Errorf("%d grants were taken", told)
	}
	if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'review.item_decided'`); told != people {
		t.Errorf("%d decisions are told", told)
	}
	if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'review.closed'`); told != 1 {
		t.Errorf("it was closed %d times", told)
	}
}

// Whoever carries the default out is killed at every transaction, and goes on.
func TestKilledInTheMiddle(t *testing.T) {
	w := open(t)
	h := w.house(t)
	login := h.account(t, h.ana)
	for i := range 5 {
		user := h.join(t, fmt.Sprint("user", i), directory.RoleUser, directory.User{})
		h.share(t, h.system(), login.ID, accounts.Subject{User: user.ID}, accounts.Collaborator)
	}
	begun := h.campaign(t, reviews.Campaign{Days: 1, Scope: reviews.Scope{Role: accounts.Collaborator}})
	h.clock.Pass(48 * time.Hour)
	killed, allowed := 0, 0
	coretest.Until(t, "it comes to its end", func() bool {
		ctx, kill := context.WithCancel(t.Context())
		left := allowed
		dying := postgres.BeforeCommit(ctx, func(context.Context, pgx.Tx) error {
			if left--; left < 0 {
				kill()
				killed, allowed = killed+1, allowed+1
				return context.Canceled
			}
			return nil
		})
		// Who finds the review still locked by who was killed leaves it for the next.
		_, _ = w.another(t).Tick(dying)
		kill()
		h.clock.Pass(2 * time.Minute)
		return h.read(t, begun.ID).Issued != 0
	})
	closed := h.read(t, begun.ID)
	if killed == 0 || closed.Revoked != 5 || closed.Defaulted != 5 || closed.Failed != 0 || closed.Issued != 1 {
		t.Fatalf("killed %d times, got %+v", killed, closed)
	}
	h.settle(t)
	if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type in ('review.item_decided', 'review.closed', 'review.signed')`); told != 7 {
		t.Errorf("%d events", told)
	}
}

// A review as large as one can be is begun, listed, decided and signed a part at a time.
func TestFiftyThousandItems(t *testing.T) {
	w := open(t)
	h := w.house(t)
	ctx, db := t.Context(), h.core.DB
	const people, logins = 5000, 10
	h.account(t, h.ana)
	for _, statement := range []string{
		`insert into users (id, workspace_id, user_name, display_name, email) select gen_random_uuid(), @workspace, 'many-' || n, 'Many ' || n, '' from generate_series(1, @people::integer) n`,
		`insert into accounts (id, workspace_id, app_id, vault_id, username) select gen_random_uuid(), @workspace, a.app_id, a.vault_id, 'many-' || n from accounts a, generate_series(2, @logins::integer) n where a.workspace_id = @workspace`,
		`insert into grants (id, workspace_id, account_id, user_id, role) select gen_random_uuid(), @workspace, a.id, u.id, 'collaborator' from accounts a, users u
			where a.workspace_id = @workspace and u.workspace_id = @workspace and u.user_name like 'many-%'`,
		`insert into grants (id, workspace_id, account_id, user_id, role) select gen_random_uuid(), @workspace, a.id, u.id, 'owner' from accounts a, users u
			where a.workspace_id = @workspace and u.workspace_id = @workspace and u.display_name = 'ana' and not exists (select from grants g where g.account_id = a.id and g.user_id = u.id)`,
	} {
		args := pgx.StrictNamedArgs{"workspace": h.workspace}
		for name, value := range map[string]int{"people": people, "logins": logins} {
			if strings.Contains(statement, "@"+name) {
				args[name] = value
			}
		}
		if _, err := db.Exec(ctx, statement, args); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"users", "accounts", "grants"} {
		if _, err := db.Exec(ctx, "analyze "+table); err != nil {
			t.Fatal(err)
		}
	}
	begun := h.campaign(t, reviews.Campaign{Days: 3, Fallback: reviews.Keep, Scope: reviews.Scope{Role: accounts.Collaborator}})
	if begun.Items != people*logins {
		t.Fatalf("got %d items", begun.Items)
	}
	_, err := db.Exec(ctx, "analyze review_items") // as autovacuum does within a minute
	coretest.Must(t, err)
	seen, after := 0, core.ID{}
	for pages := 0; pages < 3; pages++ {
		found, err := h.Items(ctx, db, h.workspace, reviews.ItemQuery{Review: begun.ID, Reviewer: h.ana.ID, Undecided: true, After: after, Limit: 100})
		coretest.Must(t, err)
		seen, after = seen+len(found), found[len(found)-1].ID
	}
	waiting, err := h.Waiting(ctx, db, h.workspace, h.ana.ID, false)
	coretest.Must(t, err)
	if seen != 300 || len(waiting) != 1 || waiting[0].Items != people*logins {
		t.Fatalf("%d on three pages, waiting %+v", seen, waiting)
	}
	page, err := h.Items(ctx, db, h.workspace, reviews.ItemQuery{Review: begun.ID, Undecided: true, Limit: reviews.MaxTogether})
	coretest.Must(t, err)
	var said []reviews.Decision
	for _, item := range page {
		said = append(said, reviews.Decision{Item: item.ID, Verdict: reviews.Keep, Reason: "all of them"})
	}
	results, err := h.Decide(ctx, h.by(h.ana), h.workspace, begun.ID, said)
	coretest.Must(t, err)
	for _, one := range results {
		if one.Refused != nil {
			t.Fatal(one.Refused)
		}
	}
	if got := h.read(t, begun.ID); got.Kept != reviews.MaxTogether {
		t.Fatalf("got %+v", got.Progress)
	}
	coretest.Must(t, h.Cancel(ctx, h.by(h.zoe), h.workspace, begun.ID, "enough"))
	if _, err := h.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	issue, err := h.Issue(ctx, db, h.workspace, begun.ID, 0)
	coretest.Must(t, err)
	document, err := issue.Document()
	coretest.Must(t, err)
	signed, _, err := document.Verify(document.Keys.Keys)
	if err != nil || len(signed.Items) != people*logins {
		t.Fatal(len(signed.Items), err)
	}
}
