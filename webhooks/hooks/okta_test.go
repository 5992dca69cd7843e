package hooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

// oktaEvent is an event as the System Log tells it, about a user of Okta.
func oktaEvent(uuid, kind, id, login, actor string, at time.Time) string {
	return fmt.Sprintf(`{"uuid":%q,"published":%q,"eventType":%q,"version":"0","severity":"INFO","actor":{"id":%q,"type":"User","alternateId":"admin@example.com"},
		"target":[{"id":"0oa1","type":"AppInstance","alternateId":"Postern"},{"id":%q,"type":"User","alternateId":%q}],"outcome":{"result":"SUCCESS"},
		"transaction":{"type":"WEB","id":"txn-1"},"debugContext":{"debugData":{"traceId":"trace-%s"}},"authenticationContext":{"externalSessionId":"102x"}}`,
		uuid, at.UTC().Format(time.RFC3339Nano), kind, actor, id, login, uuid)
}

func oktaBody(eventID string, events ...string) string {
	return `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","source":"https://acme.okta.com/api/v1/eventHooks/who1","eventId":"` + eventID +
		`","data":{"events":[` + strings.Join(events, ",") + `]},"eventTime":"2026-11-21T10:00:00Z","contentType":"application/json"}`
}

func TestOktaEventHook(t *testing.T) {
	w := newWorld(t)
	made, other := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Okta}), w.create(t, w.globex, hooks.NewHook{Kind: hooks.Okta})
	address := w.service.URL(made.Hook)

	// The verification is answered for a connection that has a hook, and for no other.
	ask := func(address, challenge string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		must(t, err)
		request.Header.Set("x-okta-verification-challenge", challenge)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		text, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode, string(text)
	}
	if status, body := ask(address, "ab<c>"); status != 200 || body != `{"verification":"ab\u003cc\u003e"}` {
		t.Fatal(status, body)
	}
	if status, _ := ask(strings.Replace(address, made.Connection.String(), core.NewID().String(), 1), "abc"); status != 401 {
		t.Fatal(status)
	}
	if w.hook(t, w.acme, made.ID).Verified == nil {
		t.Fatal("not verified")
	}

	now := time.Now()
	body := oktaBody("d1", oktaEvent("e1", "user.lifecycle.suspend", "00u-ana", "ana@example.com", "00u-ben", now))
	key := map[string]string{"Authorization": made.Secret.Reveal()}
	for name, header := range map[string]map[string]string{
		"none": {}, "wrong": {"Authorization": "x"}, "the other workspace's": {"Authorization": other.Secret.Reveal()}, "bearer": {"Authorization": "Bearer " + made.Secret.Reveal()},
	} {
		if status := w.post(t, address, body, header); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if !w.signedIn(t, w.acme, w.acme.ana) {
		t.Fatal("a stranger ended a session")
	}
	if status := w.post(t, address, body, key); status != 204 {
		t.Fatal(status)
	}
	if w.signedIn(t, w.acme, w.acme.ana) || !w.signedIn(t, w.acme, w.acme.ben) || !w.signedIn(t, w.globex, w.globex.ana) {
		t.Fatal("the wrong sessions ended")
	}
	kept := w.Receipts(t, w.acme.workspace.ID)
	if len(kept) != 1 || kept[0].Kind != signals.AccountDisabled || kept[0].Transaction != "trace-e1" || kept[0].Door != signals.OktaEventHook {
		t.Fatalf("%+v", kept)
	}
	// The same event in another delivery, and the same delivery again, do nothing again.
	for _, again := range []string{body, oktaBody("d2", oktaEvent("e1", "user.lifecycle.suspend", "00u-ana", "ana@example.com", "00u-ben", now))} {
		if status := w.post(t, address, again, key); status != 204 {
			t.Fatal(status)
		}
	}
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 1 {
		t.Fatalf("%d receipts", len(got))
	}
	// What Postern does not know is on record; an administrator who acts is not meant; a group has no person.
	mixed := oktaBody("d3",
		oktaEvent("e2", "user.something.new", "00u-ben", "ben@example.com", "00u-x", now),
		strings.Replace(oktaEvent("e3", "user.session.clear", "00u-none", "no@example.com", "00u-ben", now), `"type":"User","alternateId":"no@`, `"type":"UserGroup","alternateId":"no@`, 1),
		strings.Replace(oktaEvent("e4", "user.lifecycle.deactivate", "00u-ben", "ben@example.com", "00u-x", now), "SUCCESS", "FAILURE", 1))
	if status := w.post(t, address, mixed, key); status != 204 || !w.signedIn(t, w.acme, w.acme.ben) {
		t.Fatal(status)
	}
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 3 || got[1].Kind != signals.Other || got[2].Kind != signals.Other {
		t.Fatalf("%+v", got)
	}
	for name, bad := range map[string]string{"not JSON": "{", "of another kind": `{"eventType":"x"}`, "no uuid": oktaBody("d9", `{"eventType":"user.session.end"}`)} {
		if status := w.post(t, address, bad, key); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := w.post(t, address, strings.Repeat("x", 2<<20), key); status != 413 {
		t.Error("too large:", status)
	}

	// Two keys are good while one is being changed.
	fresh, err := w.service.Rotate(t.Context(), cause(), w.acme.workspace.ID, made.ID, seal.Secret{}, time.Hour)
	must(t, err)
	for _, one := range []string{made.Secret.Reveal(), fresh.Secret.Reveal()} {
		if status := w.post(t, address, body, map[string]string{"Authorization": one}); status != 204 {
			t.Fatal(status)
		}
	}
	w.ahead.Store(int64(2 * time.Hour))
	if status := w.post(t, address, body, key); status != 401 {
		t.Fatal("the old key is good for ever", status)
	}
	if _, err := w.service.Rotate(t.Context(), cause(), w.globex.workspace.ID, made.ID, seal.Secret{}, 0); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
}

func TestOktaBackFill(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	var asked []string
	busy := true
	var okta *httptest.Server
	okta = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "SSWS by-reference" || r.URL.Path != "/api/v1/logs" {
			rw.WriteHeader(401)
			return
		}
		if busy {
			busy = false
			rw.Header().Set("X-Rate-Limit-Reset", fmt.Sprint(time.Now().Add(30*time.Second).Unix()))
			rw.WriteHeader(429)
			return
		}
		query := r.URL.Query()
		asked = append(asked, query.Get("after"))
		events := []json.RawMessage{}
		switch query.Get("after") {
		case "":
			if !strings.Contains(query.Get("filter"), `eventType eq "user.lifecycle.deactivate"`) || query.Get("since") == "" || query.Get("until") == "" {
				t.Error(query)
			}
			rw.Header().Add("Link", `<`+okta.URL+`/api/v1/logs>; rel="self"`)
			rw.Header().Add("Link", `<`+okta.URL+`/api/v1/logs?after=p2>; rel="next"`)
			events = append(events, json.RawMessage(oktaEvent("b1", "user.session.clear", "00u-ben", "ben@example.com", "00u-x", now)))
		case "p2":
			events = append(events, json.RawMessage(oktaEvent("b2", "user.lifecycle.deactivate", "00u-ana", "ana@example.com", "00u-x", now)))
		}
		_ = json.NewEncoder(rw).Encode(events)
	}))
	defer okta.Close()
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Okta, Settings: hooks.Settings{Access: hooks.Access{Address: okta.URL, SecretReference: "env:X"}}})
	// b1 came by the hook before.
	if status := w.post(t, w.service.URL(made.Hook), oktaBody("d1", oktaEvent("b1", "user.session.clear", "00u-ben", "ben@example.com", "00u-x", now)),
		map[string]string{"Authorization": made.Secret.Reveal()}); status != 204 {
		t.Fatal(status)
	}
	work := func() {
		t.Helper()
		if found, err := w.service.Work(t.Context()); err != nil || !found {
			t.Fatal(found, err)
		}
	}
	work() // the rate limit is used up
	if hook := w.hook(t, w.acme, made.ID); hook.LastErrorStage != "api" || hook.Due.Before(time.Now().Add(20*time.Second)) {
		t.Fatalf("%+v", hook)
	}
	w.ahead.Store(int64(2 * time.Minute))
	work()
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 2 || w.signedIn(t, w.acme, w.acme.ana) {
		t.Fatalf("%d receipts", len(got))
	}
	if hook := w.hook(t, w.acme, made.ID); hook.LastError != "" || hook.Filled == nil || len(asked) != 2 {
		t.Fatalf("%+v %v", hook, asked)
	}
	if found, err := w.service.Work(t.Context()); err != nil || found {
		t.Fatal("due again at once", err)
	}
	must(t, w.service.Fill(t.Context(), w.acme.workspace.ID, made.ID, now.Add(-time.Hour)))
	work()
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 2 {
		t.Fatalf("%d receipts", len(got))
	}
	if err := w.service.Fill(t.Context(), w.globex.workspace.ID, made.ID, now); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
}
