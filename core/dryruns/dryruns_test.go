package dryruns_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/dryruns"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// pages are an app whose change page may have lost its form.
type pages struct {
	*coretest.Apps
	lost, round bool
	known       json.RawMessage
	typed       []string
}

// Change implements rotation.Changer.
func (p *pages) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(context.Context) error) rotation.Report {
	p.known, p.typed = target.Known(ctx), append(p.typed, next.Reveal())
	report := p.Verify(ctx, target, current)
	switch {
	case report.Outcome != rotation.Accepted:
		report.Stage = rotation.StageSignIn
	case p.lost:
		report.Outcome, report.Stage, report.Detail = rotation.FormNotFound, rotation.StageChangeForm, `Gone: the field "new".`
		report.Model = json.RawMessage(`{"forms": []}`)
	case p.round:
		report.Outcome, report.Stage = rotation.Unknown, rotation.StageSubmit
		p.Set(target.Account, next.Reveal(), "")
	default:
		report.Stage, report.Model = rotation.StageSubmit, json.RawMessage(`{"forms": [{"kind": "change"}]}`)
		report.Outcome = rotation.Applied
		if release(ctx) != nil {
			report.Outcome = rotation.NotSent
		}
	}
	return report
}

type world struct {
	*coretest.Core
	*dryruns.DryRuns
	clock     *coretest.Clock
	app       *pages
	workspace core.ID
	accounts  []accounts.Account
	other     []accounts.Account
}

func open(t *testing.T) *world {
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	w.app = &pages{Apps: coretest.NewApps(w.clock)}
	w.Core = coretest.Open(t, w.clock.Now)
	w.Core.Rotations.Connectors = rotation.Connectors{"browser": w.app}
	queue, err := jobs.NewQueue(w.Core.DB, nil)
	coretest.Must(t, err)
	w.DryRuns = &dryruns.DryRuns{DB: w.Core.DB, Accounts: w.Core.Accounts, Rotations: w.Core.Rotations, Queue: queue, Now: w.clock.Now}
	w.Core.Rotations.Rehearsed = w.DryRuns.Known
	for _, slug := range []string{"acme", "other"} {
		workspace, connection := w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.example"})
		owner := w.Person(t, connection, directory.User{UserName: "ana@" + slug, DisplayName: "Ana"})
		made := w.SharedAccounts(t, owner)
		for i, one := range made {
			w.app.Set(one.ID, "first password "+string(rune('0'+i)), "")
		}
		if slug == "acme" {
			w.workspace, w.accounts = workspace.ID, made
		} else {
			w.other = made
		}
	}
	return w
}

func (w *world) prove(t *testing.T, account core.ID) {
	t.Helper()
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Learn(ctx, tx, coretest.System(), w.workspace, account, accounts.SignInAccepted, "")
		return err
	})
}

// run asks for a dry run, has it made and gives what came of it.
func (w *world) run(t *testing.T) dryruns.DryRun {
	t.Helper()
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Ask(ctx, tx, coretest.System(), w.workspace, w.accounts[0].App)
		return err
	})
	coretest.Must(t, w.Carry(t.Context(), w.workspace, w.accounts[0].App))
	found, err := w.Of(t.Context(), w.Core.DB, w.workspace, w.accounts[0].App)
	coretest.Must(t, err)
	return found
}

func (w *world) events(t *testing.T, kind core.EventType) int {
	t.Helper()
	var number int
	coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select count(*) from audit_outbox where event->>'type' = $1 and workspace_id = $2`, string(kind), w.workspace).Scan(&number))
	return number
}

func TestADryRunChangesNothing(t *testing.T) {
	w := open(t)
	if found := w.run(t); found.Result != dryruns.NoAccount || w.app.SignIns(w.accounts[0].ID) != 0 {
		t.Fatalf("%+v", found)
	}
	w.prove(t, w.accounts[1].ID)
	found := w.run(t)
	if found.Result != dryruns.Passed || *found.Account != w.accounts[1].ID || found.Outcome != rotation.NotSent || w.app.SignIns(w.accounts[1].ID) != 1 || !strings.Contains(found.Detail, "Nothing was changed") {
		t.Fatalf("%+v", found)
	}
	if w.app.known != nil {
		t.Errorf("the first one knows %s", w.app.known)
	}
	// The next one types the same again, and knows what the pages were like.
	w.clock.Pass(24 * time.Hour)
	found = w.run(t)
	if found.Result != dryruns.Passed || len(w.app.typed) != 2 || w.app.typed[0] != w.app.typed[1] || !strings.Contains(string(w.app.known), "change") {
		t.Fatalf("%+v knew %s", found, w.app.known)
	}
	versions, err := w.Core.Accounts.Versions(t.Context(), w.Core.DB, w.workspace, w.accounts[1].ID)
	coretest.Must(t, err)
	if len(versions) != 2 || versions[1].Label != accounts.LabelCurrent {
		t.Errorf("%+v", versions)
	}
	// Nothing that was typed is anywhere but in the vault.
	var row string
	coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select d::text from dry_runs d where workspace_id = $1`, w.workspace).Scan(&row))
	if strings.Contains(row, w.app.typed[0]) {
		t.Error("what was typed is in the row")
	}
	// A job that comes late finds that it is done.
	coretest.Must(t, w.Carry(t.Context(), w.workspace, w.accounts[0].App))
	if n := w.app.SignIns(w.accounts[1].ID); n != 2 {
		t.Errorf("%d sign-ins", n)
	}
	if _, err := w.Of(t.Context(), w.Core.DB, w.workspace, w.other[0].App); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the neighbour's: %v", err)
	}
}

