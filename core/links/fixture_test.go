package links_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/policies"
	"postern/core/seal"
)

// world is links on a real database, with mails kept, and without workers.
type world struct {
	*coretest.Core
	*links.Links
	clock *coretest.Clock
}

// house is a workspace with Ana, who owns the account, Ben, who may use it, Cleo, who has nothing, and Olga, who owns the workspace.
type house struct {
	*world
	t                    testing.TB
	workspace            directory.Workspace
	ana, ben, cleo, olga directory.User
	account              accounts.Account
	other                accounts.Account
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC))}
	w.Core = coretest.Open(t, w.clock.Now)
	w.Links = w.another(t)
	return w
}

// another is what another process would use.
func (w *world) another(t testing.TB) *links.Links {
	t.Helper()
	queue, err := jobs.NewQueue(w.Core.DB, nil)
	coretest.Must(t, err)
	chosen := &policies.Policies{DB: w.Core.DB, Accounts: w.Core.Accounts, Rotations: w.Rotations, Now: w.clock.Now}
	return &links.Links{
		DB: w.Core.DB, Directory: w.Core.Directory, Accounts: w.Core.Accounts, Policies: chosen, PublicURL: "https://postern.example.com", Now: w.clock.Now,
		Mail: &mail.Mail{DB: w.Core.DB, Vault: w.Vault, Jobs: queue, Keep: true, Now: w.clock.Now},
		Depart: func(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
			_, err := w.Lifecycle.Deprovision(ctx, cause, workspace, user)
			return err
		},
		Return: w.Lifecycle.Reactivate,
	}
}

// pair is a workspace to work in and another one, alike, that nothing may touch.
func pair(t testing.TB) (house, house) {
	t.Helper()
	w := open(t)
	other := w.house(t, "globex")
	return w.house(t, "acme"), other
}

func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	h := house{world: w, t: t}
	var connection directory.Connection
	h.workspace, connection = w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.com"})
	person := func(name string) directory.User {
		return w.Person(t, connection, directory.User{UserName: name + "@" + slug + ".example", DisplayName: name, Email: name + "@" + slug + ".example"})
	}
	h.ana, h.ben, h.cleo, h.olga = person("Ana"), person("Ben"), person("Cleo"), person("Olga")
	_, err := w.Lifecycle.Change(t.Context(), coretest.System(), h.workspace.ID, h.olga.ID, func(user *directory.User) error {
		user.Role = directory.RoleOwner
		return nil
	})
	coretest.Must(t, err)
	logins := w.SharedAccounts(t, h.ana)
	h.account, h.other = logins[0], logins[1]
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Share(ctx, tx, coretest.System(), h.workspace.ID, h.account.ID, accounts.Sharing{
			Subject: accounts.Subject{User: h.ben.ID}, Role: accounts.Collaborator,
		})
		return err
	})
	return h
}

func (h house) by(user directory.User) core.Cause { return core.NewCause(user.Actor(), h.clock.Now()) }

// door is a link and what is in its address.
type door struct {
	links.Link
	token seal.Secret
}

// link makes one of Ana's.
func (h house) link(wanted links.NewLink) door {
	h.t.Helper()
	if wanted.Account.IsZero() {
		wanted.Account = h.account.ID
	}
	if wanted.Owner.IsZero() {
		wanted.Owner = h.ana.ID
	}
	if wanted.Recipients == nil && wanted.Domains == nil {
		wanted.Recipients = []string{"ada@example.com"}
	}
	made, address, err := h.Create(h.t.Context(), h.by(h.ana), h.workspace.ID, wanted)
	coretest.Must(h.t, err)
	token, ok := strings.CutPrefix(address.Reveal(), "https://postern.example.com"+links.Path)
	if !ok {
		h.t.Fatalf("the address of a link is %s", address.Reveal())
	}
	return door{made, seal.NewSecret(token)}
}

var codeInMail = regexp.MustCompile(`(?m)^ {4}(\d{4} \d{4})$`)

// mailed is what was mailed last, and to whom; nothing in a workspace without mails.
func (h house) mailed() (to core.ID, email, text string) {
	h.t.Helper()
	mails, err := h.Mail.Kept(h.t.Context(), h.Links.DB, h.workspace.ID, 1)
	coretest.Must(h.t, err)
	if len(mails) == 0 {
		return core.ID{}, "", ""
	}
	opened, err := h.Mail.Text(h.t.Context(), h.Links.DB, h.workspace.ID, mails[0].ID)
	coretest.Must(h.t, err)
	return mails[0].ID, mails[0].To, opened.Reveal()
}

// code is what doing something has mailed to somebody, or "".
func (h house) code(email string, do func()) string {
	h.t.Helper()
	before, _, _ := h.mailed()
	do()
	after, to, text := h.mailed()
	if after == before || to != email {
		return ""
	}
	return codeInMail.FindStringSubmatch(text)[1]
}

var phone = core.Origin{Address: "203.0.113.7", UserAgent: "Phone"}

// asks has somebody ask for a code, and gives what their browser keeps and what was mailed to them.
func (h house) asks(at door, email string) (challenge, code seal.Secret) {
	h.t.Helper()
	var err error
	mailed := h.code(strings.ToLower(email), func() { challenge, err = h.Ask(h.t.Context(), phone, at.token, email) })
	coretest.Must(h.t, err)
	return challenge, seal.NewSecret(mailed)
}

// opens is the whole way of a recipient.
func (h house) opens(at door, email string, device seal.Secret) (links.Shown, error) {
	h.t.Helper()
	challenge, code := h.asks(at, email)
	return h.Open(h.t.Context(), phone, at.token, challenge, code, device)
}

// coded wants an error with a code.
func coded(t testing.TB, what string, err error, code string) {
	t.Helper()
	if fault := core.AsError(err); fault == nil || fault.Code != code && fault.Kind.String() != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// events counts those of a type.
func (h house) events(kind core.EventType) int {
	h.t.Helper()
	return h.Count(h.t, h.workspace.ID, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @kind`, pgx.StrictNamedArgs{"kind": string(kind)})
}

// rotations counts those planned of the account.
func (h house) rotations() int {
	h.t.Helper()
	return h.Count(h.t, h.workspace.ID, `select count(*) from rotations where workspace_id = @workspace and account_id = @account`, pgx.StrictNamedArgs{"account": h.account.ID})
}
