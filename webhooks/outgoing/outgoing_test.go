package outgoing_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/connectors/guard"
	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

func TestMessagesAreStandardWebhooks(t *testing.T) {
	w := newWorld(t)
	users := w.create(t, w.acme, outgoing.Webhook{Name: "users", Types: []string{"user.*"}})
	other := w.create(t, w.globex, outgoing.Webhook{Name: "other"})
	w.follow(t)
	event := w.happens(t, w.acme, core.UserLoggedOut, "ümlaut <&>")
	w.happens(t, w.acme, core.SinkPaused, "not asked for")
	w.follow(t)
	w.deliver(t, "delivered", func() bool {
		found := w.messages(t, w.acme, users.ID)
		return len(found) == 1 && found[0].State == "delivered"
	})
	// The other workspace's webhook is told of what happens there, meanwhile.
	only := func() got {
		t.Helper()
		var ours []got
		for _, one := range w.receiver.take() {
			if one.path == "/users" {
				ours = append(ours, one)
			} else if strings.Contains(string(one.body), w.acme.String()) {
				t.Errorf("globex is told of acme: %s", one.body)
			}
		}
		if len(ours) != 1 {
			t.Fatalf("%d messages", len(ours))
		}
		return ours[0]
	}
	ours := only()
	must(t, verify(t, users.Secret, ours))
	if verify(t, other.Secret, ours) == nil {
		t.Fatal("another secret verifies it")
	}
	var body struct {
		Type      string
		Timestamp time.Time
		Data      core.Event
	}
	must(t, json.Unmarshal(ours.body, &body))
	if body.Type != "user.logged_out" || !body.Timestamp.Equal(event.Occurred) || body.Data.ID != event.ID || body.Data.Data["note"] != "ümlaut <&>" ||
		ours.header.Get("Webhook-Id") != event.ID.String() {
		t.Fatalf("%+v", body)
	}
	attempts, err := w.service.Attempts(t.Context(), w.db, w.acme, users.ID, event.ID)
	must(t, err)
	if len(attempts) != 1 || attempts[0].Status != 204 || attempts[0].Took <= 0 {
		t.Fatalf("%+v", attempts)
	}

	// A large event is told shortened, in less than 20 kB.
	large := w.happens(t, w.acme, core.UserLoggedOut, strings.Repeat("x", 40_000))
	w.follow(t)
	w.deliver(t, "delivered", func() bool { return w.messages(t, w.acme, users.ID)[0].State == "delivered" })
	if one := only(); len(one.body) > outgoing.MaxBody || !strings.Contains(string(one.body), large.ID.String()) || !strings.Contains(string(one.body), `"shortened":true`) {
		t.Fatalf("%d bytes", len(one.body))
	}
	// Nothing of acme's is globex's.
	for what, err := range map[string]error{
		"read":   func() error { _, err := w.service.Webhook(t.Context(), w.db, w.globex, users.ID); return err }(),
		"list":   func() error { _, err := w.service.Messages(t.Context(), w.db, w.globex, users.ID, "", 1); return err }(),
		"rotate": func() error { _, err := w.service.Rotate(t.Context(), cause(), w.globex, users.ID, 0); return err }(),
		"test":   func() error { _, err := w.service.Test(t.Context(), w.globex, users.ID); return err }(),
		"resend": w.service.Resend(t.Context(), cause(), w.globex, users.ID, event.ID),
		"delete": w.service.Delete(t.Context(), cause(), w.globex, users.ID),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSecretsRotate(t *testing.T) {
	w := newWorld(t)
	first := w.create(t, w.acme, outgoing.Webhook{Name: "v1", Types: []string{"user.*"}})
	second, err := w.service.Rotate(t.Context(), cause(), w.acme, first.ID, time.Hour)
	must(t, err)
	send := func() got {
		t.Helper()
		id, err := w.service.Test(t.Context(), w.acme, first.ID)
		must(t, err)
		w.deliver(t, "the test event", func() bool {
			found := w.messages(t, w.acme, first.ID)
			return found[0].ID == id && found[0].State == "delivered"
		})
		return w.receiver.take()[0]
	}
	one := send()
	must(t, verify(t, first.Secret, one))
	must(t, verify(t, second.Secret, one))
	if !strings.Contains(string(one.body), `"type":"webhook.test"`) {
		t.Fatalf("%s", one.body)
	}
	w.ahead.Store(int64(2 * time.Hour))
	late := send()
	if list := strings.Fields(late.header.Get("Webhook-Signature")); len(list) != 1 {
		t.Fatal(list)
	}

	own := w.create(t, w.acme, outgoing.Webhook{Name: "v1a", Scheme: outgoing.Asymmetric, Types: []string{"user.*"}})
	_, err = w.service.Test(t.Context(), w.acme, own.ID)
	must(t, err)
	w.deliver(t, "v1a", func() bool { return w.messages(t, w.acme, own.ID)[0].State == "delivered" })
	one = w.receiver.take()[0]
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(own.Secret.Reveal(), "whpk_"))
	must(t, err)
	signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one.header.Get("Webhook-Signature"), "v1a,"))
	must(t, err)
	if !ed25519.Verify(public, []byte(one.header.Get("Webhook-Id")+"."+one.header.Get("Webhook-Timestamp")+"."+string(one.body)), signature) {
		t.Fatal("the Ed25519 signature is wrong")
	}
}

