package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/mailbox"
	"postern/core/rotation"
	"postern/core/seal"
)

var _ rotation.Inbox = (*mailbox.Mailboxes)(nil)

type world struct {
	*coretest.Core
	*mailbox.Mailboxes
	clock *coretest.Clock
}

// house is a workspace with Ana, who owns the accounts, Ben, who may use the first, Cleo, who has nothing, and Olga, who
// administers the workspace.
type house struct {
	*world
	t                    testing.TB
	workspace            core.ID
	ana, ben, cleo, olga directory.User
	logins               []accounts.Account
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC))}
	w.Core = coretest.Open(t, w.clock.Now)
	w.Mailboxes = &mailbox.Mailboxes{
		DB: w.Core.DB, Accounts: w.Core.Accounts, Vault: w.Core.Vault, Domain: "in.example.com", Now: w.clock.Now,
		Options: mailbox.Options{Hourly: 5, Kept: 8, Pause: 5 * time.Millisecond, Patience: time.Minute},
	}
	return w
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
	made, connection := w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.com"})
	h.workspace = made.ID
	person := func(name string) directory.User {
		return w.Person(t, connection, directory.User{UserName: name + "@" + slug + ".example", DisplayName: name})
	}
	h.ana, h.ben, h.cleo, h.olga = person("Ana"), person("Ben"), person("Cleo"), person("Olga")
	_, err := w.Lifecycle.Change(t.Context(), coretest.System(), h.workspace, h.olga.ID, func(user *directory.User) error {
		user.Role = directory.RoleAdmin
		return nil
	})
	coretest.Must(t, err)
	h.logins = w.SharedAccounts(t, h.ana)
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Share(ctx, tx, coretest.System(), h.workspace, h.logins[0].ID, accounts.Sharing{
			Subject: accounts.Subject{User: h.ben.ID}, Role: accounts.Collaborator,
		})
		return err
	})
	return h
}

func (h house) by(user directory.User) core.Cause { return core.NewCause(user.Actor(), h.clock.Now()) }

// within does something in a transaction.
func (h house) within(work func(tx pgx.Tx) error) error {
	return h.Core.DB.Tx(h.t.Context(), work)
}

func (h house) address(n int) string {
	h.t.Helper()
	var made mailbox.Mailbox
	coretest.Must(h.t, h.within(func(tx pgx.Tx) (err error) {
		made, err = h.CreateAddress(h.t.Context(), tx, h.by(h.ana), h.workspace, h.logins[n].ID)
		return err
	}))
	return made.Address
}

func mail(text string) mailbox.Incoming {
	return mailbox.Incoming{Sender: "no-reply@wiki.example.com", Subject: seal.NewSecret("Signing in"), Text: seal.NewSecret(text), SPF: "pass example.com", DKIM: "none"}
}

// send has a message come to an address.
func (w *world) send(t testing.TB, address string, in mailbox.Incoming) (mailbox.Message, error) {
	t.Helper()
	to, err := w.Expected(t.Context(), address)
	if err != nil {
		return mailbox.Message{}, err
	}
	return w.Receive(t.Context(), to, in)
}

func (w *world) must(t testing.TB, address, text string) mailbox.Message {
	t.Helper()
	made, err := w.send(t, address, mail(text))
	coretest.Must(t, err)
	return made
}

func (h house) events(kind core.EventType) int {
	return h.Count(h.t, h.workspace, `select count(*) from audit_outbox where workspace_id = @workspace and event->>'type' = @kind`, pgx.StrictNamedArgs{"kind": string(kind)})
}

var tables = []string{"mailboxes", "messages", "message_digests", "exposures", "audit_outbox"}

