package sms_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/mailbox"
	"postern/core/seal"
	"postern/webhooks/sms"
)

const (
	number = "+4930123456"
	token  = "12345678901234567890abcdefcanary"
)

type world struct {
	*coretest.Core
	boxes   *mailbox.Mailboxes
	service *sms.Service
	engine  *gin.Engine
}

// side is a workspace with a number, which its neighbour has too, and a provider of each kind.
type side struct {
	workspace core.ID
	ana       directory.User
	account   accounts.Account
	twilio    core.ID
	standard  core.ID
	secret    seal.Secret
}

func open(t *testing.T) (*world, side, side) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	w := &world{Core: coretest.Open(t, nil), engine: gin.New()}
	w.boxes = &mailbox.Mailboxes{DB: w.DB, Accounts: w.Accounts, Vault: w.Vault, Options: mailbox.Options{Hourly: 10, Pause: 10 * time.Millisecond}}
	w.service = &sms.Service{Mailboxes: w.boxes, PublicURL: "https://postern.example.com/"}
	w.service.Mount(w.engine)
	return w, w.side(t, "acme"), w.side(t, "globex")
}

func (w *world) side(t *testing.T, slug string) side {
	t.Helper()
	made, connection := w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.com"})
	s := side{workspace: made.ID, ana: w.Person(t, connection, directory.User{UserName: "ana@" + slug + ".example", DisplayName: "Ana"})}
	s.account = w.SharedAccounts(t, s.ana)[0]
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := w.boxes.AssignPhone(ctx, tx, coretest.System(), made.ID, s.account.ID, number); err != nil {
			return err
		}
		one, _, err := w.boxes.CreateProvider(ctx, tx, coretest.System(), made.ID, mailbox.Twilio, "Twilio", seal.NewSecret(token+slug))
		if err != nil {
			return err
		}
		other, secret, err := w.boxes.CreateProvider(ctx, tx, coretest.System(), made.ID, mailbox.Standard, "Other", seal.Secret{})
		s.twilio, s.standard, s.secret = one.ID, other.ID, secret
		return err
	})
	return s
}

func (w *world) post(t *testing.T, address, body string, header http.Header) int {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, strings.TrimPrefix(address, "https://postern.example.com"), strings.NewReader(body))
	request.Header = header
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	return recorder.Code
}

// signed is what Twilio sends: https://www.twilio.com/docs/usage/security#validating-requests.
func signed(address, secret string, form url.Values) http.Header {
	names := []string{}
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	text := address
	for _, name := range names {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
}

func sent(id, to, body string) url.Values {
	return url.Values{"MessageSid": {id}, "From": {"+15550100"}, "To": {to}, "Body": {body}, "NumMedia": {"0"}}
}

func (w *world) count(t *testing.T, s side) int {
	t.Helper()
	return w.Count(t, s.workspace, `select count(*) from messages where workspace_id = @workspace`, nil)
}

func TestTwilio(t *testing.T) {
	w, acme, globex := open(t)
	address := w.service.URL(acme.workspace, acme.twilio)
	form := sent("SM1", number, "Your code is 482913")
	right := signed(address, token+"acme", form)
	for what, one := range map[string]struct {
		address, body string
		header        http.Header
	}{
		"unsigned":                        {address, form.Encode(), http.Header{}},
		"garbage":                         {address, form.Encode(), http.Header{"X-Twilio-Signature": {"%%%"}}},
		"of another secret":               {address, form.Encode(), signed(address, token+"globex", form)},
		"of another body":                 {address, sent("SM1", number, "Your code is 482914").Encode(), right},
		"of another address":              {address, form.Encode(), signed(w.service.URL(globex.workspace, globex.twilio), token+"acme", form)},
		"with a query":                    {address + "?x=1", form.Encode(), right},
		"no form":                         {address, "%zz", right},
		"another workspace's provider":    {w.service.URL(acme.workspace, globex.twilio), form.Encode(), right},
		"a provider that is none":         {w.service.URL(acme.workspace, core.NewID()), form.Encode(), right},
		"as if it were the other kind":    {w.service.URL(acme.workspace, acme.standard), form.Encode(), right},
		"at an address that is no id":     {"/webhooks/sms/x/y", form.Encode(), right},
		"of a workspace that is no other": {w.service.URL(core.NewID(), acme.twilio), form.Encode(), right},
	} {
		if status := w.post(t, one.address, one.body, one.header); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	if status := w.post(t, address, strings.Repeat("x", 70_000), right); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	if w.count(t, acme) != 0 {
		t.Fatal("a stranger's message was taken")
	}
	ask, err := w.boxes.Codes(t.Context(), w.DB, acme.workspace, acme.account.ID)
	coretest.Must(t, err)
	for range 3 { // once, and replayed
		if status := w.post(t, address, form.Encode(), right); status != http.StatusNoContent {
			t.Fatal(status)
		}
	}
	code, err := ask(t.Context())
	if err != nil || code.Reveal() != "482913" || w.count(t, acme) != 1 || w.count(t, globex) != 0 {
		t.Errorf("%q, %v; %d messages, and %d of the neighbour", code.Reveal(), err, w.count(t, acme), w.count(t, globex))
	}
	// Twilio may sign the address with its port.
	other := sent("SM2", number, "Another code: 482914")
	if status := w.post(t, address, other.Encode(), signed(strings.Replace(address, ".com/", ".com:443/", 1), token+"acme", other)); status != http.StatusNoContent {
		t.Errorf("with the port: %d", status)
	}
	for what, one := range map[string]struct {
		form url.Values
		want int
	}{
		"a number nobody has": {sent("SM3", "+4930999999", "code 1234"), 404},
		"no number":           {sent("SM4", "garbage", "code 1234"), 400},
		"no id":               {sent("", number, "code 1234"), 400},
		"nothing said":        {sent("SM5", number, ""), 204},
		"NUL and no UTF-8":    {sent("SM6", number, "\x00\xff code 1234"), 204},
	} {
		if status := w.post(t, address, one.form.Encode(), signed(address, token+"acme", one.form)); status != one.want {
			t.Errorf("%s: %d", what, status)
		}
	}
	for n := range 20 {
		form := sent("F"+strconv.Itoa(n), number, "code 1234")
		if status := w.post(t, address, form.Encode(), signed(address, token+"acme", form)); status != 204 && status != 429 {
			t.Errorf("%d: %d", n, status)
		}
	}
	if w.count(t, acme) != 10 {
		t.Errorf("%d of a flood were taken", w.count(t, acme))
	}
	coretest.Must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return w.boxes.RemoveProvider(t.Context(), tx, coretest.System(), acme.workspace, acme.twilio)
	}))
	if status := w.post(t, address, form.Encode(), right); status != http.StatusUnauthorized {
		t.Errorf("a provider that was removed: %d", status)
	}
}

