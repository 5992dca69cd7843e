package mail_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/mail"
	"postern/core/seal"
)

// box is a Sender that says what it is told to say.
type box struct {
	lock sync.Mutex
	say  func(message mail.Message) error
	sent []mail.Message
}

// Send implements mail.Sender.
func (b *box) Send(_ context.Context, message mail.Message) error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.say != nil {
		if err := b.say(message); err != nil {
			return err
		}
	}
	b.sent = append(b.sent, message)
	return nil
}

func (b *box) count() int {
	b.lock.Lock()
	defer b.lock.Unlock()
	return len(b.sent)
}

type world struct {
	*coretest.Core
	*mail.Mail
	box         *box
	past        *atomic.Int64 // how far the clock was moved on
	acme, other directory.Workspace
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{box: &box{}, past: &atomic.Int64{}}
	now := func() time.Time { return time.Now().Add(time.Duration(w.past.Load())) }
	w.Core = coretest.Open(t, now)
	queue, err := jobs.NewQueue(w.Core.DB, nil)
	coretest.Must(t, err)
	w.Mail = &mail.Mail{DB: w.Core.DB, Vault: w.Core.Vault, Jobs: queue, Sender: w.box, Now: now}
	w.acme, _ = w.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta})
	w.other, _ = w.Workspace(t, "globex", directory.NewConnection{Name: "Okta", Kind: directory.Okta})
	return w
}

// works runs a worker.
func (w *world) works(t *testing.T) {
	t.Helper()
	handlers := &jobs.Handlers{}
	w.Register(handlers)
	worker, err := jobs.NewWorker(w.Core.DB, handlers, jobs.WorkerOptions{})
	coretest.Must(t, err)
	coretest.Run(t, worker.Run)
}

func (w *world) queue(t *testing.T, workspace core.ID, message mail.Message) core.ID {
	t.Helper()
	var id core.ID
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		id, err = w.Queue(ctx, tx, workspace, message)
		return err
	})
	return id
}

// row is what is kept of a mail.
func (w *world) row(t *testing.T, workspace, id core.ID) (state, reason string, sealed []byte, attempts int) {
	t.Helper()
	coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select state, reason, sealed, attempts from mails where workspace_id = @workspace and id = @id`,
		pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&state, &reason, &sealed, &attempts))
	return state, reason, sealed, attempts
}

const canary = "canary 1234 5678"

func letter(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your code", Text: seal.NewSecret(canary)}
}

// chore is work that takes every place there is.
type chore struct{}

func (chore) Kind() string { return "test.chore" }

func TestAMailWaitsForNoOtherWork(t *testing.T) {
	w := open(t)
	handlers, begun, finish := &jobs.Handlers{}, make(chan struct{}), make(chan struct{})
	w.Register(handlers)
	jobs.Handle(handlers, func(context.Context, chore, int) error { close(begun); <-finish; return nil })
	worker, err := jobs.NewWorker(w.Core.DB, handlers, jobs.WorkerOptions{Concurrency: 1})
	coretest.Must(t, err)
	coretest.Run(t, worker.Run)
	defer close(finish)
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return w.Jobs.Add(ctx, tx, chore{}, jobs.Options{Priority: 1})
	})
	<-begun
	w.queue(t, w.acme.ID, letter("ada@example.com"))
	coretest.Until(t, "it is sent", func() bool { return w.box.count() == 1 })
}

func TestAMailIsSentOnceItsTransactionCommitted(t *testing.T) {
	w := open(t)
	undone := errors.New("undone")
	if err := w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.Queue(t.Context(), tx, w.acme.ID, letter("never@example.com"))
		return errors.Join(err, undone)
	}); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	first, second := w.queue(t, w.acme.ID, letter("ada@example.com")), w.queue(t, w.other.ID, letter("bob@example.com"))
	decoy := letter("nobody@example.com")
	decoy.Decoy = true
	third := w.queue(t, w.acme.ID, decoy)
	var stored string
	coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select string_agg(x, ' ') from (select m::text || encode(sealed, 'escape') x from mails m union all select args::text from river_job) y`).Scan(&stored))
	if strings.Contains(stored, "canary") {
		t.Error("the text stands in the database in clear")
	}
	w.works(t)
	coretest.Until(t, "both are sent", func() bool { return w.box.count() == 2 })
	for workspace, id := range map[core.ID]core.ID{w.acme.ID: first, w.other.ID: second} {
		coretest.Until(t, "it is written down", func() bool { state, _, _, _ := w.row(t, workspace, id); return state == "sent" })
		if _, reason, sealed, attempts := w.row(t, workspace, id); reason != "" || sealed != nil || attempts != 1 {
			t.Errorf("%q, %d bytes left, %d attempts", reason, len(sealed), attempts)
		}
	}
	coretest.Until(t, "the decoy is done", func() bool { state, _, _, _ := w.row(t, w.acme.ID, third); return state == "sent" })
	for _, sent := range w.box.sent {
		if sent.Text.Reveal() != canary || sent.Subject != "Your code" || sent.To == "nobody@example.com" || sent.To == "never@example.com" {
			t.Errorf("sent %+v", sent)
		}
	}
}