func TestScheduleAndDisabling(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.acme, outgoing.Webhook{Name: "down", Types: []string{"user.*"}})
	event := w.happens(t, w.acme, core.UserLoggedOut, "")
	w.follow(t)
	w.receiver.says(func(got) (int, string) { return 503, "" })
	waits := append(delivery.Standard(), 0)
	for i, wait := range waits {
		w.deliver(t, "an attempt", func() bool { return w.messages(t, w.acme, made.ID)[0].Attempts == i+1 })
		one := w.messages(t, w.acme, made.ID)[0]
		if i == len(waits)-1 {
			break
		}
		now := time.Now().Add(time.Duration(w.ahead.Load()))
		if left := one.Next.Sub(now); one.State != "waiting" || left > wait*11/10+time.Second || left < wait-15*time.Second {
			t.Fatalf("attempt %d: next in %v, want about %v", i+1, left, wait)
		}
		w.ahead.Add(int64(wait*11/10 + time.Second))
	}
	if one := w.state(t, w.acme, made.ID); one.State != delivery.Disabled || w.messages(t, w.acme, made.ID)[0].State != "dead" {
		t.Fatalf("%+v", one)
	}
	sent := w.receiver.take()
	if len(sent) != 10 {
		t.Fatalf("%d attempts", len(sent))
	}
	for _, one := range sent {
		if one.header.Get("Webhook-Id") != event.ID.String() {
			t.Fatal("the id changed")
		}
	}
	w.follow(t)
	var told int
	must(t, w.db.QueryRow(t.Context(), `select count(*) from audit_log where workspace_id = @workspace and type = @type`,
		pgx.StrictNamedArgs{"workspace": w.acme, "type": core.DeliveryDisabled}).Scan(&told))
	if told != 1 {
		t.Fatal("nobody is told that the webhook is disabled")
	}

	// It runs again, and what was given up is sent again under the same id.
	w.receiver.says(status(200))
	_, err := w.service.SetState(t.Context(), cause(), w.acme, made.ID, delivery.Running, "")
	must(t, err)
	must(t, w.service.Resend(t.Context(), cause(), w.acme, made.ID, event.ID))
	w.deliver(t, "the message sent again", func() bool { return w.messages(t, w.acme, made.ID)[0].State == "delivered" })
	if again := w.receiver.take(); len(again) != 1 || again[0].header.Get("Webhook-Id") != event.ID.String() {
		t.Fatalf("%+v", again)
	}
	// So is everything since a time.
	w.happens(t, w.acme, core.UserLoggedOut, "second")
	w.follow(t)
	w.deliver(t, "the second", func() bool { return w.messages(t, w.acme, made.ID)[0].State == "delivered" })
	w.receiver.take()
	count, err := w.service.Replay(t.Context(), cause(), w.acme, made.ID, event.Occurred)
	must(t, err)
	w.deliver(t, "all of it", func() bool {
		for _, one := range w.messages(t, w.acme, made.ID) {
			if one.State != "delivered" {
				return false
			}
		}
		return true
	})
	if got := w.receiver.take(); count != 2 || len(got) != 2 {
		t.Fatalf("%d, %d", count, len(got))
	}
}

