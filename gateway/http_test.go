package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/gateway"
	"postern/gateway/problem"
	"postern/webhooks/transmitter"
)

func TestTheWholeSurface(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	for _, test := range []struct {
		name, method, path string
		headers            []string
		status             int
		kind               string
	}{
		{"alive", "GET", "/healthz", nil, 200, "application/json"},
		{"ready", "GET", "/readyz", nil, 200, "application/json"},
		{"metrics", "GET", "/metrics", nil, 200, "text/plain"},
		{"the API's document", "GET", "/api/v1/openapi.json", nil, 200, "application/openapi+json"},
		{"the API", "GET", "/api/v1/users", []string{"Authorization", "Bearer " + h.api}, 200, "application/json"},
		{"the API without a token", "GET", "/api/v1/users", nil, 401, problem.ContentType},
		{"SCIM", "GET", "/scim/v2/Users", []string{"Authorization", "Bearer " + h.scim}, 200, "application/scim+json"},
		{"SCIM without a token", "GET", "/scim/v2/Users", nil, 401, "application/scim+json"},
		{"the token endpoint", "POST", "/scim/oauth/token", []string{"Content-Type", "application/x-www-form-urlencoded"}, 401, "application/json"},
		{"an unknown page of SCIM", "GET", "/scim/v2/Nothing", []string{"Authorization", "Bearer " + h.scim}, 404, "application/scim+json"},
		{"nobody's keys", "GET", "/jwks/0191aaaa-0000-7000-8000-000000000001", nil, 200, "application/jwk-set+json"},
		{"no workspace's keys", "GET", "/jwks/x", nil, 200, "application/jwk-set+json"},
		{"the console", "GET", "/", []string{"Cookie", h.cookie, "Accept", "text/html"}, 200, "text/html"},
		{"an unknown page", "GET", "/nothing/at/all", nil, 404, problem.ContentType},
		{"an unknown page of the API", "GET", "/api/v2/users", nil, 404, problem.ContentType},
		{"a slash too many", "GET", "/healthz/", nil, 404, problem.ContentType},
		{"another method", "DELETE", "/healthz", nil, 405, problem.ContentType},
		{"a method that is none", "BREW", "/healthz", nil, 405, problem.ContentType},
		{"another method of the API", "PUT", "/api/v1/users", nil, 405, problem.ContentType},
		{"a webhook by GET", "GET", h.logout, nil, 405, problem.ContentType},
	} {
		answer, body := ask(t, handler, test.method, test.path, nil, test.headers...)
		if answer.StatusCode != test.status || !strings.HasPrefix(answer.Header.Get("Content-Type"), test.kind) {
			t.Errorf("%s: %d as %q: %.200s", test.name, answer.StatusCode, answer.Header.Get("Content-Type"), body)
		}
		if (answer.StatusCode == http.StatusMethodNotAllowed) != (answer.Header.Get("Allow") != "") {
			t.Errorf("%s: %d with Allow %q", test.name, answer.StatusCode, answer.Header.Get("Allow"))
		}
		for _, header := range []string{"X-Request-Id", "X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Strict-Transport-Security"} {
			if answer.Header.Get(header) == "" {
				t.Errorf("%s: no %s", test.name, header)
			}
		}
		if test.kind == problem.ContentType {
			var told problem.Problem
			if err := json.Unmarshal([]byte(body), &told); err != nil || told.Status != test.status || told.RequestID != answer.Header.Get("X-Request-Id") || told.Detail == "" {
				t.Errorf("%s: %s", test.name, body)
			}
		}
	}
}

// An IdP's forms are filled in with what AddressesOf says.
func TestAddressesAreRoutes(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	id := strings.TrimSuffix(strings.TrimPrefix(h.logout, "/webhooks/"), "/universal-logout")
	connection, err := core.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	addresses := gateway.AddressesOf(h.config.PublicURL+"/", connection)
	for address, method := range map[string]string{
		addresses.SCIM + "/ServiceProviderConfig": "GET", addresses.SignIn: "GET", addresses.Redirect: "GET", addresses.SignedOut: "GET",
		addresses.UniversalLogout: "POST",
	} {
		path, ok := strings.CutPrefix(address, "https://postern.example.com/")
		answer, body := ask(t, handler, method, "/"+path, nil)
		if !ok || answer.StatusCode == http.StatusMethodNotAllowed || strings.Contains(body, "there is no such page") {
			t.Errorf("%s %s: %d %.100s", method, address, answer.StatusCode, body)
		}
	}
}