func TestWhatIsRefusedForGoodIsGivenUp(t *testing.T) {
	w := open(t)
	w.box.say = func(mail.Message) error { return core.Denied("there is no such mailbox (550)") }
	id := w.queue(t, w.acme.ID, letter("ada@example.com"))
	w.works(t)
	coretest.Until(t, "it is given up", func() bool { state, _, _, _ := w.row(t, w.acme.ID, id); return state == "given_up" })
	if _, reason, sealed, attempts := w.row(t, w.acme.ID, id); reason != "there is no such mailbox (550)" || sealed != nil || attempts != 1 {
		t.Errorf("%q, %d bytes left, %d attempts", reason, len(sealed), attempts)
	}
	for workspace, want := range map[core.ID]int{w.acme.ID: 1, w.other.ID: 0} {
		if told := w.Count(t, workspace, `select count(*) from audit_outbox where workspace_id = @workspace and type = 'mail.given_up' and event ->> 'outcome' = 'failure'`, nil); told != want {
			t.Errorf("told %d times, want %d", told, want)
		}
	}
}

func TestWhatFailsIsTriedAgainUntilItIsOfNoUse(t *testing.T) {
	w := open(t)
	var down atomic.Bool
	down.Store(true)
	w.box.say = func(mail.Message) error {
		if down.Load() {
			return core.Unavailable(0, "the mail server is down")
		}
		return nil
	}
	late := letter("late@example.com")
	late.Until = time.Now().Add(time.Second)
	first, second := w.queue(t, w.acme.ID, letter("ada@example.com")), w.queue(t, w.acme.ID, late)
	w.works(t)
	coretest.Until(t, "both were tried", func() bool {
		_, one, _, _ := w.row(t, w.acme.ID, first)
		_, two, _, _ := w.row(t, w.acme.ID, second)
		return one == "the mail server is down" && two != ""
	})
	if _, _, sealed, _ := w.row(t, w.acme.ID, first); sealed == nil {
		t.Error("what is tried again is erased")
	}
	coretest.Until(t, "the late one is given up", func() bool { state, _, _, _ := w.row(t, w.acme.ID, second); return state == "given_up" })
	down.Store(false)
	coretest.Until(t, "the other is sent", func() bool { state, _, _, _ := w.row(t, w.acme.ID, first); return state == "sent" })
	if _, _, _, attempts := w.row(t, w.acme.ID, first); attempts < 2 || w.box.count() != 1 {
		t.Errorf("%d attempts, %d sent", attempts, w.box.count())
	}
}

func TestTwoWorkersDoNotSendTwice(t *testing.T) {
	w := open(t)
	release := make(chan struct{})
	w.box.say = func(mail.Message) error { <-release; return nil }
	id := w.queue(t, w.acme.ID, letter("ada@example.com"))
	// The job twice, as when a worker was taken for dead.
	_, err := w.Core.DB.Exec(t.Context(), `insert into river_job (args, kind, max_attempts, queue, state, priority, metadata) select args, kind, max_attempts, queue, state, priority, metadata from river_job`)
	coretest.Must(t, err)
	w.works(t)
	coretest.Until(t, "one is at it", func() bool { _, _, _, attempts := w.row(t, w.acme.ID, id); return attempts == 1 })
	close(release)
	coretest.Until(t, "it is sent", func() bool { state, _, _, _ := w.row(t, w.acme.ID, id); return state == "sent" })
	if _, _, _, attempts := w.row(t, w.acme.ID, id); attempts != 1 || w.box.count() != 1 {
		t.Errorf("%d attempts, %d sent", attempts, w.box.count())
	}
}

