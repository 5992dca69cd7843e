package reviews_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/mail"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
)

// world is a whole Postern without a network.
type world struct {
	*reviews.Reviews
	core  *coretest.Core
	clock *coretest.Clock
}

// house is a workspace with an administrator, an owner of accounts, and people.
type house struct {
	*world
	workspace core.ID
	app       core.ID
	zoe, ana  directory.User
	number    *int
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	w.core = coretest.Open(t, w.clock.Now)
	apps := coretest.NewApps(w.clock)
	apps.Willing = true
	w.core.Rotations.Connectors = rotation.Connectors{"simulated": apps}
	w.Reviews = w.another(t)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		_ = (&audit.Sequencer{DB: w.core.DB, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

func (w *world) services() *services.Services {
	return &services.Services{DB: w.core.DB, Directory: w.core.Directory, Accounts: w.core.Accounts, Rotations: w.core.Rotations, Now: w.clock.Now}
}

// another is what another process has.
func (w *world) another(t testing.TB) *reviews.Reviews {
	t.Helper()
	queue, err := jobs.NewQueue(w.core.DB, nil)
	coretest.Must(t, err)
	return &reviews.Reviews{
		DB: w.core.DB, Directory: w.core.Directory, Accounts: w.core.Accounts, Lifecycle: w.core.Lifecycle,
		Services: w.services(), Signing: w.core.Signing,
		Mail:      &mail.Mail{DB: w.core.DB, Vault: w.core.Vault, Jobs: queue, Keep: true, Now: w.clock.Now},
		PublicURL: "https://postern.example", Now: w.clock.Now,
	}
}

func (w *world) system() core.Cause { return core.NewCause(core.System, w.clock.Now()) }

func (w *world) by(user directory.User) core.Cause {
	return core.NewCause(user.Actor(), w.clock.Now())
}

func (w *world) tx(t coretest.T, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	coretest.Must(t, w.core.DB.Tx(context.Background(), func(tx pgx.Tx) error { return work(context.Background(), tx) }))
}

func (w *world) house(t coretest.T) house {
	t.Helper()
	h := house{world: w, number: new(int)}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := w.core.Directory.CreateWorkspace(ctx, tx, w.system(), "w-"+core.NewID().String(), "Acme")
		if err != nil {
			return err
		}
		h.workspace = made.ID
		if _, err := w.core.Vault.Prepare(ctx, tx, made.ID); err != nil {
			return err
		}
		app, err := w.core.Accounts.CreateApp(ctx, tx, w.system(), made.ID, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "simulated",
		})
		h.app = app.ID
		return err
	})
	h.zoe, h.ana = h.join(t, "zoe", directory.RoleAdmin, directory.User{}), h.join(t, "ana", directory.RoleUser, directory.User{})
	return h
}

// join adds somebody, with their manager if there is one.
func (h house) join(t coretest.T, name string, role directory.Role, manager directory.User) directory.User {
	t.Helper()
	attributes := json.RawMessage(`{}`)
	if !manager.ID.IsZero() {
		attributes = json.RawMessage(`{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"` + manager.ID.String() + `"}}}`)
	}
	var made directory.User
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.core.Directory.InsertUser(ctx, tx, directory.User{
			Workspace: h.workspace, UserName: name + "@example.com", Email: name + "@example.com", DisplayName: name, Active: true, Role: role, Attributes: attributes,
		})
		return err
	})
	return made
}

// account adds one that somebody owns.
func (h house) account(t coretest.T, owner directory.User) accounts.Account {
	t.Helper()
	*h.number++
	var made accounts.Account
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.core.Accounts.CreateAccount(ctx, tx, h.system(), h.workspace, accounts.NewAccount{
			App: h.app, Username: fmt.Sprintf("shared-%03d", *h.number), Password: seal.NewSecret(fmt.Sprintf("Original-%d", *h.number)), Owner: owner.ID,
		})
		return err
	})
	return made
}

func (h house) share(t coretest.T, by core.Cause, account core.ID, with accounts.Subject, role accounts.Role) accounts.Grant {
	t.Helper()
	var made accounts.Grant
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.core.Lifecycle.Share(ctx, tx, by, h.workspace, account, accounts.Sharing{Subject: with, Role: role, Purpose: "work"})
		return err
	})
	return made
}

func (h house) fill(t coretest.T, user directory.User, account core.ID) {
	t.Helper()
	_, _, err := h.core.Accounts.Fill(context.Background(), h.by(user), h.workspace, user.ID, account)
	coretest.Must(t, err)
}

