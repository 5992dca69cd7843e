package lifecycle_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/importing"
	"postern/core/jobs"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/policies"
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/services"
)

// Whoever is removed has had something to do with every slice: each of them goes on without, and still says who they were.
func TestWhatIsLeftOfWhoeverIsRemoved(t *testing.T) {
	c := coretest.Open(t, nil)
	queue, err := jobs.NewQueue(c.DB, nil)
	coretest.Must(t, err)
	acme, okta := c.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.com"})
	person := func(name string) directory.User {
		return c.Person(t, okta, directory.User{UserName: name + "@acme.example", DisplayName: name, Email: name + "@acme.example"})
	}
	zoe, ana, bob := person("Zoe"), person("Ana"), person("Bob")
	zoe, err = c.Lifecycle.Change(t.Context(), coretest.System(), acme.ID, zoe.ID, func(user *directory.User) error {
		user.Role = directory.RoleAdmin
		return nil
	})
	coretest.Must(t, err)
	by := func(user directory.User) core.Cause { return core.NewCause(user.Actor(), time.Now()) }
	account := c.SharedAccounts(t, ana)[0]
	chosen := &policies.Policies{DB: c.DB, Accounts: c.Accounts, Rotations: c.Rotations}
	shares := &links.Links{
		DB: c.DB, Directory: c.Directory, Accounts: c.Accounts, Policies: chosen, PublicURL: "https://postern.example",
		Mail: &mail.Mail{DB: c.DB, Vault: c.Vault, Jobs: queue, Keep: true},
	}
	robots := &services.Services{DB: c.DB, Directory: c.Directory, Accounts: c.Accounts, Rotations: c.Rotations}
	asked := &reviews.Reviews{DB: c.DB, Directory: c.Directory, Accounts: c.Accounts, Lifecycle: c.Lifecycle, Signing: c.Signing}
	hub := &posture.Posture{DB: c.DB, Accounts: c.Accounts, Lifecycle: c.Lifecycle, Queue: queue}
	files := &importing.Imports{DB: c.DB, Directory: c.Directory, Accounts: c.Accounts, Rotations: c.Rotations, Vault: c.Vault, Queue: queue}
	proofs := &certificates.Certificates{DB: c.DB, Signing: c.Signing}
	checks := &health.Health{DB: c.DB, Accounts: c.Accounts, Rotations: c.Rotations, Queue: queue}

	// What Ana has, made, owns, answers for and is asked.
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := c.Lifecycle.Share(ctx, tx, by(ana), acme.ID, account.ID, accounts.Sharing{Subject: accounts.Subject{User: bob.ID}, Role: accounts.Collaborator})
		return err
	})
	link, _, err := shares.Create(t.Context(), by(ana), acme.ID, links.NewLink{Account: account.ID, Owner: ana.ID, Recipients: []string{"kim@example.net"}})
	coretest.Must(t, err)
	robot, err := robots.Create(t.Context(), by(zoe), acme.ID, services.Settings{Name: "ci", Risk: 3, Sensitivity: 3, Scopes: []string{"accounts:read"}}, []accounts.Subject{{User: ana.ID}, {User: bob.ID}})
	coretest.Must(t, err)
	campaign, err := asked.Create(t.Context(), by(zoe), acme.ID, reviews.Campaign{Name: "All", Days: 7, Scope: reviews.Scope{Accounts: []core.ID{account.ID}}})
	coretest.Must(t, err)
	review, err := asked.Start(t.Context(), by(zoe), acme.ID, campaign.ID)
	coretest.Must(t, err)
	file := []byte("url,username,password\nhttps://wiki.example.com,imported,p\n")
	plan, err := files.Plan(t.Context(), by(ana), acme.ID, importing.New{Format: importing.CSV, File: file, Owner: ana.ID})
	coretest.Must(t, err)
	given, err := hub.Reassign(t.Context(), by(zoe), acme.ID, posture.Reassignment{Owners: []accounts.Subject{{User: ana.ID}}, Accounts: []core.ID{account.ID}})
	coretest.Must(t, err)

	coretest.Must(t, c.Lifecycle.Remove(t.Context(), by(zoe), acme.ID, ana.ID, nil))
	coretest.Wants(t, c.Lifecycle.Remove(t.Context(), by(zoe), acme.ID, ana.ID, nil), core.KindNotFound, "")
	coretest.Until(t, "everything is taken", func() bool {
		_, err := c.Lifecycle.Take(t.Context())
		coretest.Must(t, err)
		return c.Count(t, acme.ID, `select count(*) from certificates where workspace_id = @workspace`, nil) == 1
	})
	coretest.Run(t, (&audit.Sequencer{DB: c.DB, Log: slog.New(slog.DiscardHandler)}).Run)
	coretest.Until(t, "it is told", func() bool {
		return c.Count(t, acme.ID, `select count(*) from audit_outbox where workspace_id = @workspace`, nil) == 0
	})

	coretest.Must(t, shares.Disown(t.Context()))
	_, err = shares.EndDue(t.Context())
	coretest.Must(t, err)
	ended, err := shares.Link(t.Context(), c.DB, acme.ID, link.ID)
	if err != nil || ended.Settled == nil || ended.Why != links.WhyOwnerGone || ended.OwnerName != "Ana" {
		t.Errorf("the link: %+v, %v", ended, err)
	}
	_, err = robots.Follow(t.Context())
	coretest.Must(t, err)
	found, err := robots.Findings(t.Context(), c.DB, acme.ID, services.FindingQuery{Account: robot.ID})
	if err != nil || len(found) != 1 || found[0].Kind != services.OneOwner {
		t.Errorf("the service account: %+v, %v", found, err)
	}
	owners, err := robots.Owners(t.Context(), c.DB, acme.ID, robot.ID)
	if err != nil || !slices.ContainsFunc(owners, func(o services.Owner) bool { return o.User == ana.ID && !o.Living && o.Name == "Ana" }) {
		t.Errorf("its owners: %+v, %v", owners, err)
	}
	_, err = asked.Follow(t.Context())
	coretest.Must(t, err)
	items, err := asked.Items(t.Context(), c.DB, acme.ID, reviews.ItemQuery{Review: review.ID})
	if err != nil || len(items) != 2 {
		t.Fatalf("the review: %+v, %v", items, err)
	}
	for _, item := range items {
		switch {
		case item.User == ana.ID && item.Decision != reviews.Ended:
			t.Errorf("what she had: %+v", item)
		case item.User == bob.ID && (item.Reviewer == ana.ID || item.Reviewer.IsZero() || item.Giver != "Ana"):
			t.Errorf("what she was asked: %+v", item)
		}
	}
	if _, err := asked.Evidence(t.Context(), c.DB, acme.ID, review.ID); err != nil {
		t.Errorf("its evidence: %v", err)
	}
	overview, err := hub.Overview(t.Context(), c.DB, acme.ID)
	if err != nil || overview.Accounts != 3 {
		t.Errorf("the overview: %+v, %v", overview, err)
	}
	orphans, _, err := hub.Findings(t.Context(), c.DB, acme.ID, posture.Query{Filter: posture.Filter{Kind: posture.Orphaned}})
	if err != nil || len(orphans) != 3 {
		t.Errorf("orphans: %+v, %v", orphans, err)
	}
	if report, err := hub.Progress(t.Context(), c.DB, acme.ID, given.ID); err != nil || len(report.Owners) != 1 || report.Owners[0].Name != "Ana" {
		t.Errorf("the reassignment: %+v, %v", report, err)
	}
	if _, err := hub.Reassign(t.Context(), by(zoe), acme.ID, posture.Reassignment{Owners: []accounts.Subject{{User: ana.ID}}, Orphaned: &posture.Filter{}}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("she is given accounts: %v", err)
	}
	if _, err := files.Commit(t.Context(), by(ana), acme.ID, plan.ID); core.KindOf(err) != core.KindInvalid {
		t.Errorf("she is given what an import makes: %v", err)
	}
	if kept, err := files.Import(t.Context(), c.DB, acme.ID, plan.ID); err != nil || kept.ID != plan.ID {
		t.Errorf("the import: %+v, %v", kept, err)
	}
	if view, err := checks.View(t.Context(), c.DB, acme.ID, account.ID); err != nil || !view.Account.Orphaned {
		t.Errorf("the account: %+v, %v", view, err)
	}
	listed, err := proofs.List(t.Context(), c.DB, acme.ID, certificates.Query{User: ana.ID})
	if err != nil || len(listed) != 1 || listed[0].Person.Name != "Ana" {
		t.Fatalf("the certificate: %+v, %v", listed, err)
	}
	if view, err := proofs.View(t.Context(), c.DB, acme.ID, listed[0].ID); err != nil || len(view.Now.Links) != 1 || view.Now.Links[0].Died == nil {
		t.Errorf("the certificate: %+v, %v", view.Now, err)
	}
}