func TestStandardWebhooks(t *testing.T) {
	w, acme, globex := open(t)
	address := w.service.URL(acme.workspace, acme.standard)
	header := func(secret seal.Secret, id string, at time.Time, body string) http.Header {
		t.Helper()
		signer, err := standardwebhooks.NewWebhook(secret.Reveal())
		coretest.Must(t, err)
		signature, err := signer.Sign(id, at, []byte(body))
		coretest.Must(t, err)
		return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
	}
	body := `{"type":"sms.received","data":{"from":"+15550100","to":"` + number + `","text":"Your code is 551234\n\n@evil.example.net #551234"}}`
	now := time.Now()
	for what, one := range map[string]http.Header{
		"unsigned": {}, "of the neighbour": header(globex.secret, "m1", now, body), "old": header(acme.secret, "m1", now.Add(-6*time.Minute), body),
		"of another body": header(acme.secret, "m1", now, body+" "),
	} {
		if status := w.post(t, address, body, one); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	for range 2 {
		if status := w.post(t, address, body, header(acme.secret, "m1", now, body)); status != http.StatusNoContent {
			t.Fatal(status)
		}
	}
	list, err := w.boxes.List(t.Context(), w.DB, acme.workspace, acme.account.ID, 0, 10)
	coretest.Must(t, err)
	if len(list) != 1 || list[0].Code || list[0].Origin != "evil.example.net" || list[0].Kind != mailbox.SMS || list[0].Sender != "+15550100" {
		t.Errorf("%+v", list)
	}
	if status := w.post(t, address, "garbage", header(acme.secret, "m2", now, "garbage")); status != http.StatusBadRequest {
		t.Errorf("garbage: %d", status)
	}
	if w.count(t, globex) != 0 {
		t.Error("the neighbour was sent something")
	}
}

func TestWhoIsAProvider(t *testing.T) {
	w, acme, globex := open(t)
	create := func(by core.Cause, kind, name, secret string) error {
		return w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			given := seal.Secret{}
			if secret != "" {
				given = seal.NewSecret(secret)
			}
			_, _, err := w.boxes.CreateProvider(t.Context(), tx, by, acme.workspace, kind, name, given)
			return err
		})
	}
	coretest.Wants(t, create(core.NewCause(acme.ana.Actor(), time.Now()), mailbox.Twilio, "x", token), core.KindDenied, "not_administrator")
	for field, one := range map[string][3]string{
		"kind": {"carrier", "x", token}, "name": {mailbox.Twilio, " ", token}, "secret": {mailbox.Twilio, "x", ""},
	} {
		coretest.Wants(t, create(coretest.System(), one[0], one[1], one[2]), core.KindInvalid, field)
	}
	coretest.Wants(t, create(coretest.System(), mailbox.Standard, "x", "whsec_no base64 at all"), core.KindInvalid, "secret")
	coretest.Wants(t, create(coretest.System(), mailbox.Standard, "x", token), core.KindInvalid, "secret")
	coretest.Wants(t, create(coretest.System(), mailbox.Twilio, "Twilio", token), core.KindConflict, "sms_provider_name")
	coretest.Wants(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return w.boxes.RemoveProvider(t.Context(), tx, coretest.System(), acme.workspace, globex.twilio)
	}), core.KindNotFound, "")
	list, err := w.boxes.Providers(t.Context(), w.DB, acme.workspace)
	if err != nil || len(list) != 2 || list[0].Name != "Other" || list[1].Name != "Twilio" {
		t.Errorf("%+v, %v", list, err)
	}
	for table, rows := range w.Snapshot(t, acme.workspace, "sms_providers", "audit_outbox") {
		if strings.Contains(rows, token) || strings.Contains(rows, acme.secret.Reveal()) {
			t.Errorf("%s holds a secret in clear", table)
		}
	}
}