// uses reports whether somebody may use an account now.
func (h house) uses(t coretest.T, user directory.User, account core.ID) bool {
	t.Helper()
	_, err := h.core.Accounts.MayUse(context.Background(), h.core.DB, h.workspace, user.ID, account)
	if err != nil && core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	return err == nil
}

// campaign begins a review of a scope.
func (h house) campaign(t coretest.T, wanted reviews.Campaign) reviews.Review {
	t.Helper()
	*h.number++
	wanted.Name = fmt.Sprint("Campaign ", *h.number)
	if wanted.Days == 0 {
		wanted.Days = 14
	}
	made, err := h.Create(context.Background(), h.by(h.zoe), h.workspace, wanted)
	coretest.Must(t, err)
	begun, err := h.Start(context.Background(), h.by(h.zoe), h.workspace, made.ID)
	coretest.Must(t, err)
	return begun
}

func (h house) items(t coretest.T, review core.ID) []reviews.Item {
	t.Helper()
	found, err := h.Items(context.Background(), h.core.DB, h.workspace, reviews.ItemQuery{Review: review, Limit: 500})
	coretest.Must(t, err)
	return found
}

// item is the one about somebody's access to an account.
func (h house) item(t coretest.T, review core.ID, account core.ID, subject core.ID) reviews.Item {
	t.Helper()
	for _, one := range h.items(t, review) {
		if one.Account == account && (one.User == subject || one.Team == subject) {
			return one
		}
	}
	t.Fatalf("there is no such item among %d", len(h.items(t, review)))
	return reviews.Item{}
}

// say decides about one item.
func (h house) say(by core.Cause, review core.ID, item core.ID, verdict reviews.Verdict) error {
	return h.decide(by, review, reviews.Decision{Item: item, Verdict: verdict, Reason: "I know"})
}

func (h house) decide(by core.Cause, review core.ID, decision reviews.Decision) error {
	results, err := h.Decide(context.Background(), by, h.workspace, review, []reviews.Decision{decision})
	if err != nil {
		return err
	}
	if results[0].Refused != nil {
		return results[0].Refused
	}
	return nil
}

func (h house) read(t coretest.T, review core.ID) reviews.Review {
	t.Helper()
	found, err := h.Review(context.Background(), h.core.DB, h.workspace, review)
	coretest.Must(t, err)
	return found
}

// settle lets everything that happened be told, and all that follows from it be done.
func (w *world) settle(t coretest.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute) // of a busy machine
	defer stop()
	for waiting := 1; waiting > 0; {
		coretest.Must(t, w.core.DB.QueryRow(ctx, `select count(*) from audit_outbox`).Scan(&waiting))
		if ctx.Err() != nil {
			t.Fatal("the log stands still")
		}
	}
	_, err := w.Follow(ctx)
	coretest.Must(t, err)
	_, err = w.Tick(ctx)
	coretest.Must(t, err)
}

// rotate drives every rotation of the workspace that is due, until each rests.
func (h house) rotate(t coretest.T) {
	t.Helper()
	ctx := context.Background()
	for range 50 {
		rows, err := h.core.DB.Query(ctx, `select id from rotations where workspace_id = @workspace and finished is null and next_attempt <= @now order by id`,
			pgx.StrictNamedArgs{"workspace": h.workspace, "now": h.clock.Now()})
		coretest.Must(t, err)
		due, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
		coretest.Must(t, err)
		if len(due) == 0 {
			return
		}
		for _, id := range due {
			_ = h.core.Rotations.Advance(ctx, h.workspace, id)
		}
	}
	t.Fatal("rotations never come to rest")
}

// small are the small reviews of a trigger.
func (h house) small(t coretest.T, trigger reviews.Trigger) []reviews.Review {
	t.Helper()
	found, err := h.List(context.Background(), h.core.DB, h.workspace, reviews.Query{Trigger: trigger})
	coretest.Must(t, err)
	return found
}

func (h house) count(t coretest.T, query string) int {
	t.Helper()
	var count int
	coretest.Must(t, h.core.DB.QueryRow(context.Background(), query, pgx.StrictNamedArgs{"workspace": h.workspace}).Scan(&count))
	return count
}

// mails are the subjects of what was sent to somebody, latest first.
func (h house) mails(t coretest.T, to directory.User) []mail.Kept {
	t.Helper()
	all, err := h.Mail.Kept(context.Background(), h.core.DB, h.workspace, 200)
	coretest.Must(t, err)
	var theirs []mail.Kept
	for _, one := range all {
		if one.To == to.Email {
			theirs = append(theirs, one)
		}
	}
	return theirs
}
