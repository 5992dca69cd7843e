package hooks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

// subscribed is a hook of Microsoft Graph with its subscription.
func (w *world) subscribed(t *testing.T) (*double, hooks.Hook) {
	t.Helper()
	d := newDouble(t)
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Graph, Settings: hooks.Settings{Access: d.access()}, AccessSecret: seal.NewSecret("s3cret-of-the-app")})
	w.work(t)
	hook := w.hook(t, w.acme, made.ID)
	if hook.RemoteID == "" || hook.LastError != "" {
		t.Fatalf("%+v", hook)
	}
	return d, hook
}

// work lets the worker do all that is due.
func (w *world) work(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = w.service.Work(t.Context())
		must(t, err)
	}
}

func (w *world) notify(t *testing.T, hook hooks.Hook, state, rest string) int {
	t.Helper()
	return w.post(t, w.service.URL(hook), fmt.Sprintf(`{"value":[{"subscriptionId":%q,"clientState":%q,"tenantId":%q,%s}]}`, hook.RemoteID, state, tenant, rest), nil)
}

// A look that Microsoft has forgotten begins anew: whoever was told of is not told of again, and nobody is left out.
func TestAForgottenDeltaBeginsAnew(t *testing.T) {
	w := newWorld(t)
	d, hook := w.subscribed(t)
	// The look breaks off after its first page, which told of Ana; then its token is forgotten.
	d.before = func(r *http.Request) bool { return r.URL.Query().Get("$skiptoken") != "two" }
	if status := w.notify(t, hook, d.state, `"lifecycleEvent":"missed"`); status != 202 {
		t.Fatal(status)
	}
	w.work(t)
	if hook = w.hook(t, w.acme, hook.ID); !hook.Resync || hook.LastErrorStage != "api" || len(w.Receipts(t, w.acme.workspace.ID)) != 1 || w.signedIn(t, w.acme, w.acme.ana) {
		t.Fatalf("%+v", hook)
	}
	d.before, d.stale, d.changed = nil, "one", []string{"00u-ana", "00u-ben"}
	w.ahead.Add(int64(2 * time.Minute))
	w.work(t)
	hook = w.hook(t, w.acme, hook.ID)
	got := w.Receipts(t, w.acme.workspace.ID)
	if hook.Resync || hook.LastError != "" || len(got) != 2 || w.signedIn(t, w.acme, w.acme.ben) {
		t.Fatalf("%d receipts, %+v", len(got), hook)
	}
	if last := d.deltas[len(d.deltas)-2:]; last[0] != "one" || last[1] != "" {
		t.Errorf("it looked by %q", last)
	}
	// The next look is another: who leaves once more is told of once more.
	d.stale, d.changed = "", []string{"00u-ana"}
	if status := w.notify(t, hook, d.state, `"lifecycleEvent":"missed"`); status != 202 {
		t.Fatal(status)
	}
	w.work(t)
	if got = w.Receipts(t, w.acme.workspace.ID); len(got) != 3 || got[2].Kind != signals.AccountDisabled {
		t.Fatalf("%+v", got)
	}
}

// Whatever ends the process in the middle of its work, another one goes on with it.
func TestARenewalIsKilledInTheMiddle(t *testing.T) {
	w := newWorld(t)
	d, hook := w.subscribed(t)
	w.ahead.Store(int64(hooks.Lifetime*2/3 + time.Hour))
	ctx, kill := context.WithCancel(t.Context())
	d.before = func(r *http.Request) bool {
		if r.Method == http.MethodPatch {
			kill()
		}
		return r.Method != http.MethodPatch
	}
	if _, err := w.service.Work(ctx); err == nil {
		t.Fatal("it was not killed")
	}
	d.before = nil
	before := *hook.RemoteEnds
	if hook = w.hook(t, w.acme, hook.ID); !hook.RemoteEnds.Equal(before) || d.renewed != 0 {
		t.Fatalf("%+v", hook)
	}
	w.work(t)
	if d.renewed != 0 {
		t.Fatal("two processes at one hook")
	}
	w.ahead.Add(int64(6 * time.Minute)) // the dead one's time is over
	w.work(t)
	if hook = w.hook(t, w.acme, hook.ID); d.renewed != 1 || !hook.RemoteEnds.After(before) {
		t.Fatalf("%+v", hook)
	}
}

// A subscription whose answer never came is made anew, and what the first one tells meanwhile is believed.
func TestASubscriptionIsLostOnItsWay(t *testing.T) {
	w := newWorld(t)
	d := newDouble(t)
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Graph, Settings: hooks.Settings{Access: d.access()}, AccessSecret: seal.NewSecret("s3cret-of-the-app")})
	d.lost = true
	w.work(t)
	hook := w.hook(t, w.acme, made.ID)
	first := d.state
	if hook.RemoteID != "" || hook.LastErrorStage != "api" || d.made != 1 {
		t.Fatalf("%+v", hook)
	}
	d.lost = false
	w.ahead.Add(int64(2 * time.Minute))
	w.work(t)
	if hook = w.hook(t, w.acme, made.ID); hook.RemoteID != "sub-2" || hook.LastError != "" || d.state == first {
		t.Fatalf("%+v", hook)
	}
	d.disabled["00u-ana"] = true
	if status := w.notify(t, hook, first, `"changeType":"updated","resourceData":{"id":"00u-ana"}`); status != 202 {
		t.Fatal(status)
	}
	if w.work(t); w.signedIn(t, w.acme, w.acme.ana) {
		t.Error("what the first subscription told was lost")
	}
}

// Many processes at once renew a subscription once.
func TestARenewalByManyAtOnce(t *testing.T) {
	w := newWorld(t)
	d, hook := w.subscribed(t)
	w.ahead.Store(int64(hooks.Lifetime*2/3 + time.Hour))
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, err := w.service.Work(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d.renewed != 1 || d.made != 1 {
		t.Errorf("renewed %d times, made %d times", d.renewed, d.made)
	}
	// Microsoft says 404: it had ended, so there is a new one, and everybody who changed meanwhile is looked at.
	d.gone, d.changed = true, []string{"00u-ben"}
	w.ahead.Add(int64(hooks.Lifetime*2/3 + time.Hour))
	w.work(t)
	if hook = w.hook(t, w.acme, hook.ID); hook.RemoteID != "sub-2" || hook.Resync {
		t.Errorf("%+v", hook)
	}
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 1 || got[0].Kind != signals.AccountDisabled || len(got[0].Names) != 1 || got[0].Names[0] != "ben" {
		t.Errorf("%+v", got)
	}
	if status := w.notify(t, hook, strings.ToUpper(d.state), `"lifecycleEvent":"missed"`); status != 401 {
		t.Error(status)
	}
	if got := w.Receipts(t, w.globex.workspace.ID); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