func TestWhereMailsAreKept(t *testing.T) {
	w := open(t)
	w.Keep = true
	id := w.queue(t, w.acme.ID, letter("ada@example.com"))
	decoy := letter("nobody@example.com")
	decoy.Decoy = true
	hidden := w.queue(t, w.acme.ID, decoy)
	kept, err := w.Kept(t.Context(), w.Core.DB, w.acme.ID, 10)
	if err != nil || len(kept) != 1 || kept[0].ID != id || kept[0].To != "ada@example.com" {
		t.Fatalf("%+v, %v", kept, err)
	}
	if text, err := w.Text(t.Context(), w.Core.DB, w.acme.ID, id); err != nil || text.Reveal() != canary {
		t.Errorf("%q, %v", text.Reveal(), err)
	}
	for what, err := range map[string]error{
		"another workspace's": second(w.Text(t.Context(), w.Core.DB, w.other.ID, id)), "a decoy's": second(w.Text(t.Context(), w.Core.DB, w.acme.ID, hidden)),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s text: %v", what, err)
		}
	}
	if none, err := w.Kept(t.Context(), w.Core.DB, w.other.ID, 10); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	w.Keep = false
	if _, err := w.Text(t.Context(), w.Core.DB, w.acme.ID, id); core.KindOf(err) != core.KindNotFound {
		t.Errorf("where mails are sent none can be read: %v", err)
	}
	w.Sender = nil
	err = w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.Queue(t.Context(), tx, w.acme.ID, letter("ada@example.com"))
		return err
	})
	if core.AsError(err).Code != "mail_off" {
		t.Errorf("where none is sent: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestOldMailsAreForgotten(t *testing.T) {
	w := open(t)
	w.Keep = true
	w.queue(t, w.acme.ID, letter("ada@example.com"))
	theirs := w.queue(t, w.other.ID, letter("bob@example.com"))
	w.past.Store(int64(31 * 24 * time.Hour))
	next := w.queue(t, w.acme.ID, letter("eve@example.com"))
	kept, err := w.Kept(t.Context(), w.Core.DB, w.acme.ID, 10)
	if err != nil || len(kept) != 1 || kept[0].ID != next {
		t.Errorf("%+v, %v", kept, err)
	}
	w.row(t, w.other.ID, theirs)
}

func TestAddresses(t *testing.T) {
	for given, want := range map[string]string{
		"ada@example.com": "ada@example.com", " Ada.L+x@EXAMPLE.com ": "Ada.L+x@example.com", "a@bücher.example": "a@xn--bcher-kva.example", "o'neil@example.com": "o'neil@example.com",
	} {
		if got, err := mail.Address(given); err != nil || got != want {
			t.Errorf("%q is %q, %v", given, got, err)
		}
	}
	for _, given := range []string{
		"", "@", "a@", "@b.com", "a@b", "a@b.", "a@.b.com", "Ada <ada@example.com>", "ada@example.com, bob@example.com", "ada@example.com\r\nBcc: x@y.com", "a b@example.com",
		`"a b"@example.com`, "a@[127.0.0.1]", "ä@example.com", "a@b.com\x00", "a\x7f@b.com", "a@b..com", "<a@b.com>", strings.Repeat("a", 65) + "@b.com",
		"a@" + strings.Repeat("b.", 200) + "com", "a@-b.com", "a@b.com;c@d.com", "a@b.com:1", "a(b)@c.com",
	} {
		if got, err := mail.Address(given); core.KindOf(err) != core.KindInvalid || err == nil {
			t.Errorf("%q is taken for %q", given, got)
		}
	}
	w := open(t)
	for field, message := range map[string]mail.Message{
		"email":   {To: "x", Subject: "s", Text: seal.NewSecret("t")},
		"subject": {To: "a@b.com", Subject: "s\r\nBcc: x@y.com", Text: seal.NewSecret("t")},
		"text":    {To: "a@b.com", Subject: "s"},
	} {
		err := w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := w.Queue(t.Context(), tx, w.acme.ID, message)
			return err
		})
		if fault := core.AsError(err); fault == nil || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
