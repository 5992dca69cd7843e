package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// repeat sends a change with an Idempotency-Key, without what is promised of all answers being looked
// at: a replayed one holds the secret it held before.
func (w *world) repeat(t *testing.T, as, key, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+w.tokens[as])
	request.Header.Set("Idempotency-Key", key)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	return recorder
}

func codeOf(recorder *httptest.ResponseRecorder) string {
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(recorder.Body.Bytes(), &problem)
	return problem.Code
}

func (w *world) count(t *testing.T, query string) (count int) {
	t.Helper()
	if err := w.db.QueryRow(t.Context(), query).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestARequestSentTwiceHappensOnce(t *testing.T) {
	w := newWorld(t)
	first := w.repeat(t, "acme", "one", "POST", "/apps", newApp)
	if first.Code != 201 || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	again := w.repeat(t, "acme", "one", "POST", "/apps", newApp)
	if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" ||
		again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		t.Errorf("%d %v %s, want %s", again.Code, again.Header(), again.Body, first.Body)
	}
	if apps := w.count(t, `select count(*) from apps`); apps != 1 {
		t.Errorf("%d apps", apps)
	}
	other := w.repeat(t, "acme", "one", "POST", "/apps", strings.Replace(newApp, "Wiki", "Mail", 1))
	if other.Code != http.StatusConflict || codeOf(other) != "idempotency_key_reused" {
		t.Errorf("another request with the key: %d %s", other.Code, other.Body)
	}
	// A key is its service account's own, and so its workspace's.
	if theirs := w.repeat(t, "globex", "one", "POST", "/apps", newApp); theirs.Code != 201 || theirs.Body.String() == first.Body.String() {
		t.Errorf("another workspace: %d %s", theirs.Code, theirs.Body)
	}
}

func TestARefusedRequestMayComeAgain(t *testing.T) {
	w := newWorld(t)
	w.must(t, 201, "POST", "/apps", newApp)
	if taken := w.repeat(t, "acme", "one", "POST", "/apps", newApp); taken.Code != http.StatusConflict || codeOf(taken) != "app_name" {
		t.Fatalf("%d %s", taken.Code, taken.Body)
	}
	if mended := w.repeat(t, "acme", "one", "POST", "/apps", strings.Replace(newApp, "Wiki", "Mail", 1)); mended.Code != 201 {
		t.Errorf("%d %s", mended.Code, mended.Body)
	}
	for _, key := range []string{"", "two words", strings.Repeat("k", 256), "käse"} {
		if bad := w.repeat(t, "acme", key, "POST", "/apps", newApp); bad.Code != http.StatusBadRequest {
			t.Errorf("the key %q: %d %s", key, bad.Code, bad.Body)
		}
	}
	if large := w.repeat(t, "acme", "large", "POST", "/apps", `{"name":"`+strings.Repeat("x", 300<<10)+`"}`); large.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", large.Code)
	}
}

func TestManyAtOnceWithOneKeyHaveOneEffect(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	events := w.count(t, `select count(*) from audit_outbox`)
	codes := make([]int, 24)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() {
			codes[i] = w.repeat(t, "acme", "rotate", "POST", "/accounts/"+account+"/rotations", "").Code
		})
	}
	all.Wait()
	answered := 0
	for _, code := range codes {
		switch {
		case code < 300:
			answered++
		case code != http.StatusConflict:
			t.Errorf("%d", code)
		}
	}
	if answered == 0 {
		t.Error("nobody was answered")
	}
	// A rotation that was asked for again would have told so.
	if told := w.count(t, `select count(*) from audit_outbox`) - events; told != 1 {
		t.Errorf("%d events", told)
	}
}

// What a process that died leaves behind: nothing done, or done and not answered.
func TestADeadProcessLeavesNoDoubt(t *testing.T) {
	w := newWorld(t)
	if first := w.repeat(t, "acme", "one", "POST", "/apps", newApp); first.Code != 201 {
		t.Fatal(first.Body)
	}
	for _, test := range []struct{ state, code string }{{"committed", "answer_lost"}, {"begun", "app_name"}} {
		_, err := w.db.Exec(t.Context(), `update idempotency_keys set state = @state, answer = null, begun = now()`, pgx.StrictNamedArgs{"state": test.state})
		if err != nil {
			t.Fatal(err)
		}
		if soon := w.repeat(t, "acme", "one", "POST", "/apps", newApp); soon.Code != 409 || codeOf(soon) != "request_under_way" {
			t.Errorf("%s, a moment ago: %d %s", test.state, soon.Code, soon.Body)
		}
		if _, err := w.db.Exec(t.Context(), `update idempotency_keys set begun = now() - interval '2 minutes'`); err != nil {
			t.Fatal(err)
		}
		// Of what was only begun nothing happened: the next one does it, and meets what is there by now.
		if late := w.repeat(t, "acme", "one", "POST", "/apps", newApp); late.Code != 409 || codeOf(late) != test.code {
			t.Errorf("%s, long ago: %d %s", test.state, late.Code, late.Body)
		}
	}
}

// An answer can hold a secret that is told once: it is kept so that nobody but the token it was told to
// can read it.
func TestAnAnswerIsKeptSealed(t *testing.T) {
	w := newWorld(t)
	connection := w.must(t, 201, "POST", "/connections", `{"name":"Okta","kind":"okta"}`)["id"].(string)
	first := w.repeat(t, "acme", "token", "POST", "/connections/"+connection+"/tokens", `{}`)
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(first.Body.Bytes(), &made); err != nil || made.Token == "" {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	var kept []byte
	if err := w.db.QueryRow(t.Context(), `select answer from idempotency_keys`).Scan(&kept); err != nil || len(kept) == 0 {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), made.Token) {
		t.Error("the token is kept in clear")
	}
	if again := w.repeat(t, "acme", "token", "POST", "/connections/"+connection+"/tokens", `{}`); again.Body.String() != first.Body.String() {
		t.Errorf("%d %s", again.Code, again.Body)
	}
	// The same service account with its other token.
	w.secondToken(t)
	if other := w.repeat(t, "second", "token", "POST", "/connections/"+connection+"/tokens", `{}`); other.Code != 409 || codeOf(other) != "answer_lost" {
		t.Errorf("%d %s", other.Code, other.Body)
	}
	if tokens := w.count(t, `select count(*) from connection_tokens`); tokens != 1 {
		t.Errorf("%d tokens", tokens)
	}
}
