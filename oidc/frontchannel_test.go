package oidc_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/directory"
)

func (w *world) frame(connection core.ID, query string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/sso/"+connection.String()+"/frontchannel-logout?"+query, nil))
	return recorder
}

// framing is a vector of front-channel logout: a query and what becomes of it. See conformance/signals/vectors.
type framing struct {
	Name        string
	Description string
	Kind        directory.ConnectionKind // of the connection, if it matters
	At          string                   // whose door: other (connection), none; default: the right one
	Query       string
	Expect      struct {
		Status int
		Ends   []string // the sessions that are dead after it
	}
	Then []framing
}

func TestFrontChannelLogoutVectors(t *testing.T) {
	var all []framing
	decoder := json.NewDecoder(bytes.NewReader(vectors.FrontChannelLogout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	alias := w.op.URL + "/custom"
	w.tx(t, func(tx pgx.Tx) (err error) {
		w.acme, err = w.directory.ChangeConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.Workspace, w.acme.ID, func(c *directory.Connection) { c.LogoutIssuers = []string{alias} })
		return err
	})
	fill := strings.NewReplacer("{{issuer}}", w.op.URL, "{{issuer-escaped}}", url.QueryEscape(w.op.URL), "{{alias}}", alias)
	for _, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			w.signIn(t)
			kind := one.Kind
			if kind == "" {
				kind = directory.Generic
			}
			w.tx(t, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `update connections set kind = $1 where id = $2`, kind, w.acme.ID)
				return err
			})
			at, there := map[string]core.ID{"": w.acme.ID, "other": w.globex.ID, "none": core.NewID()}[one.At]
			if !there {
				t.Fatalf("at %q", one.At)
			}
			for _, step := range append([]framing{one}, one.Then...) {
				answer := w.frame(at, fill.Replace(step.Query))
				if answer.Code != step.Expect.Status || answer.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%d %q %s, want %d", answer.Code, answer.Header().Get("Cache-Control"), answer.Body, step.Expect.Status)
				}
				if policy := answer.Header().Get("Content-Security-Policy"); strings.Contains(policy, "frame-ancestors "+w.op.URL) != (step.Expect.Status == 200) {
					t.Errorf("policy %q", policy)
				}
				dead := w.dead(t)
				if at := slices.Index(dead, "their-ana"); at >= 0 {
					dead[at] = "other"
				}
				if diff := cmp.Diff(step.Expect.Ends, dead); diff != "" {
					t.Errorf("sessions that died (-want +got):\n%s", diff)
				}
			}
		})
	}
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
		answer := w.frame(w.acme.ID, test.query.Encode())
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
	if answer := w.frame(w.acme.ID, "sid=sid-1"); answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if diff := cmp.Diff([]string{"eve"}, w.dead(t)); diff != "" {
		t.Error(diff)
	}
}
