package hooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

const tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

// double is Microsoft Graph with its authority, as strict as the documents say.
type double struct {
	*httptest.Server
	t    *testing.T
	lock sync.Mutex

	state    string // clientState of the subscription
	made     int
	renewed  int
	deleted  int
	gone     bool // it has forgotten the subscription
	lost     bool // it makes a subscription, and its answer never comes
	disabled map[string]bool
	missing  map[string]bool // people who are not found
	sessions map[string]time.Time
	changed  []string                   // people the next look at changes tells of
	deltas   []string                   // looks at changes, by their tokens
	stale    string                     // a token of a look that is forgotten
	before   func(r *http.Request) bool // false: the answer never comes
}

func newDouble(t *testing.T) *double {
	d := &double{t: t, disabled: map[string]bool{}, missing: map[string]bool{}, sessions: map[string]time.Time{}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	if r.URL.Path == "/"+tenant+"/oauth2/v2.0/token" {
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_id") != "app" || r.FormValue("client_secret") != "s3cret-of-the-app" || r.FormValue("scope") != d.URL+"/.default" {
			answer(401, map[string]string{"error": "invalid_client"})
			return
		}
		answer(200, map[string]any{"access_token": "graph-token", "token_type": "Bearer", "expires_in": 3599})
		return
	}
	if r.Header.Get("Authorization") != "Bearer graph-token" {
		answer(401, nil)
		return
	}
	d.lock.Lock()
	gone, before := d.gone, d.before
	d.lock.Unlock()
	if before != nil && !before(r) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case r.Method == "POST" && r.URL.Path == "/v1.0/subscriptions":
		var body map[string]string
		if json.NewDecoder(r.Body).Decode(&body) != nil || body["resource"] != "users" || body["changeType"] != "updated,deleted" || len(body["clientState"]) > 128 || body["clientState"] == "" ||
			body["lifecycleNotificationUrl"] == "" {
			answer(400, map[string]any{"error": map[string]string{"message": "bad subscription"}})
			return
		}
		ends, err := time.Parse(time.RFC3339, body["expirationDateTime"])
		if err != nil || time.Until(ends) > 41760*time.Minute+62*24*time.Hour {
			answer(400, nil)
			return
		}
		const token = "Validation: Testing client application reachability for subscription Request-Id: 1+2"
		got, err := http.Post(body["notificationUrl"]+"?validationToken="+url.QueryEscape(token), "text/plain", nil)
		if err != nil {
			answer(400, nil)
			return
		}
		echo, _ := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if got.StatusCode != 200 || string(echo) != token || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
			d.t.Errorf("validation: %d %s", got.StatusCode, echo)
			answer(400, nil)
			return
		}
		d.lock.Lock()
		d.state, d.gone = body["clientState"], false
		d.made++
		id := fmt.Sprint("sub-", d.made)
		lost := d.lost
		d.lock.Unlock()
		if lost {
			panic(http.ErrAbortHandler)
		}
		answer(201, map[string]any{"id": id, "expirationDateTime": ends})
	case strings.HasPrefix(r.URL.Path, "/v1.0/subscriptions/"):
		if gone {
			answer(404, map[string]any{"error": map[string]string{"code": "ResourceNotFound"}})
			return
		}
		d.lock.Lock()
		defer d.lock.Unlock()
		if r.Method == "DELETE" {
			d.deleted++
			w.WriteHeader(204)
			return
		}
		d.renewed++
		var body struct {
			Expires time.Time `json:"expirationDateTime"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		answer(200, map[string]any{"id": "sub-1", "expirationDateTime": body.Expires})
	case r.URL.Path == "/v1.0/users/delta":
		d.lock.Lock()
		defer d.lock.Unlock()
		token := r.URL.Query().Get("$deltatoken") + r.URL.Query().Get("$skiptoken")
		d.deltas = append(d.deltas, token)
		switch {
		case d.stale != "" && token == d.stale:
			answer(410, map[string]any{"error": map[string]string{"code": "syncStateNotFound", "message": "the token is too old"}})
		case d.changed != nil:
			value := []any{}
			for _, id := range d.changed {
				value = append(value, map[string]any{"id": id, "accountEnabled": false})
			}
			d.changed = []string{}
			answer(200, map[string]any{"value": value, "@odata.deltaLink": fmt.Sprint(d.URL, "/v1.0/users/delta?$deltatoken=after-", len(d.deltas))})
		case r.URL.Query().Get("$deltatoken") == "latest":
			answer(200, map[string]any{"value": []any{}, "@odata.deltaLink": d.URL + "/v1.0/users/delta?$deltatoken=one"})
		case r.URL.Query().Get("$deltatoken") == "one":
			answer(200, map[string]any{"value": []any{map[string]any{"id": "00u-ana", "accountEnabled": false}}, "@odata.nextLink": d.URL + "/v1.0/users/delta?$skiptoken=two"})
		default:
			answer(200, map[string]any{"value": []any{map[string]any{"id": "00u-x", "@removed": map[string]string{"reason": "changed"}}, map[string]any{"id": "00u-ben", "accountEnabled": true}},
				"@odata.deltaLink": d.URL + "/v1.0/users/delta?$deltatoken=three"})
		}
	case strings.HasPrefix(r.URL.Path, "/v1.0/users/"):
		id := strings.TrimPrefix(r.URL.Path, "/v1.0/users/")
		if !strings.Contains(r.URL.Query().Get("$select"), "accountEnabled") {
			answer(200, map[string]any{"id": id}) // Graph leaves it out unless it is selected
			return
		}
		d.lock.Lock()
		defer d.lock.Unlock()
		if d.missing[id] {
			answer(404, map[string]any{"error": map[string]string{"code": "Request_ResourceNotFound"}})
			return
		}
		found := map[string]any{"id": id, "accountEnabled": !d.disabled[id], "userPrincipalName": strings.TrimPrefix(id, "00u-") + "@example.com"}
		if at, there := d.sessions[id]; there {
			found["signInSessionsValidFromDateTime"] = at
		}
		answer(200, found)
	default:
		answer(404, nil)
	}
}

func TestGraph(t *testing.T) {
	w := newWorld(t)
	d := newDouble(t)
	access := hooks.Access{Address: d.URL, TokenEndpoint: d.URL + "/" + tenant + "/oauth2/v2.0/token", Tenant: tenant, ClientID: "app"}
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Graph, Settings: hooks.Settings{Access: access}, AccessSecret: seal.NewSecret("s3cret-of-the-app")})
	address := w.service.URL(made.Hook)
	work := func() hooks.Hook {
		t.Helper()
		found, err := w.service.Work(t.Context())
		must(t, err)
		if hook := w.hook(t, w.acme, made.ID); !found || hook.LastErrorStage == "api" {
			t.Fatal(found, hook.LastError)
		} else {
			return hook
		}
		return hooks.Hook{}
	}
	hook := work()
	if hook.RemoteID != "sub-1" || hook.Verified == nil || hook.DeltaLink == "" || d.made != 1 {
		t.Fatalf("%+v", hook)
	}

	// What a browser would take for a page is not echoed, and nobody but Graph has the client state.
	if status := w.post(t, address+"?validationToken="+url.QueryEscape("<script>"), "", nil); status != 400 {
		t.Error(status)
	}
	if status := w.post(t, strings.Replace(address, w.acme.connection.ID.String(), w.globex.connection.ID.String(), 1)+"?validationToken=x", "", nil); status != 401 {
		t.Error("a connection without such a hook:", status)
	}
	note := func(state, tenant, rest string) string {
		return fmt.Sprintf(`{"value":[{"subscriptionId":"sub-1","clientState":%q,"tenantId":%q,%s}]}`, state, tenant, rest)
	}
	change := `"changeType":"updated","resource":"Users/00u-ana","resourceData":{"id":"00u-ana"}`
	for name, body := range map[string]string{
		"no state": note("", tenant, change), "another state": note("x", tenant, change), "no notifications": `{"value":[]}`, "not JSON": "x",
		"one of two is right": strings.Replace(note(d.state, tenant, change), `]}`, `,{"clientState":"x","resourceData":{"id":"00u-ben"}}]}`, 1),
		"another tenant":      note(d.state, "11111111-2222-4333-8444-555555555555", change),
	} {
		if status := w.post(t, address, body, nil); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	// A change that is none of ours says nothing; a disabled account does.
	if status := w.post(t, address, note(d.state, tenant, change), nil); status != 202 {
		t.Fatal(status)
	}
	work()
	if !w.signedIn(t, w.acme, w.acme.ana) || len(w.Receipts(t, w.acme.workspace.ID)) != 0 {
		t.Fatal("a change of the profile ended a session")
	}
	d.disabled["00u-ben"] = true
	for range 2 { // told twice before anybody looked
		if status := w.post(t, address, note(d.state, tenant, strings.ReplaceAll(change, "ana", "ben")), nil); status != 202 {
			t.Fatal(status)
		}
	}
	work()
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 1 || got[0].Kind != signals.AccountDisabled || w.signedIn(t, w.acme, w.acme.ben) || !w.signedIn(t, w.globex, w.globex.ben) {
		t.Fatalf("%+v", got)
	}

	// Missed: everybody who changed since is looked at.
	if status := w.post(t, address, note(d.state, tenant, `"lifecycleEvent":"missed"`), nil); status != 202 {
		t.Fatal(status)
	}
	hook = work()
	if w.signedIn(t, w.acme, w.acme.ana) || hook.Resync || !strings.HasSuffix(hook.DeltaLink, "three") || len(w.Receipts(t, w.acme.workspace.ID)) != 3 {
		t.Fatalf("%+v", hook)
	}
	// Renewed when two thirds of its time are over, and when Graph asks for it.
	if d.renewed != 0 {
		t.Fatal("renewed too early")
	}
	w.ahead.Store(int64(hooks.Lifetime*2/3 + time.Hour))
	if work(); d.renewed != 1 {
		t.Fatal("not renewed")
	}
	if status := w.post(t, address, note(d.state, tenant, `"lifecycleEvent":"reauthorizationRequired"`), nil); status != 202 {
		t.Fatal(status)
	}
	if work(); d.renewed != 2 {
		t.Fatal("not renewed when asked for")
	}
	// Removed, or ended while nobody looked: there is a new one, with a new client state.
	before := d.state
	if status := w.post(t, address, note(d.state, tenant, `"lifecycleEvent":"subscriptionRemoved"`), nil); status != 202 {
		t.Fatal(status)
	}
	if hook = work(); hook.RemoteID != "sub-2" || d.state == before {
		t.Fatalf("%+v", hook)
	}
	d.gone = true
	w.ahead.Add(int64(hooks.Lifetime))
	if hook = work(); hook.RemoteID != "sub-3" {
		t.Fatalf("%+v", hook)
	}
	must(t, w.service.Delete(t.Context(), cause(), w.acme.workspace.ID, made.ID))
	if d.deleted != 1 {
		t.Fatal("the subscription stays")
	}
	if status := w.post(t, address, note(d.state, tenant, change), nil); status != 401 {
		t.Fatal(status)
	}
}
