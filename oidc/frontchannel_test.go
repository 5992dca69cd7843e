package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

func (w *world) frame(connection core.ID, query url.Values) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/sso/"+connection.String()+"/frontchannel-logout?"+query.Encode(), nil))
	return recorder
}

func TestFrontChannelLogoutEndsOneSession(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name   string
		query  url.Values
		status int
		ends   []string
	}{
		{"no sid", url.Values{"iss": {w.op.URL}}, 400, []string{}},
		{"no iss", url.Values{"sid": {"sid-1"}}, 403, []string{}},
		{"another issuer", url.Values{"iss": {"https://other.example"}, "sid": {"sid-1"}}, 403, []string{}},
		{"a session nobody has", url.Values{"iss": {w.op.URL}, "sid": {"sid-7"}}, 200, []string{}},
		{"iss and sid", url.Values{"iss": {w.op.URL}, "sid": {"sid-1"}}, 200, []string{"ana-1"}},
		{"again", url.Values{"iss": {w.op.URL}, "sid": {"sid-1"}}, 200, []string{"ana-1"}},
	} {
		answer := w.frame(w.acme.ID, test.query)
		if answer.Code != test.status || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
		if diff := cmp.Diff(test.ends, w.dead(t)); diff != "" {
			t.Errorf("%s: sessions that died (-want +got):\n%s", test.name, diff)
		}
		policy := answer.Header().Get("Content-Security-Policy")
		if framed := strings.HasSuffix(policy, "frame-ancestors "+w.op.URL); framed != (test.status == 200) {
			t.Errorf("%s: policy %q", test.name, policy)
		}
	}
	// It sets no epoch and keeps nothing: the same session may begin again.
	if _, err := w.start(t, "ana", "sid-1", time.Now().Add(-time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestEntraSendsNoIssuer(t *testing.T) {
	w := newWorld(t)
	w.tx(t, func(tx pgx.Tx) error {
		made, err := w.directory.CreateConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.Workspace, directory.NewConnection{
			Name: "Entra", Kind: directory.Entra, Issuer: w.op.URL, ClientID: "client-1",
		})
		if err != nil {
			return err
		}
		user, err := w.directory.InsertUser(t.Context(), tx, directory.User{
			Workspace: made.Workspace, Connection: made.ID, UserName: "eve", Active: true, Role: directory.RoleUser,
		})
		w.people["eve"] = user
		w.acme = made
		return err
	})
	token, err := w.start(t, "eve", "sid-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.sessions["eve"] = token
	if answer := w.frame(w.acme.ID, url.Values{"sid": {"sid-1"}}); answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if diff := cmp.Diff([]string{"eve"}, w.dead(t)); diff != "" {
		t.Error(diff)
	}
}
