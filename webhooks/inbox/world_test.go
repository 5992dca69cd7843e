package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/mailbox"
	"postern/webhooks/inbox"
)

// zone is a DNS of the test's own.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if found, ok := z[strings.TrimSuffix(name, ".")]; ok {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupAddr(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// world is a receiver on loopback over a real database, with two workspaces that look alike.
type world struct {
	*coretest.Core
	boxes        *mailbox.Mailboxes
	receiver     *inbox.Receiver
	at           string // where it listens
	acme, globex side
}

type side struct {
	workspace core.ID
	ana       directory.User
	logins    []accounts.Account
	addresses []string
}

func open(t *testing.T, change func(r *inbox.Receiver)) *world {
	t.Helper()
	return over(t, coretest.Open(t, nil), change)
}

func over(t *testing.T, c *coretest.Core, change func(r *inbox.Receiver)) *world {
	t.Helper()
	w := &world{Core: c, boxes: &mailbox.Mailboxes{DB: c.DB, Accounts: c.Accounts, Vault: c.Vault, Domain: "in.example.com"}}
	w.boxes.Options = mailbox.Options{Hourly: 30, Pause: 10 * time.Millisecond}
	w.acme, w.globex = w.side(t, "acme"), w.side(t, "globex")
	w.receiver = &inbox.Receiver{Mailboxes: w.boxes, Name: "mx.example.com", Resolver: zone{"example.com": {"v=spf1 ip4:127.0.0.1 -all"}, "evil.example.net": {"v=spf1 -all"}}}
	if change != nil {
		change(w.receiver)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	coretest.Must(t, err)
	w.at = listener.Addr().String()
	coretest.Run(t, func(ctx context.Context) error {
		err := w.receiver.Serve(ctx, listener)
		if err != nil {
			t.Error(err)
		}
		return err
	})
	return w
}

func (w *world) side(t *testing.T, slug string) side {
	t.Helper()
	made, connection := w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.com"})
	s := side{workspace: made.ID, ana: w.Person(t, connection, directory.User{UserName: "ana@" + slug + ".example", DisplayName: "Ana"})}
	s.logins = w.SharedAccounts(t, s.ana)
	for _, account := range s.logins {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			box, err := w.boxes.CreateAddress(ctx, tx, coretest.System(), made.ID, account.ID)
			s.addresses = append(s.addresses, box.Address)
			return err
		})
	}
	return s
}

// dial begins a dialogue.
func (w *world) dial(t *testing.T) *smtp.Client {
	t.Helper()
	client, err := smtp.Dial(w.at)
	coretest.Must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	coretest.Must(t, client.Hello("client.example.com"))
	return client
}

// post sends a message in a dialogue of its own.
func (w *world) post(t *testing.T, from, to, message string) error {
	t.Helper()
	client := w.dial(t)
	defer client.Close() // or a client that tries again and again is one too many
	return posted(client, from, to, message)
}

func posted(client *smtp.Client, from, to, message string) error {
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write([]byte(message)); err != nil {
		return err
	}
	return data.Close()
}

// status wants a refusal with a status.
func status(t *testing.T, err error, want int) {
	t.Helper()
	said, ok := errors.AsType[*textproto.Error](err)
	if !ok || said.Code != want {
		t.Errorf("was told %v, want %d", err, want)
	}
}

// opened are the messages of an account, the latest first, with what they say.
func (w *world) opened(t *testing.T, s side, n int) []mailbox.Opened {
	t.Helper()
	by := core.NewCause(s.ana.Actor(), time.Now())
	list, err := w.boxes.Messages(t.Context(), by, s.workspace, s.ana.ID, s.logins[n].ID, 0, 100)
	coretest.Must(t, err)
	var found []mailbox.Opened
	for _, one := range list {
		read, err := w.boxes.Read(t.Context(), by, s.workspace, s.ana.ID, s.logins[n].ID, one.ID)
		coretest.Must(t, err)
		found = append(found, read)
	}
	return found
}

// letter is a plain message.
func letter(id, text string) string {
	return fmt.Sprintf("From: Wiki <no-reply@example.com>\r\nTo: you\r\nSubject: Signing in\r\nMessage-ID: <%s@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", id, text)
}