func TestAnAddressComesAndGoes(t *testing.T) {
	acme, globex := pair(t)
	before := globex.Snapshot(t, globex.workspace, tables...)
	account := acme.logins[0].ID
	create := func(by core.Cause) (made mailbox.Mailbox, err error) {
		err = acme.within(func(tx pgx.Tx) error {
			made, err = acme.CreateAddress(t.Context(), tx, by, acme.workspace, account)
			return err
		})
		return made, err
	}
	remove := func(by core.Cause) error {
		return acme.within(func(tx pgx.Tx) error { return acme.RemoveAddress(t.Context(), tx, by, acme.workspace, account) })
	}
	_, err := create(acme.by(acme.ben))
	coretest.Wants(t, err, core.KindDenied, "not_owner")
	_, err = create(acme.by(acme.cleo))
	coretest.Wants(t, err, core.KindDenied, "not_shared")
	_, err = create(acme.by(globex.ana))
	coretest.Wants(t, err, core.KindDenied, "not_a_member")
	coretest.Wants(t, remove(acme.by(acme.ana)), core.KindNotFound, "")
	first, err := create(acme.by(acme.ana))
	coretest.Must(t, err)
	if local, domain, _ := strings.Cut(first.Address, "@"); len(local) != 16 || domain != "in.example.com" {
		t.Fatalf("the address is %q", first.Address)
	}
	_, err = create(acme.by(acme.olga))
	coretest.Wants(t, err, core.KindConflict, "has_address")
	stale, err := acme.Expected(t.Context(), strings.ToUpper(first.Address))
	coretest.Must(t, err)
	coretest.Wants(t, remove(acme.by(acme.ben)), core.KindDenied, "not_owner")
	coretest.Must(t, remove(acme.by(acme.olga)))
	coretest.Wants(t, remove(acme.by(acme.olga)), core.KindNotFound, "")
	_, err = acme.send(t, first.Address, mail("code 1234"))
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = acme.Receive(t.Context(), stale, mail("code 1234"))
	coretest.Wants(t, err, core.KindNotFound, "")
	second, err := create(acme.by(acme.olga))
	coretest.Must(t, err)
	if second.Address == first.Address {
		t.Error("an address was given out again")
	}
	if made, removed := acme.events(core.AccountAddressCreated), acme.events(core.AccountAddressRemoved); made != 2 || removed != 1 {
		t.Errorf("%d created, %d removed", made, removed)
	}
	for _, address := range []string{"", "@in.example.com", "x\x00@in.example.com", "\xff@in.example.com", strings.Repeat("x", 5000) + "@in.example.com"} {
		_, err := acme.Expected(t.Context(), address)
		coretest.Wants(t, err, core.KindNotFound, "")
	}
	if after := globex.Snapshot(t, globex.workspace, tables...); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("another workspace was touched")
	}
	acme.Domain = ""
	_, err = create(acme.by(acme.ana))
	coretest.Wants(t, err, core.KindConflict, "mailbox_off")
}

