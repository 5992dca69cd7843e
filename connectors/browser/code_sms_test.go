package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core/coretest"
	"postern/core/mailbox"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/webhooks/sms"
)

// Postern signs in to an app that texts a code: the browser gives the password, the app has a message sent, the provider hands it
// over by a signed webhook, and the browser enters what it says. What nobody signed is no message. Each sign-in has a code of its own.
func TestATextedCodeSignsIn(t *testing.T) {
	const number = "+4930123456"
	b := connector(t)
	c := coretest.Open(t, nil)
	boxes := &mailbox.Mailboxes{DB: c.DB, Accounts: c.Accounts, Vault: c.Vault}
	c.Rotations.Connectors, c.Rotations.Inbox, c.Rotations.AllowPrivate = rotation.Connectors{"browser": b}, boxes, true
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	service := &sms.Service{Mailboxes: boxes}
	service.Mount(engine)
	gateway := httptest.NewServer(engine)
	t.Cleanup(gateway.Close)
	service.PublicURL = gateway.URL + "/"

	app := &keypad{said: "Sign-in failed: %s."}
	account := app.stored(t, c)
	var provider mailbox.Provider
	var secret seal.Secret
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err = boxes.AssignPhone(ctx, tx, coretest.System(), account.Workspace, account.ID, number); err == nil {
			provider, secret, err = boxes.CreateProvider(ctx, tx, coretest.System(), account.Workspace, mailbox.Standard, "Carrier", seal.Secret{})
		}
		return err
	})
	signer, err := standardwebhooks.NewWebhook(secret.Reveal())
	coretest.Must(t, err)
	stranger, err := standardwebhooks.NewWebhook("whsec_" + strings.Repeat("A", 32))
	coretest.Must(t, err)
	hand := func(id, text string, signer *standardwebhooks.Webhook, want int) {
		body := []byte(fmt.Sprintf(`{"type":"sms.received","data":{"from":"Keypad","to":%q,"text":%q}}`, number, text))
		at := time.Now()
		signature, err := signer.Sign(id, at, body)
		if err != nil {
			t.Error(err)
			return
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.URL(account.Workspace, provider.ID), strings.NewReader(string(body)))
		if err != nil {
			t.Error(err)
			return
		}
		for name, value := range map[string]string{"Webhook-Id": id, "Webhook-Timestamp": fmt.Sprint(at.Unix()), "Webhook-Signature": signature, "Content-Type": "application/json"} {
			request.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s was answered with %d", id, answer.StatusCode)
		}
	}
	hand("before", "Your verification code is 111111.", signer, http.StatusNoContent) // of another sign-in
	var sent atomic.Int64
	app.send = func() {
		app.code = fmt.Sprint(135790 + sent.Add(1))
		go func(code string) {
			hand("strange "+code, "Your Keypad code is 222222.", stranger, http.StatusUnauthorized)
			hand("right "+code, "Your Keypad code is "+code+". It is good for 10 minutes.", signer, http.StatusNoContent)
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
