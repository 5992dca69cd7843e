package webhooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// knock sends a logout from an address.
func (w *world) knock(t testing.TB, connection core.ID, address, token string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest("POST", "/webhooks/"+connection.String()+"/universal-logout", strings.NewReader(emailBody("ana.ito@example.com")))
	request.RemoteAddr = address
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	return recorder
}

// Whoever sends many bad tokens is slowed down: at that connection, from that address, and for no longer than said.
func TestBadTokensInNumbers(t *testing.T) {
	w := newWorld(t)
	still := time.Now()
	w.service.Now = func() time.Time { return still.Add(w.ahead) }
	w.signIn(t)
	pest, honest := "192.0.2.1:1000", "198.51.100.7:1000"
	status := map[int]int{}
	var last *httptest.ResponseRecorder
	for range 100 {
		last = w.knock(t, w.okta.ID, pest, "forged")
		status[last.Code]++
	}
	if status[401] != 30 || status[429] != 70 {
		t.Fatalf("answered %v", status)
	}
	wait, err := strconv.Atoi(last.Header().Get("Retry-After"))
	if err != nil || wait < 1 || wait > 10 || !strings.Contains(last.Body.String(), `"error":"temporarily_unavailable"`) {
		t.Errorf("Retry-After %q, %s", last.Header().Get("Retry-After"), last.Body)
	}
	// Others at this connection, and the same at others, are as before.
	if got := w.knock(t, w.okta.ID, honest, "forged").Code; got != 401 {
		t.Errorf("another address: %d", got)
	}
	if got := w.knock(t, w.okta.ID, "[2001:db8::1]:1", "forged").Code; got != 401 {
		t.Errorf("another family: %d", got)
	}
	if got := w.knock(t, w.theirs.ID, pest, "forged").Code; got != 401 {
		t.Errorf("another connection: %d", got)
	}
	// The identity provider's own logout gets through from the address it shares with a pest.
	if got := w.knock(t, w.okta.ID, pest, w.mint(t, tokenSpec{})); got.Code != 204 || w.signedIn(t, "ana") {
		t.Errorf("a good token: %d %s", got.Code, got.Body)
	}
	// Forgeries that are only wrong in their signature do not for long.
	status = map[int]int{}
	for range 60 {
		status[w.knock(t, w.okta.ID, pest, w.mint(t, tokenSpec{Signing: "other-key"})).Code]++
	}
	if status[429] < 30 || status[401]+status[429] != 60 {
		t.Errorf("answered %v", status)
	}
	w.ahead += time.Duration(wait+100) * time.Second
	if got := w.knock(t, w.okta.ID, pest, "forged").Code; got != 401 {
		t.Errorf("after the time it was told: %d", got)
	}
}

// One network of IPv6 is one origin, and ids of connections cannot be tried in numbers.
func TestOriginsAreNetworks(t *testing.T) {
	w := newWorld(t)
	still := time.Now()
	w.service.Now = func() time.Time { return still }
	status := map[int]int{}
	for number := range 40 {
		status[w.knock(t, w.okta.ID, fmt.Sprintf("[2001:db8::%x]:1", number+1), "forged").Code]++
	}
	if status[401] != 30 || status[429] != 10 {
		t.Errorf("answered %v", status)
	}
	status = map[int]int{}
	for range 40 {
		status[w.knock(t, core.NewID(), "192.0.2.9:1", "forged").Code]++
	}
	if status[401] != 30 || status[429] != 10 {
		t.Errorf("ids tried: %v", status)
	}
	if got := w.knock(t, w.okta.ID, "192.0.2.9:1", w.mint(t, tokenSpec{})).Code; got != 204 {
		t.Errorf("a known connection from there: %d", got)
	}
}

// A connection is remembered to refuse by, never to accept by.
func TestAChangedConnectionHoldsAtOnce(t *testing.T) {
	w := newWorld(t)
	still := time.Now()
	w.service.Now = func() time.Time { return still }
	w.signIn(t)
	change := func(edit func(*directory.Connection)) {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, err := w.Directory.ChangeConnection(ctx, tx, core.NewCause(core.System, time.Now()), w.acme.ID, w.okta.ID, edit)
			return err
		})
	}
	alias := tokenSpec{Claims: map[string]any{
		"jti": "{{jti}}", "iss": "{{alias}}", "sub": "{{client}}", "aud": "{{audience}}", "exp": "{{now+300}}", "iat": "{{now}}",
	}}
	if got := w.knock(t, w.okta.ID, "192.0.2.1:1", w.mint(t, alias)).Code; got != 204 {
		t.Fatal(got)
	}
	w.signIn(t)
	change(func(c *directory.Connection) { c.LogoutIssuers = nil })
	if got := w.knock(t, w.okta.ID, "192.0.2.1:1", w.mint(t, alias)); got.Code != 401 || !w.signedIn(t, "ana") {
		t.Errorf("an issuer taken away: %d", got.Code)
	}
	change(func(c *directory.Connection) { c.ClientID = "" })
	still = still.Add(time.Minute) // whoever says that it is nobody's is not believed for that
	if got := w.knock(t, w.okta.ID, "192.0.2.1:1", w.mint(t, tokenSpec{Claims: map[string]any{
		"jti": "{{jti}}", "iss": "{{issuer}}", "sub": "", "aud": "{{audience}}", "exp": "{{now+300}}", "iat": "{{now}}",
	}})); got.Code != 401 {
		t.Errorf("a connection without a client id: %d", got.Code)
	}
}

// The metadata says what a sender has to know, and nothing about who exists.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	for _, id := range []core.ID{w.okta.ID, core.NewID()} {
		recorder := httptest.NewRecorder()
		w.engine.ServeHTTP(recorder, httptest.NewRequest("GET", "/.well-known/oauth-authorization-server/webhooks/"+id.String(), nil))
		var got map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || recorder.Code != 200 {
			t.Fatal(recorder.Code, recorder.Body, err)
		}
		want := map[string]any{
			"issuer": publicURL + "/webhooks/" + id.String(), "response_types_supported": []any{},
			"global_token_revocation_endpoint":                        publicURL + "/webhooks/" + id.String() + "/universal-logout",
			"global_token_revocation_endpoint_auth_methods_supported": []any{"global-token-revocation+jwt"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, httptest.NewRequest("GET", "/.well-known/oauth-authorization-server/webhooks/x", nil))
	if recorder.Code != 404 {
		t.Error(recorder.Code)
	}
}
