package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// secondToken is another token of the service account "all" of acme.
func (w *world) secondToken(t *testing.T) {
	t.Helper()
	accounts, err := w.directory.ServiceAccounts(t.Context(), w.db, w.acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range accounts {
		if account.Name != "all" {
			continue
		}
		err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
			token, err := w.directory.CreateServiceAccountToken(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.ID, account.ID, nil)
			w.tokens["second"] = token.Reveal()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tagged sends a request with If-Match, if it is not "".
func (w *world) tagged(t *testing.T, match, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+w.tokens["acme"])
	if match != "" {
		request.Header.Set("If-Match", match)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	return recorder
}

func TestAChangeIsMeantForOneState(t *testing.T) {
	w := newWorld(t)
	hook := w.must(t, 201, "POST", "/webhooks", `{"name":"Hook","url":"https://hooks.example.com/x"}`)["id"].(string)
	path := "/webhooks/" + hook
	tag := w.tagged(t, "", "GET", path, "").Header().Get("ETag")
	if tag == "" || tag != w.tagged(t, "", "GET", path, "").Header().Get("ETag") {
		t.Fatalf("the entity tag is %q", tag)
	}
	if wrong := w.tagged(t, `"other"`, "PATCH", path, `{"name":"A"}`); wrong.Code != http.StatusPreconditionFailed || codeOf(wrong) != "changed" {
		t.Errorf("%d %s", wrong.Code, wrong.Body)
	}
	if weak := w.tagged(t, "W/"+tag, "PATCH", path, `{"name":"A"}`); weak.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", weak.Code, weak.Body)
	}
	if right := w.tagged(t, `"other", `+tag, "PATCH", path, `{"name":"A"}`); right.Code != 200 {
		t.Errorf("%d %s", right.Code, right.Body)
	}
	if late := w.tagged(t, tag, "PATCH", path, `{"name":"B"}`); late.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", late.Code, late.Body)
	}
	// A part of it, whoever asks, and whether it is there at all.
	if part := w.tagged(t, tag, "PUT", path+"/state", `{"state":"paused"}`); part.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", part.Code, part.Body)
	}
	if there := w.tagged(t, "*", "PUT", path+"/state", `{"state":"paused"}`); there.Code != 200 {
		t.Errorf("%d %s", there.Code, there.Body)
	}
	if none := w.tagged(t, "*", "PATCH", "/webhooks/"+core.NewID().String(), `{"name":"B"}`); none.Code != http.StatusNotFound {
		t.Errorf("%d %s", none.Code, none.Body)
	}
	for _, text := range []string{" ", ",", `"a`, tag + ",", "a", strings.Repeat("0", 2000)} {
		if bad := w.tagged(t, text, "PATCH", path, `{"name":"B"}`); bad.Code != http.StatusBadRequest {
			t.Errorf("%.20q: %d %s", text, bad.Code, bad.Body)
		}
	}
	if list := w.tagged(t, "*", "POST", "/apps", newApp); list.Code != http.StatusBadRequest {
		t.Errorf("a list has no entity tag: %d %s", list.Code, list.Body)
	}
	if gone := w.tagged(t, w.tagged(t, "", "GET", path, "").Header().Get("ETag"), "DELETE", path, ""); gone.Code != 204 {
		t.Errorf("%d %s", gone.Code, gone.Body)
	}
}

// Of many who saw the same state, one changes it.
func TestManyChangesOfOneState(t *testing.T) {
	w := newWorld(t)
	hook := w.must(t, 201, "POST", "/webhooks", `{"name":"Hook","url":"https://hooks.example.com/x"}`)["id"].(string)
	for round := range 6 {
		tag := w.tagged(t, "", "GET", "/webhooks/"+hook, "").Header().Get("ETag")
		var changed atomic.Int32
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				switch answer := w.tagged(t, tag, "PATCH", "/webhooks/"+hook, fmt.Sprintf(`{"name":"Round %d of %d"}`, round, i)); answer.Code {
				case 200:
					changed.Add(1)
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("%d %s", answer.Code, answer.Body)
				}
			})
		}
		all.Wait()
		if changed.Load() != 1 {
			t.Errorf("%d changed what they saw", changed.Load())
		}
	}
}

// A filter without a value is no filter, and what it should have kept away would be there.
func TestAFilterHasAValue(t *testing.T) {
	w := newWorld(t)
	hook := w.must(t, 201, "POST", "/webhooks", `{"name":"Hook","url":"https://hooks.example.com/x"}`)["id"].(string)
	for _, path := range []string{"/accounts?user=", "/events?target=", "/provisioning-requests?to=", "/holds?open=", "/webhooks/{id}/messages?state=", "/users?cursor="} {
		if answer := w.tagged(t, "", "GET", strings.Replace(path, "{id}", hook, 1), ""); answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
}

func TestAServiceAccountHasItsRate(t *testing.T) {
	w := newWorld(t)
	moment := time.Now()
	w.now = func() time.Time { return moment }
	refused := 0
	for range 250 {
		answer := w.tagged(t, "", "GET", "/apps", "")
		if !strings.HasPrefix(answer.Header().Get("RateLimit"), `"requests";r=`) || answer.Header().Get("RateLimit-Policy") != `"requests";q=200;w=4` {
			t.Fatalf("%v", answer.Header())
		}
		if answer.Code == http.StatusTooManyRequests {
			refused++
			if answer.Header().Get("Retry-After") != "1" || codeOf(answer) != "rate_limited" {
				t.Fatalf("%v %s", answer.Header(), answer.Body)
			}
		}
	}
	if refused != 50 {
		t.Errorf("%d were refused", refused)
	}
	moment = moment.Add(time.Second)
	if answer := w.tagged(t, "", "GET", "/apps", ""); answer.Code != 200 || answer.Header().Get("RateLimit") != `"requests";r=49;t=4` {
		t.Errorf("a second later: %d %v", answer.Code, answer.Header())
	}
	if code, _ := w.ask(t, "globex", "GET", "/apps", ""); code != 200 {
		t.Errorf("another service account: %d", code)
	}
}