func TestANumberIsAssignedByAdministrators(t *testing.T) {
	acme, globex := pair(t)
	assign := func(h house, by core.Cause, account core.ID, phone string) (made mailbox.Mailbox, err error) {
		err = h.within(func(tx pgx.Tx) error {
			made, err = h.AssignPhone(t.Context(), tx, by, h.workspace, account, phone)
			return err
		})
		return made, err
	}
	_, err := assign(acme, acme.by(acme.ana), acme.logins[0].ID, "+4930123456")
	coretest.Wants(t, err, core.KindDenied, "not_administrator")
	for _, phone := range []string{"", "030 123456", "+0 30 123456", "+49", "+49\x0030123456", "+491234567890123456", "+49 30 12345a"} {
		_, err := assign(acme, acme.by(acme.olga), acme.logins[0].ID, phone)
		coretest.Wants(t, err, core.KindInvalid, "phone")
	}
	made, err := assign(acme, acme.by(acme.olga), acme.logins[0].ID, "+49 (30) 123-456")
	coretest.Must(t, err)
	if made.Phone != "+4930123456" {
		t.Errorf("kept as %q", made.Phone)
	}
	_, err = assign(acme, acme.by(acme.olga), acme.logins[1].ID, "+4930123456")
	coretest.Wants(t, err, core.KindConflict, "mailbox_phone")
	_, err = assign(acme, acme.by(acme.olga), globex.logins[1].ID, "+4930999999")
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = assign(globex, globex.by(globex.olga), globex.logins[0].ID, "+4930123456")
	coretest.Must(t, err) // of another workspace, with a provider of its own
	for _, h := range []house{acme, globex} {
		to, err := h.Called(t.Context(), h.workspace, "+4930123456")
		coretest.Must(t, err)
		if to.Workspace != h.workspace || to.Account != h.logins[0].ID {
			t.Errorf("a number leads to another workspace: %+v", to)
		}
		got, err := h.Receive(t.Context(), to, mailbox.Incoming{ID: "SM1", Sender: "+15550100", Text: seal.NewSecret("Your code is 551234")})
		coretest.Must(t, err)
		if got.Kind != mailbox.SMS || !got.Code || got.Number != 1 {
			t.Errorf("%+v", got)
		}
	}
	remove := func(by core.Cause) error {
		return acme.within(func(tx pgx.Tx) error { return acme.RemovePhone(t.Context(), tx, by, acme.workspace, acme.logins[0].ID) })
	}
	coretest.Wants(t, remove(acme.by(acme.ana)), core.KindDenied, "not_administrator")
	coretest.Must(t, remove(acme.by(acme.olga)))
	coretest.Wants(t, remove(acme.by(acme.olga)), core.KindNotFound, "")
	_, err = acme.Called(t.Context(), acme.workspace, "+4930123456")
	coretest.Wants(t, err, core.KindNotFound, "")
}