func TestAnswersOfEndpoints(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.acme, outgoing.Webhook{Name: "busy", Types: []string{"user.*"}})
	w.happens(t, w.acme, core.UserLoggedOut, "")
	w.follow(t)
	w.receiver.says(func(got) (int, string) { return 429, "600" })
	began := time.Now()
	w.deliver(t, "429", func() bool { return w.messages(t, w.acme, made.ID)[0].Attempts == 1 })
	if next := w.messages(t, w.acme, made.ID)[0].Next; next.Before(began.Add(600 * time.Second)) {
		t.Fatal("Retry-After is not honoured", next)
	}
	w.ahead.Add(int64(700 * time.Second))
	w.receiver.says(status(302))
	w.deliver(t, "302", func() bool { return w.messages(t, w.acme, made.ID)[0].Attempts == 2 })
	for _, one := range w.receiver.take() {
		if one.path == "/elsewhere" {
			t.Fatal("a redirect was followed")
		}
	}
	w.ahead.Add(int64(time.Hour))
	w.receiver.says(status(410))
	w.deliver(t, "410", func() bool { return w.state(t, w.acme, made.ID).State == delivery.Disabled })

	w.service.AllowPrivate = false
	for _, address := range []string{"http://example.com/", "https://user:pass@example.com/", "ftp://example.com", "/x"} {
		if _, err := w.service.Create(t.Context(), cause(), outgoing.Webhook{Workspace: w.acme, Name: "bad", Address: address}); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := w.service.Create(t.Context(), cause(), outgoing.Webhook{Workspace: w.acme, Name: "bad", Address: "https://example.com", Types: []string{"nothing.*"}}); core.KindOf(err) != core.KindInvalid {
		t.Error(err)
	}
	if _, err := w.service.Create(t.Context(), cause(), outgoing.Webhook{Workspace: w.acme, Name: "busy", Address: "https://example.com"}); core.KindOf(err) != core.KindConflict {
		t.Error(err)
	}
}

// resolver knows names, and calls no server.
type resolver map[string]string

func (r resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(r[host])}, nil
}

// What is public by its name or its first answer leads nowhere inside: the name is judged by what it resolves to,
// and nobody is followed who redirects.
func TestNoMessageIsLedInside(t *testing.T) {
	w := newWorld(t)
	inside, err := url.Parse(w.receiver.URL)
	must(t, err)
	outside := httptest.NewServer(http.RedirectHandler(w.receiver.URL+"/inside", http.StatusTemporaryRedirect))
	defer outside.Close()
	names := resolver{"inside.example": "127.0.0.1", "far.example": "10.1.2.3"}
	strict := guard.Dialer{Resolver: names}
	w.service.HTTP = guard.Client(guard.Options{Resolver: names})
	for name, address := range map[string]string{"a name": "http://inside.example:" + inside.Port(), "another": "http://far.example/"} {
		made := w.create(t, w.acme, outgoing.Webhook{Name: name, Address: address})
		w.happens(t, w.acme, core.UserLoggedOut, "")
		w.follow(t)
		w.deliver(t, name, func() bool { return w.messages(t, w.acme, made.ID)[0].Attempts == 1 })
		if said := w.state(t, w.acme, made.ID).LastError; !strings.Contains(said, "private addresses are not allowed") {
			t.Errorf("%s: %s", name, said)
		}
		must(t, w.service.Delete(t.Context(), cause(), w.acme, made.ID))
	}
	// A public host, which this machine has none of, is played by a dialer that lets one name through.
	w.service.HTTP = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "outside.example:") {
			return new(net.Dialer).DialContext(ctx, network, outside.Listener.Addr().String())
		}
		return strict.DialContext(ctx, network, address)
	}}}
	made := w.create(t, w.acme, outgoing.Webhook{Name: "redirects", Address: "http://outside.example/"})
	w.happens(t, w.acme, core.UserLoggedOut, "")
	w.follow(t)
	w.deliver(t, "a redirect", func() bool { return w.messages(t, w.acme, made.ID)[0].Attempts == 1 })
	if said := w.messages(t, w.acme, made.ID)[0]; said.Status != http.StatusTemporaryRedirect || said.State != "waiting" {
		t.Errorf("%+v", said)
	}
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("it reached %s", got[0].path)
	}
}

// A process that dies after it sent and before it knew so sends again, under the same id.
func TestKilledBetweenSendAndRecord(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.acme, outgoing.Webhook{Name: "twice", Types: []string{"user.*"}})
	event := w.happens(t, w.acme, core.UserLoggedOut, "")
	w.follow(t)
	lane, err := w.deliveries.Lane(t.Context(), w.db, w.acme, made.ID)
	must(t, err)
	waiting, err := w.deliveries.Waiting(t.Context(), w.db, w.acme, made.ID, 1)
	must(t, err)
	w.service.Carrier().Carry(t.Context(), lane, waiting[0]) // and no more: nothing is settled
	w.deliver(t, "the second time", func() bool { return w.messages(t, w.acme, made.ID)[0].State == "delivered" })
	sent := w.receiver.take()
	if len(sent) != 2 || sent[0].header.Get("Webhook-Id") != event.ID.String() || sent[1].header.Get("Webhook-Id") != event.ID.String() {
		t.Fatalf("%d messages", len(sent))
	}
}
