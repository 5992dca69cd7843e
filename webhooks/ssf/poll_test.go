package ssf_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/signals"
	"postern/webhooks/ssf"
)

// running runs a process's poller until stop.
func running(t testing.TB, service *ssf.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return stop
}

func TestAPolledStream(t *testing.T) {
	w := newWorld(t)
	stream := w.create(t, w.acme, w.wanted(w.acme, ssf.Poll))
	theirs := w.create(t, w.globex, w.wanted(w.globex, ssf.Poll))
	if stream.PollURL == "" || len(stream.PushHashes) != 0 {
		t.Fatalf("%+v", stream)
	}
	for range 5 { // more than are told at a time
		w.tx.send(stream.RemoteID, ended(), email(w.acme.ana.Email))
	}
	w.tx.send(stream.RemoteID, ended(), email("nobody@nowhere.example"))
	wrong := map[string]string{}
	w.tx.locked(func() {
		one := w.tx.streams[stream.RemoteID]
		claims := w.tx.claims(one, ended(), email(w.acme.ben.Email))
		claims["aud"] = "https://elsewhere.example"
		wrong[w.tx.queue(one, w.tx.mint(claims))] = "invalid_audience"
		wrong[w.tx.queue(one, w.tx.sign(map[string]any{"typ": "JWT"}, w.tx.claims(one, ended(), email(w.acme.ben.Email)), "rs256"))] = "invalid_request"
		wrong[w.tx.queue(one, w.tx.sign(map[string]any{"typ": "secevent+jwt"}, w.tx.claims(one, ended(), email(w.acme.ben.Email)), "other-key"))] = "authentication_failed"
		// Listed under another jti than its own.
		one.queue["forged"], one.order = w.tx.mint(w.tx.claims(one, ended(), email(w.acme.ben.Email))), append(one.order, "forged")
		wrong["forged"] = "invalid_request"
	})
	w.tx.send(theirs.RemoteID, ended(), email(w.globex.ana.Email))
	running(t, w.service)
	coretest.Until(t, "both streams are read", func() bool { return w.tx.waiting(stream.RemoteID)+w.tx.waiting(theirs.RemoteID) == 0 })
	w.tx.locked(func() {
		for jti, code := range wrong {
			if said := w.tx.streams[stream.RemoteID].refused[jti]; said["err"] != code || said["description"] == "" {
				t.Errorf("%s was refused by %v, not %s", jti, said, code)
			}
		}
		if refused := len(w.tx.streams[stream.RemoteID].refused); refused != len(wrong) {
			t.Errorf("%d were refused", refused)
		}
	})
	if w.signedIn(t, w.acme, w.acme.ana) || w.signedIn(t, w.globex, w.globex.ana) || !w.signedIn(t, w.acme, w.acme.ben) || !w.signedIn(t, w.globex, w.globex.ben) {
		t.Error("not those who were meant, or others")
	}
	outcomes := map[signals.Outcome]int{}
	for _, one := range w.Receipts(t, w.acme.workspace.ID) {
		outcomes[one.Outcome]++
		if one.Door != signals.SSFPoll {
			t.Errorf("by %s", one.Door)
		}
	}
	if outcomes[signals.Done] != 1 || outcomes[signals.Duplicate] != 4 || outcomes[signals.Nobody] != 1 || len(w.Receipts(t, w.globex.workspace.ID)) != 1 {
		t.Errorf("%v", outcomes)
	}
	if now := w.stream(t, w.acme, stream.ID); now.Verified == nil || now.LastEvent == nil || now.LastErrorStage == "" {
		t.Errorf("%+v", now)
	}
}