// What SCIM says the gateway tells of is what its transmitter tells of.
func TestSCIMTellsOfTheTransmittersEvents(t *testing.T) {
	h := build(t, nil)
	if err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		people := &directory.Directory{DB: h.db}
		connections, err := people.Connections(t.Context(), tx, h.workspace.ID)
		if err != nil {
			return err
		}
		_, err = people.ChangeConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), h.workspace.ID, connections[0].ID, func(c *directory.Connection) {
			c.Provisioning.SecurityEvents = true
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	answer, body := ask(t, h.handler(t), "GET", "/scim/v2/ServiceProviderConfig", nil, "Authorization", "Bearer "+h.scim)
	var config struct{ SecurityEvents struct{ EventURIs []string } }
	if err := json.Unmarshal([]byte(body), &config); err != nil || !slices.Equal(config.SecurityEvents.EventURIs, transmitter.SCIMEvents()) {
		t.Errorf("%d %s: %v", answer.StatusCode, body, err)
	}
}

// A workspace's keys are found where its tokens say, may be remembered, and are asked for again cheaply.
func TestPublishedKeys(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	path := "/jwks/" + h.workspace.ID.String()
	if answer, body := ask(t, handler, "GET", path, nil); answer.StatusCode != 200 || body != `{"keys":[]}` {
		t.Errorf("before the first: %d %s", answer.StatusCode, body)
	}
	if err := h.gateway.Signing().Prepare(t.Context(), core.NewCause(core.System, time.Now()), h.workspace.ID); err != nil {
		t.Fatal(err)
	}
	answer, body := ask(t, handler, "GET", path, nil)
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 1 || set.Keys[0]["kty"] != "RSA" || set.Keys[0]["alg"] != "RS256" || set.Keys[0]["kid"] == "" || set.Keys[0]["d"] != "" {
		t.Fatalf("%d %s, %v", answer.StatusCode, body, err)
	}
	tag := answer.Header.Get("ETag")
	if again, body := ask(t, handler, "GET", path, nil, "If-None-Match", tag); tag == "" || again.StatusCode != 304 || body != "" || again.Header.Get("ETag") != tag {
		t.Errorf("asked again: %d %s", again.StatusCode, body)
	}
	if answer.Header.Get("Cache-Control") != "public, max-age=900" {
		t.Errorf("Cache-Control is %q", answer.Header.Get("Cache-Control"))
	}
}

func TestRequestIDs(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	answer, _ := ask(t, handler, "GET", "/api/v1/users", nil, "Authorization", "Bearer "+h.api, "X-Request-Id", "trace-0123456789")
	if answer.Header.Get("X-Request-Id") != "trace-0123456789" || !strings.Contains(h.log.String(), `"request_id":"trace-0123456789"`) {
		t.Errorf("answered with %q, log %s", answer.Header.Get("X-Request-Id"), h.log)
	}
	if strings.Contains(h.log.String(), h.api) {
		t.Error("the log holds the token")
	}
}

// Each protocol says in its own words that a body is too large, whether its length is told or not.
func TestBodiesTooLarge(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	for _, test := range []struct {
		path, token, kind, says string
	}{
		{"/api/v1/apps", h.api, problem.ContentType, `"code":"too_large"`},
		{"/scim/v2/Users", h.scim, "application/scim+json", `urn:ietf:params:scim:api:messages:2.0:Error`},
		{"/sso/sign-out", "", problem.ContentType, `"code":"too_large"`},
	} {
		for _, told := range []bool{true, false} {
			if !told && test.token == "" {
				continue // it does not read its body
			}
			body := strings.NewReader(strings.Repeat(" ", 3<<20))
			length := int64(body.Len())
			if !told {
				length = -1
			}
			answer, text := askWith(t, handler, "POST", test.path, body, length, "Authorization", "Bearer "+test.token, "Content-Type", "application/json")
			if answer.StatusCode != 413 || answer.Header.Get("Content-Type") != test.kind || !strings.Contains(text, test.says) {
				t.Errorf("%s, length told %v: %d as %q: %.200s", test.path, told, answer.StatusCode, answer.Header.Get("Content-Type"), text)
			}
		}
	}
	// Who has no valid token learns that before anything else, in the webhook's words.
	answer, text := ask(t, handler, "POST", h.logout, strings.NewReader(strings.Repeat(" ", 3<<20)), "Content-Type", "application/json")
	if answer.StatusCode != 401 || !strings.Contains(text, `"error"`) {
		t.Errorf("the webhook: %d %.200s", answer.StatusCode, text)
	}
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	h := build(t, func(c *gateway.Config) { c.TrustedProxies = []string{"192.0.2.0/24"} })
	handler := h.handler(t)
	for _, test := range []struct{ name, from, forwarded, want string }{
		{"through the proxy", "192.0.2.7:1234", "203.0.113.9", "203.0.113.9"},
		{"through the proxy, with a forged beginning", "192.0.2.7:1234", "198.51.100.1, 203.0.113.10", "203.0.113.10"},
		{"past the proxy", "198.51.100.2:1234", "203.0.113.11", "198.51.100.2"},
	} {
		before := len(h.log.String())
		askFrom(t, handler, test.from, "/api/v1/users", "X-Forwarded-For", test.forwarded)
		if line := h.log.String()[before:]; !strings.Contains(line, `"address":"`+test.want+`"`) {
			t.Errorf("%s: %s, want %s", test.name, line, test.want)
		}
	}
}
