package transmitter_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/webhooks/delivery"
	"postern/webhooks/transmitter"
)

// pushed makes a stream that is pushed to a receiver.
func (w *world) pushed(t testing.TB, to *httptest.Server) (*client, transmitter.Stream) {
	t.Helper()
	c := w.client(t, w.acme, transmitter.NewReceiver{})
	status, got := c.call(t, "POST", "/stream", map[string]any{
		"events_requested": []string{caep + "session-revoked"},
		"delivery":         map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": to.URL + "/push", "authorization_header": "Bearer of-the-receiver"},
	})
	if status != 201 {
		t.Fatalf("%d %v", status, got)
	}
	stream, err := w.service.StreamOf(t.Context(), w.DB, c.receiver.Workspace, c.receiver.ID)
	must(t, err)
	return c, stream
}

func (w *world) logout(t testing.TB, users ...core.ID) {
	t.Helper()
	for _, user := range users {
		_, err := w.Signals.LogOut(t.Context(), cause(), w.acme.workspace.ID, user)
		must(t, err)
	}
}

// A receiver that is down, says why not, or is right: tokens come in order, refused ones are put aside.
func TestPushing(t *testing.T) {
	w := newWorld(t)
	receiver, came := strict(t, func(n int, _ string, rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of-the-receiver" || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%v", r.Header)
		}
		switch n {
		case 1: // down
			rw.WriteHeader(http.StatusServiceUnavailable)
		case 2: // nothing is followed: the header would go with it
			http.Redirect(rw, r, "/elsewhere", http.StatusFound)
		case 3:
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"err":"invalid_audience","description":"not for me"}`))
		default:
			rw.WriteHeader(http.StatusAccepted)
		}
	})
	c, stream := w.pushed(t, receiver)
	carrier := w.service.Carrier()
	carrier.Schedule = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	w.deliveries.Carriers[transmitter.Kind] = carrier
	w.run(t)
	w.logout(t, w.acme.ana.ID, w.acme.ben.ID)
	var subjects, ids []string
	for range 4 {
		claims := c.open(t, <-came)
		subjects, ids = append(subjects, claims["sub_id"].(map[string]any)["email"].(string)), append(ids, claims["jti"].(string))
	}
	if subjects[0] != "ana@example.com" || subjects[2] != "ana@example.com" || subjects[3] != "ben@example.com" || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] {
		t.Errorf("%v %v", subjects, ids)
	}
	var letters []delivery.Delivery
	coretest.Until(t, "the second is taken", func() bool {
		found, err := w.deliveries.Backlog(t.Context(), w.DB, stream.Workspace, stream.ID)
		must(t, err)
		letters, err = w.deliveries.DeadLetters(t.Context(), w.DB, stream.Workspace, stream.ID, 10)
		must(t, err)
		return found.Waiting == 0
	})
	if len(letters) != 1 || letters[0].ID.String() != ids[0] || letters[0].Status != 400 || letters[0].Attempts != 3 {
		t.Fatalf("%+v", letters)
	}
	if _, err := w.service.Retry(t.Context(), cause(), stream.Workspace, c.receiver.ID, core.ID{}); err != nil {
		t.Fatal(err)
	}
	if claims := c.open(t, <-came); claims["jti"] != ids[0] {
		t.Errorf("a retry has another id: %v", claims["jti"])
	}
}

// A receiver that never answers is given up: nothing that waits is lost, and it goes on when it is enabled.
func TestAReceiverIsGivenUp(t *testing.T) {
	w := newWorld(t)
	var up atomic.Bool
	receiver, came := strict(t, func(_ int, _ string, rw http.ResponseWriter, _ *http.Request) {
		if up.Load() {
			rw.WriteHeader(http.StatusAccepted)
			return
		}
		rw.WriteHeader(http.StatusBadGateway)
	})
	c, stream := w.pushed(t, receiver)
	carrier := w.service.Carrier()
	carrier.Schedule = []time.Duration{time.Millisecond}
	w.deliveries.Carriers[transmitter.Kind] = carrier
	w.run(t)
	w.logout(t, w.acme.ana.ID)
	<-came
	<-came
	status := func() string {
		found, err := w.service.StreamOf(t.Context(), w.DB, stream.Workspace, c.receiver.ID)
		must(t, err)
		return found.Status()
	}
	coretest.Until(t, "it is disabled", func() bool { return status() == "disabled" })
	w.logout(t, w.acme.ben.ID)
	coretest.Until(t, "what happens meanwhile waits", func() bool {
		found, err := w.deliveries.Backlog(t.Context(), w.DB, stream.Workspace, stream.ID)
		must(t, err)
		return found.Waiting == 1 && found.Dead == 1
	})
	up.Store(true)
	_, err := w.service.SetStatus(t.Context(), cause(), stream.Workspace, c.receiver.ID, "enabled", "")
	must(t, err)
	if claims := c.open(t, <-came); claims["sub_id"].(map[string]any)["email"] != "ben@example.com" {
		t.Errorf("%v", claims)
	}
}

// Killed after the receiver has it and before we know: it comes again, and is the same.
func TestKilledBetweenEffectAndRecord(t *testing.T) {
	w := newWorld(t)
	receiver, came := strict(t, func(_ int, _ string, rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) })
	c, stream := w.pushed(t, receiver)
	carrier := w.service.Carrier()
	dead := make(chan struct{})
	first := &delivery.Deliveries{DB: w.DB, Now: w.deliveries.Now, Look: 10 * time.Millisecond, Carriers: map[string]delivery.Carrier{transmitter.Kind: {
		Schedule: carrier.Schedule, Carry: func(ctx context.Context, lane delivery.Lane, one delivery.Delivery) delivery.Outcome {
			carrier.Carry(ctx, lane, one)
			close(dead)
			select {} // never comes back, like a process that was killed
		},
	}}}
	ctx, kill := context.WithCancel(t.Context())
	go func() { _ = first.Run(ctx) }()
	w.run(t, w.follower.Run)
	w.logout(t, w.acme.ana.ID, w.acme.ben.ID)
	one := c.open(t, <-came)
	<-dead
	kill()
	w.run(t, w.deliveries.Run)
	w.ahead.Store(int64(5 * time.Minute)) // the lease of the dead runs out
	again := c.open(t, <-came)
	if one["jti"] != again["jti"] {
		t.Errorf("%v and %v", one["jti"], again["jti"])
	}
	if next := c.open(t, <-came); next["sub_id"].(map[string]any)["email"] != "ben@example.com" {
		t.Errorf("%v", next)
	}
	coretest.Until(t, "all is delivered", func() bool {
		found, err := w.deliveries.Backlog(t.Context(), w.DB, stream.Workspace, stream.ID)
		must(t, err)
		return found.Waiting == 0
	})
}

// Following is one transaction: heard again from the same place, nothing is there twice.
func TestFollowingTwiceTellsOnce(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{})
	c.call(t, "POST", "/stream", map[string]any{})
	w.logout(t, w.acme.ana.ID)
	coretest.Until(t, "it is heard", func() bool {
		_, err := w.follower.Step(t.Context(), w.DB)
		must(t, err)
		return w.backlog(t, c.receiver) == 1
	})
	_, err := w.DB.Exec(t.Context(), `update cursors set position = 0 where name = 'deliveries'`)
	must(t, err)
	_, err = w.follower.Step(t.Context(), w.DB)
	must(t, err)
	if got := w.backlog(t, c.receiver); got != 1 {
		t.Fatalf("%d messages of one event", got)
	}
}
