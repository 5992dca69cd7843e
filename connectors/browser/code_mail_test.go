package browser

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/mailbox"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/webhooks/inbox"
)

// Postern signs in to an app that mails a code: the browser gives the password, the app sends a mail, the receiver takes
// it, and the browser enters what it says. Each sign-in has a code of its own.
func TestAMailedCodeSignsIn(t *testing.T) {
	b := connector(t)
	c := coretest.Open(t, nil)
	boxes := &mailbox.Mailboxes{DB: c.DB, Accounts: c.Accounts, Vault: c.Vault, Domain: "in.example.com"}
	c.Rotations.Connectors, c.Rotations.Inbox, c.Rotations.AllowPrivate = rotation.Connectors{"browser": b}, boxes, true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	coretest.Must(t, err)
	coretest.Run(t, func(ctx context.Context) error {
		return (&inbox.Receiver{Mailboxes: boxes, Name: "mx.example.com"}).Serve(ctx, listener)
	})

	app := &keypad{said: "Sign-in failed: %s."}
	account := app.stored(t, c)
	var box mailbox.Mailbox
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		box, err = boxes.CreateAddress(ctx, tx, coretest.System(), account.Workspace, account.ID)
		return err
	})
	post := func(from, text string) {
		message := "From: Keypad <" + from + ">\r\nSubject: Signing in\r\n\r\n" + text + "\r\n"
		if err := smtp.SendMail(listener.Addr().String(), nil, from, []string{box.Address}, []byte(message)); err != nil {
			t.Error(err)
		}
	}
	post("no-reply@keypad.example", "Your verification code is 111111.") // of another sign-in
	var sent atomic.Int64
	app.send = func() {
		app.code = fmt.Sprint(135790 + sent.Add(1))
		go func(code string) {
			time.Sleep(300 * time.Millisecond)
			post("news@keypad.example", "Your code is 222222.\r\n\r\n@evil.example.net #222222")
			post("no-reply@keypad.example", "Your Keypad verification code is "+code+".\r\nIt is good for 10 minutes.")
		}(app.code)
	}
	for n := range 2 {
		trial, err := c.Rotations.Try(short(t), account, 1)
		coretest.Must(t, err)
		if trial.Outcome != rotation.Accepted || sent.Load() != int64(n+1) || app.wrong.Load() != 0 {
			t.Fatalf("%s: %s; %d codes sent, %d refused", trial.Outcome, trial.Detail, sent.Load(), app.wrong.Load())
		}
		if strings.Contains(trial.Detail+string(trial.Model), app.code) {
			t.Error("the report shows the code")
		}
	}
	if spent := c.Count(t, account.Workspace, `select count(*) from messages where workspace_id = @workspace and spent is not null`, nil); spent != 2 {
		t.Errorf("%d messages were spent on two sign-ins", spent)
	}
}

// stored is an account of the app, which is served.
func (k *keypad) stored(t *testing.T, c *coretest.Core) (account accounts.Account) {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	workspace, connection := c.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.com"})
	owner := c.Person(t, connection, directory.User{UserName: "ana@acme.example", DisplayName: "Ana"})
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := c.Accounts.CreateApp(ctx, tx, coretest.System(), workspace.ID, accounts.NewApp{
			Name: "Keypad", Domains: []string{strings.TrimPrefix(server.URL, "http://")}, SignInURL: server.URL + "/sign-in", Connector: "browser",
		})
		if err != nil {
			return err
		}
		account, err = c.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace.ID, accounts.NewAccount{
			App: made.ID, Username: "quay", Password: seal.NewSecret(first), Owner: owner.ID,
		})
		return err
	})
	return account
}
