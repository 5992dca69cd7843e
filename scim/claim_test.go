package scim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
)

// revoke takes the house's token away, behind the endpoint's back as another process would.
func (h house) revoke(t testing.TB) {
	t.Helper()
	const remove = `delete from connection_tokens where workspace_id = @workspace and connection_id = @connection`
	_, err := h.DB.Exec(t.Context(), remove, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID})
	must(t, err)
}

// A change begins before its token is looked up. From the commit of a revocation on it comes to nothing
// all the same, and whoever sends it learns nothing.
func TestARecalledTokenThatWasRevoked(t *testing.T) {
	for name, change := range map[string]struct{ method, path, body string }{
		"create":       {"POST", "/Users", `{"userName":"new@example.com"}`},
		"a taken name": {"POST", "/Users", `{"userName":"ana@example.com"}`},
		"a bad body":   {"POST", "/Users", `{"userName":`},
		"replace":      {"PUT", "/Users/%s", `{"userName":"ana@example.com","displayName":"Ana"}`},
		"patch":        {"PATCH", "/Users/%s", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`},
		"no change":    {"PATCH", "/Users/%s", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":true}}]}`},
		"delete":       {"DELETE", "/Users/%s", ""},
		"nobody":       {"DELETE", "/Users/0198e2a0-0000-7000-8000-000000000000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, directory.Okta)
			ana := w.acme.join(t, "ana@example.com") // the token is known now
			w.other.join(t, "ana@example.com")
			w.acme.revoke(t)
			before, others := w.acme.stored(t), w.other.stored(t)
			path := change.path
			if path == "/Users/%s" {
				path = fmt.Sprintf(path, ana)
			}
			for range 2 {
				got := w.acme.call(t, change.method, path, change.body).wantError(t, 401, "")
				if got.header.Get("X-Correlation-Id") != "" || got.header.Get("Postern-Rules") != "" {
					t.Errorf("tells a stranger %v", got.header)
				}
			}
			if w.acme.stored(t) != before || w.other.stored(t) != others {
				t.Error("something was done by a revoked token")
			}
		})
	}
}

// What is changed of a connection holds for the next request, whatever was remembered of it.
func TestARecalledConnectionThatWasChanged(t *testing.T) {
	w := open(t, directory.Okta)
	w.acme.join(t, "ana@example.com")
	const unusual = `{"userName":"bo@example.com","active":"true"}`
	must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.Directory.ChangeConnection(t.Context(), tx, w.acme.cause(), w.acme.workspace, w.acme.connection.ID, func(c *directory.Connection) {
			c.Provisioning.Profile = directory.ProfileStrict
		})
		return err
	}))
	w.acme.call(t, "POST", "/Users", unusual).want(t, 400)
	w.other.call(t, "POST", "/Users", unusual).want(t, 201)
	w.acme.call(t, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bo@example.com"}`).want(t, 201)
}

// A token that is used for writing alone is looked up, and its use written down, once a minute.
func TestAClaimIsOldAfterAMinute(t *testing.T) {
	w := open(t, directory.Okta)
	now := time.Now()
	w.Directory.Now = func() time.Time { return now }
	last := func() time.Time {
		tokens, err := w.Directory.ConnectionTokens(t.Context(), w.DB, w.acme.workspace, w.acme.connection.ID)
		must(t, err)
		return *tokens[0].LastUsed
	}
	w.acme.join(t, "a@example.com")
	first := last()
	now = now.Add(59 * time.Second)
	w.acme.join(t, "b@example.com")
	if !last().Equal(first) {
		t.Error("used within the minute")
	}
	now = now.Add(2 * time.Second)
	w.acme.join(t, "c@example.com")
	if !last().After(first) {
		t.Error("a minute later nobody wrote down that the token is used")
	}
}