func TestWhoMayUseAnAccountReadsItsMessages(t *testing.T) {
	acme, globex := pair(t)
	address, account := acme.address(0), acme.logins[0].ID
	globex.must(t, globex.address(0), "The code of the others is 991122")
	before := globex.Snapshot(t, globex.workspace, tables...)
	const code, token = "482913", "0123456789abcdefcanary"
	made, err := acme.send(t, address, mailbox.Incoming{
		ID: "<1@wiki.example.com>", Sender: "Wiki\x00 <no-reply@wiki.example.com>", Subject: seal.NewSecret(code + " is your code"),
		Text: seal.NewSecret("Your code is " + code + "\x00. Or open https://wiki.example.com/verify?token=" + token), SPF: "pass example.com", DKIM: "none",
	})
	coretest.Must(t, err)
	for _, user := range []directory.User{acme.ana, acme.ben} {
		list, err := acme.Messages(t.Context(), acme.by(user), acme.workspace, user.ID, account, 0, 10)
		coretest.Must(t, err)
		if len(list) != 1 || list[0].ID != made.ID || list[0].Subject != "••• is your code" || !list[0].Code || !list[0].Link || list[0].SPF != "pass example.com" {
			t.Fatalf("%+v", list)
		}
		read, err := acme.Read(t.Context(), acme.by(user), acme.workspace, user.ID, account, made.ID)
		coretest.Must(t, err)
		if read.Pin.Reveal() != code || read.Full.Reveal() != code+" is your code" || !strings.HasSuffix(read.URL.Reveal(), token) || !strings.Contains(read.Text.Reveal(), code) {
			t.Errorf("%+v", read)
		}
		if shown := fmt.Sprintf("%v %+v %#v", read, read, read); strings.Contains(shown, code) {
			t.Errorf("a message prints what it says: %s", shown)
		}
	}
	for _, user := range []directory.User{acme.cleo, acme.olga} {
		_, err := acme.Messages(t.Context(), acme.by(user), acme.workspace, user.ID, account, 0, 10)
		coretest.Wants(t, err, core.KindDenied, "not_shared")
		_, err = acme.Read(t.Context(), acme.by(user), acme.workspace, user.ID, account, made.ID)
		coretest.Wants(t, err, core.KindDenied, "not_shared")
	}
	_, err = acme.Read(t.Context(), acme.by(acme.cleo), acme.workspace, acme.ana.ID, account, made.ID)
	coretest.Wants(t, err, core.KindDenied, "not_you")
	_, err = acme.Read(t.Context(), acme.by(acme.ana), acme.workspace, acme.ana.ID, acme.logins[1].ID, made.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = globex.Read(t.Context(), globex.by(globex.ana), globex.workspace, globex.ana.ID, globex.logins[0].ID, made.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	if read := acme.events(core.AccountMessageRead); read != 2 {
		t.Errorf("%d events tell that it was read", read)
	}
	seen, err := acme.Core.Accounts.Exposures(t.Context(), acme.Core.DB, acme.workspace, account, 0)
	coretest.Must(t, err)
	if len(seen) != 2 || seen[0].Level != "message" || seen[0].Version != 1 {
		t.Errorf("exposures %+v", seen)
	}
	for table, rows := range acme.Snapshot(t, acme.workspace, tables...) {
		if strings.Contains(rows, code) || strings.Contains(rows, "canary") {
			t.Errorf("%s holds a code or a link in clear", table)
		}
	}
	if after := globex.Snapshot(t, globex.workspace, tables...); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("another workspace was touched")
	}
	// A leaver reads nothing, and whoever is restricted neither.
	_, err = acme.Lifecycle.Deprovision(t.Context(), coretest.System(), acme.workspace, acme.ben.ID)
	coretest.Must(t, err)
	_, err = acme.Read(t.Context(), acme.by(acme.ben), acme.workspace, acme.ben.ID, account, made.ID)
	coretest.Wants(t, err, core.KindDenied, "inactive")
}

func TestAFloodStopsAtItsAccount(t *testing.T) {
	acme, _ := pair(t)
	flooded, other := acme.address(0), acme.address(1)
	for n := range 5 {
		acme.must(t, flooded, fmt.Sprint("Your code is 1000", n))
	}
	to, err := acme.Expected(t.Context(), other)
	coretest.Must(t, err)
	_, err = acme.Expected(t.Context(), flooded)
	coretest.Wants(t, err, core.KindRateLimited, "mailbox_full")
	if core.AsError(err).RetryAfter <= 0 {
		t.Error("nobody is told when to come again")
	}
	_, err = acme.Receive(t.Context(), to, mail("Your code is 777333"))
	coretest.Must(t, err)
	// Of many at once none goes beyond the limit.
	acme.clock.Pass(time.Hour + time.Second)
	to, err = acme.Expected(t.Context(), flooded)
	coretest.Must(t, err)
	var group sync.WaitGroup
	var lock sync.Mutex
	taken := 0
	for n := range 20 {
		group.Go(func() {
			_, err := acme.Receive(t.Context(), to, mail(fmt.Sprint("Your code is 2000", n)))
			lock.Lock()
			defer lock.Unlock()
			switch {
			case err == nil:
				taken++
			case core.KindOf(err) != core.KindRateLimited:
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := acme.Messages(t.Context(), acme.by(acme.ana), acme.workspace, acme.ana.ID, acme.logins[0].ID, 0, 100)
	coretest.Must(t, err)
	if taken != 5 || len(list) != 8 || list[0].Number != 10 || list[7].Number != 3 {
		t.Errorf("%d taken, %d kept, %+v", taken, len(list), list)
	}
	page, err := acme.Messages(t.Context(), acme.by(acme.ana), acme.workspace, acme.ana.ID, acme.logins[0].ID, 9, 2)
	coretest.Must(t, err)
	if len(page) != 2 || page[0].Number != 8 || page[1].Number != 7 {
		t.Errorf("behind 9 come %+v", page)
	}
}

func TestAMessageIsTakenOnce(t *testing.T) {
	acme, _ := pair(t)
	address := acme.address(0)
	one := mail("Your code is 551177")
	one.ID = "<1@wiki.example.com>"
	_, err := acme.send(t, address, one)
	coretest.Must(t, err)
	_, err = acme.send(t, address, one)
	coretest.Wants(t, err, core.KindConflict, "replayed")
	_, err = acme.send(t, acme.address(1), one)
	coretest.Must(t, err)
	other := mail("Your code is 551178")
	other.ID = one.ID
	_, err = acme.send(t, address, other)
	coretest.Must(t, err)
	// Also after it is erased.
	acme.clock.Pass(31 * 24 * time.Hour)
	erased, err := acme.Purge(t.Context())
	coretest.Must(t, err)
	if erased != 3 {
		t.Errorf("%d erased", erased)
	}
	_, err = acme.send(t, address, one)
	coretest.Wants(t, err, core.KindConflict, "replayed")
	if left := acme.Count(t, acme.workspace, `select count(*) from messages where workspace_id = @workspace`, nil); left != 0 {
		t.Errorf("%d left", left)
	}
	acme.clock.Pass(400 * 24 * time.Hour)
	if erased, err := acme.Purge(t.Context()); err != nil || erased != 0 {
		t.Errorf("%d, %v", erased, err)
	}
	if left := acme.Count(t, acme.workspace, `select count(*) from message_digests where workspace_id = @workspace`, nil); left != 0 {
		t.Errorf("%d digests left", left)
	}
}

func TestACodeIsAwaited(t *testing.T) {
	acme, globex := pair(t)
	address, account := acme.address(0), acme.logins[0].ID
	theirs := globex.address(0)
	acme.must(t, address, "Your old code is 111111")
	ask, err := acme.Codes(t.Context(), acme.Core.DB, acme.workspace, account)
	coretest.Must(t, err)
	go func() {
		time.Sleep(50 * time.Millisecond)
		globex.must(t, theirs, "Your code is 999999")
		acme.must(t, address, "Nothing of interest")
		acme.must(t, address, "Your code is 888888\n@evil.example.net #888888")
		acme.must(t, address, "Your code is 222222")
	}()
	code, err := ask(t.Context())
	coretest.Must(t, err)
	if code.Reveal() != "222222" {
		t.Fatalf("was given %s", code.Reveal())
	}
	// Spent: nobody is given it again, and neither the old one.
	soon, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if again, err := ask(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("was given %q again: %v", again.Reveal(), err)
	}
	acme.Options.Patience = 50 * time.Millisecond
	_, err = ask(t.Context())
	coretest.Wants(t, err, core.KindUnavailable, "no_message")
	acme.Options.Patience = time.Minute
	acme.clock.Pass(time.Hour + time.Second)

	// Two at once are given two codes.
	got := make(chan string, 2)
	for range 2 {
		go func() {
			code, err := ask(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- code.Reveal()
		}()
	}
	acme.must(t, address, "Your code is 333333")
	acme.must(t, address, "Your code is 444444")
	if one, other := <-got, <-got; one == other || one+other != "333333444444" && other+one != "333333444444" {
		t.Errorf("two were given %s and %s", one, other)
	}
	latest, err := acme.Latest(t.Context(), acme.Core.DB, acme.workspace, account)
	coretest.Must(t, err)
	acme.must(t, address, "Reset it: https://wiki.example.com/reset?token=0123456789abcdef0123")
	link, err := acme.Await(t.Context(), acme.workspace, account, latest, mailbox.Link)
	if err != nil || link.Reveal() != "https://wiki.example.com/reset?token=0123456789abcdef0123" {
		t.Errorf("%s, %v", link.Reveal(), err)
	}
	// An account that nothing comes to waits for nothing.
	if none, err := acme.Codes(t.Context(), acme.Core.DB, acme.workspace, acme.logins[2].ID); none != nil || err != nil {
		t.Errorf("%v", err)
	}
	if none, err := acme.Codes(t.Context(), acme.Core.DB, globex.workspace, account); none != nil || err != nil {
		t.Errorf("%v", err)
	}
}