func TestAFailureIsToldOnce(t *testing.T) {
	w := open(t)
	w.prove(t, w.accounts[0].ID)
	w.run(t)
	w.app.lost = true
	for range 2 {
		w.clock.Pass(24 * time.Hour)
		found := w.run(t)
		if found.Result != dryruns.Failed || found.Outcome != rotation.FormNotFound || found.FailingSince == nil || !strings.Contains(string(found.Known), "change") || !strings.Contains(string(w.app.known), "change") {
			t.Fatalf("%+v", found)
		}
	}
	if n := w.events(t, core.AppDryRunFailed); n != 1 {
		t.Errorf("%d events", n)
	}
	w.app.lost = false
	w.clock.Pass(24 * time.Hour)
	if found := w.run(t); found.Result != dryruns.Passed || found.FailingSince != nil {
		t.Fatalf("%+v", found)
	}
	if n := w.events(t, core.AppDryRunRecovered); n != 1 {
		t.Errorf("%d events", n)
	}
}

// A refused sign-in counts like any other, and leaves room for those that matter.
func TestTheLockoutBudgetIsKept(t *testing.T) {
	w := open(t)
	w.prove(t, w.accounts[0].ID)
	w.app.Say(w.accounts[0].ID, rotation.Rejected)
	var last dryruns.DryRun
	for range 4 {
		last = w.run(t)
	}
	if last.Result != dryruns.PutOff || w.app.SignIns(w.accounts[0].ID) > 2 {
		t.Errorf("%+v after %d sign-ins", last, w.app.SignIns(w.accounts[0].ID))
	}
}

// A page that goes round the gate has what is in the vault, and it is found out which password the app has.
func TestAPageThatGoesRoundTheGate(t *testing.T) {
	w := open(t)
	w.prove(t, w.accounts[0].ID)
	w.app.round = true
	if found := w.run(t); found.Result != dryruns.Failed || found.Outcome != rotation.Unknown {
		t.Fatalf("%+v", found)
	}
	versions, err := w.Core.Accounts.Versions(t.Context(), w.Core.DB, w.workspace, w.accounts[0].ID)
	coretest.Must(t, err)
	kept, err := w.Core.Accounts.Password(t.Context(), w.Core.DB, w.workspace, w.accounts[0].ID, versions[0].Version)
	coretest.Must(t, err)
	open, _, err := w.Core.Rotations.Standing(t.Context(), w.Core.DB, w.workspace, w.accounts[0].ID)
	coretest.Must(t, err)
	if kept.Reveal() != w.app.typed[0] || !open {
		t.Errorf("kept: %v, a verification is under way: %v", kept.Reveal() == w.app.typed[0], open)
	}
}

// A worker that was killed in the middle of one is not waited for beyond its time, nor joined before.
func TestOneAtATime(t *testing.T) {
	w := open(t)
	w.prove(t, w.accounts[0].ID)
	app := w.accounts[0].App
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Ask(ctx, tx, coretest.System(), w.workspace, app)
		if err == nil {
			_, err = tx.Exec(ctx, `update dry_runs set running = $1`, w.clock.Now().Add(time.Minute))
		}
		return err
	})
	if _, snoozed := jobs.SnoozeOf(w.Carry(t.Context(), w.workspace, app)); !snoozed || w.app.SignIns(w.accounts[0].ID) != 0 {
		t.Errorf("%d sign-ins beside another worker", w.app.SignIns(w.accounts[0].ID))
	}
	w.clock.Pass(2 * time.Minute)
	coretest.Must(t, w.Carry(t.Context(), w.workspace, app))
	if found, err := w.Of(t.Context(), w.Core.DB, w.workspace, app); err != nil || found.Result != dryruns.Passed || found.Running != nil {
		t.Errorf("%+v, %v", found, err)
	}
	// Nobody but those who keep apps asks, and nobody in another workspace.
	for _, workspace := range []core.ID{w.other[0].Workspace, w.workspace} {
		cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID()}, w.clock.Now())
		if workspace == w.other[0].Workspace {
			cause = coretest.System()
		}
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := w.Ask(ctx, tx, cause, workspace, app); err == nil {
				t.Errorf("%v asks in %s", cause.Actor, workspace)
			}
			return nil
		})
	}
}

// Apps with a recipe are tried every night, others never.
func TestTheNight(t *testing.T) {
	w := open(t)
	began, err := w.Tick(t.Context())
	coretest.Must(t, err)
	if began != 0 {
		t.Errorf("%d begun without a recipe", began)
	}
	setting := func(text string) {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, _, err := w.Core.Accounts.ChangeApp(ctx, tx, coretest.System(), w.workspace, w.accounts[0].App, func(app *accounts.NewApp) error {
				app.Settings = json.RawMessage(text)
				return nil
			})
			return err
		})
	}
	w.run(t)
	setting(`{"recipe": {}}`)
	if began, err = w.Tick(t.Context()); err != nil || began != 0 {
		t.Errorf("%d begun right after one that was asked for, %v", began, err)
	}
	w.clock.Pass(23 * time.Hour)
	for _, want := range []int{1, 0} {
		if began, err = w.Tick(t.Context()); err != nil || began != want {
			t.Errorf("%d begun, %v, expected %d", began, err, want)
		}
	}
	w.clock.Pass(27 * time.Hour)
	if began, err = w.Tick(t.Context()); err != nil || began != 1 {
		t.Errorf("%d begun the next night, %v", began, err)
	}
	setting(`{}`)
	w.clock.Pass(27 * time.Hour)
	if began, err = w.Tick(t.Context()); err != nil || began != 0 {
		t.Errorf("%d begun after the recipe is gone, %v", began, err)
	}
}