// The process dies after a token's effect and before its acknowledgement: the token comes again, and has one effect.
func TestKilledBetweenEffectAndAcknowledgement(t *testing.T) {
	w := newWorld(t)
	stream := w.create(t, w.acme, w.wanted(w.acme, ssf.Poll))
	theirs := w.create(t, w.globex, w.wanted(w.globex, ssf.Poll))
	jti := w.tx.send(stream.RemoteID, ended(), email(w.acme.ana.Email))
	w.tx.send(theirs.RemoteID, ended(), email(w.globex.ana.Email))
	first := w.process(w.tx.Client())
	ctx, kill := context.WithCancel(t.Context())
	var acknowledged atomic.Int32
	w.tx.onPoll = func(acks []string) bool {
		for _, one := range acks {
			if one == jti {
				acknowledged.Add(1)
				kill()
				return false // nothing of it is noted
			}
		}
		return true
	}
	must(t, first.Run(ctx))
	if acknowledged.Load() == 0 || w.signedIn(t, w.acme, w.acme.ana) || w.tx.waiting(stream.RemoteID) == 0 {
		t.Fatal("it was not killed in between")
	}
	// A process that is killed gives nothing back: its lease has to end.
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update streams set lease_owner = @owner, lease_until = now() + interval '1 second' where workspace_id = @workspace`,
			pgx.StrictNamedArgs{"owner": core.NewID(), "workspace": w.acme.workspace.ID})
		return err
	})
	w.signIn(t, &w.acme, w.acme.ana)
	w.tx.onPoll = nil
	running(t, w.process(w.tx.Client()))
	coretest.Until(t, "the token is acknowledged", func() bool { return w.tx.waiting(stream.RemoteID)+w.tx.waiting(theirs.RemoteID) == 0 })
	if got := len(w.Receipts(t, w.acme.workspace.ID)); got != 1 || !w.signedIn(t, w.acme, w.acme.ana) {
		t.Errorf("%d receipts; signed in anew: %v", got, w.signedIn(t, w.acme, w.acme.ana))
	}
	if got := len(w.Receipts(t, w.globex.workspace.ID)); got != 1 {
		t.Errorf("%d receipts of the other workspace", got)
	}
}

func TestOneProcessPollsAStream(t *testing.T) {
	w := newWorld(t)
	stream := w.create(t, w.acme, w.wanted(w.acme, ssf.Poll))
	w.create(t, w.globex, w.wanted(w.globex, ssf.Poll))
	var under, most, polls atomic.Int32
	client := *w.tx.Client()
	client.Transport = counting{func(stop bool) {
		if stop {
			under.Add(-1)
			return
		}
		polls.Add(1)
		for now := under.Add(1); ; {
			if before := most.Load(); now <= before || most.CompareAndSwap(before, now) {
				return
			}
		}
	}, w.tx.URL + "/tx/poll?stream_id=" + stream.RemoteID}
	var stops []func()
	for range 3 {
		stops = append(stops, running(t, w.process(&client)))
	}
	coretest.Until(t, "polls", func() bool { return polls.Load() > 20 })
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
	// Whoever has it stops: another goes on, at once.
	stops[0]()
	stops[1]()
	seen := polls.Load()
	coretest.Until(t, "polls by the last one", func() bool { return polls.Load() > seen+5 })
}

func TestPollingThatFails(t *testing.T) {
	w := newWorld(t)
	stream := w.create(t, w.acme, w.wanted(w.acme, ssf.Poll))
	healthy := w.create(t, w.globex, w.wanted(w.globex, ssf.Poll))
	w.tx.locked(func() { w.tx.broken["/tx/poll"] = 502 })
	running(t, w.service)
	coretest.Until(t, "the failure shows", func() bool { return len(w.events(t, w.acme, core.StreamFailing)) == 1 })
	now := w.stream(t, w.acme, stream.ID)
	if now.Failures < 3 || now.LastErrorStage != "poll" || now.LastError != "polling: the transmitter answers 502" {
		t.Errorf("%d, %q at %q", now.Failures, now.LastError, now.LastErrorStage)
	}
	w.tx.locked(func() { clear(w.tx.broken) })
	w.tx.send(stream.RemoteID, ended(), email(w.acme.ana.Email))
	w.tx.send(healthy.RemoteID, ended(), email(w.globex.ana.Email))
	coretest.Until(t, "it goes on", func() bool {
		now := w.stream(t, w.acme, stream.ID)
		return w.tx.waiting(stream.RemoteID)+w.tx.waiting(healthy.RemoteID) == 0 && now.Failures == 0 && now.LastError == "" && len(w.events(t, w.acme, core.StreamRecovered)) == 1
	})
	// The status is the transmitter's to change; what it keeps is read once it goes on.
	w.tx.send(stream.RemoteID, map[string]any{"https://schemas.openid.net/secevent/ssf/event-type/stream-updated": map[string]any{"status": "paused"}},
		map[string]any{"format": "opaque", "id": stream.RemoteID})
	coretest.Until(t, "paused", func() bool { return w.stream(t, w.acme, stream.ID).Status == ssf.Paused })
	// The key of a token is not known yet: it waits, and is not refused for good.
	var odd string
	w.tx.locked(func() {
		one := w.tx.streams[stream.RemoteID]
		odd = w.tx.queue(one, w.tx.sign(map[string]any{"typ": "secevent+jwt", "kid": "tomorrow"}, w.tx.claims(one, ended(), email(w.acme.ben.Email)), "rs256"))
	})
	coretest.Until(t, "the key is missed", func() bool { return w.stream(t, w.acme, stream.ID).LastErrorStage == "key" })
	w.tx.locked(func() {
		if w.tx.streams[stream.RemoteID].queue[odd] == "" {
			t.Error("a token whose key may come was given up")
		}
	})
	w.ahead.Store(int64(6 * time.Minute))
	coretest.Until(t, "it is refused in the end", func() bool { return w.tx.waiting(stream.RemoteID) == 0 })
	w.tx.locked(func() {
		if w.tx.streams[stream.RemoteID].refused[odd]["err"] != "invalid_key" {
			t.Error("refused for another reason")
		}
	})
	// Deleted: nobody polls it any more.
	must(t, w.service.Delete(t.Context(), cause(), w.acme.workspace.ID, stream.ID, false))
	coretest.Until(t, "only the other is polled", func() bool {
		found, err := w.service.Streams(t.Context(), w.DB, w.acme.workspace.ID)
		return err == nil && len(found) == 0
	})
}
