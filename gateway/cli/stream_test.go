package cli_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// transmitter answers what making, pausing and ending a stream asks.
func transmitter(t *testing.T) string {
	t.Helper()
	stream := map[string]any{"stream_id": "stream-1", "aud": "https://receiver.example"}
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&body)
		answer := func(status int, body any) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		}
		switch {
		case r.URL.Path == "/.well-known/ssf-configuration":
			answer(200, map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/keys", "configuration_endpoint": server.URL + "/streams", "status_endpoint": server.URL + "/status"})
		case r.Header.Get("Authorization") != "Bearer canary-token":
			answer(401, map[string]string{"error": "invalid_token"})
		case r.URL.Path == "/streams" && (r.Method == http.MethodPost || r.Method == http.MethodPatch):
			for name, value := range body {
				stream[name] = value
			}
			answer(201, stream)
		case r.URL.Path == "/status":
			if body["status"] == nil {
				body["status"] = "enabled"
			}
			answer(200, body)
		default:
			w.WriteHeader(204)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestStream(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("globex")
	issuer, token := transmitter(t), file(t, "canary-token")
	at := []string{"--public-url", "https://postern.example.com", "--allow-private"}
	d.do("connection", "create", "generic", "--workspace", "acme", "--name", "IdP", "--public-url", "https://postern.example.com")
	create := append([]string{"stream", "create", "IdP", "--workspace", "acme", "--issuer", issuer}, at...)
	d.refused(2, "a credential is needed", create...)
	d.refused(2, "put the secret in a file", append(create, "--token", "canary-token")...)
	d.refused(2, "there is no \"coffee\"", append(create, "--token", token, "--event", "coffee")...)
	d.refused(3, "does not accept our credential (401)", append(create, "--token", file(t, "wrong"))...)
	made := d.json(append(create, "--token", token, "--event", "session-revoked")...)
	stream := made["id"].(string)
	if made["status"] != "enabled" || !strings.HasPrefix(made["push_url"].(string), "https://postern.example.com/webhooks/") || made["authorization_header"] != nil ||
		made["events_requested"].([]any)[0] != "https://schemas.openid.net/secevent/caep/event-type/session-revoked" {
		t.Errorf("%v", made)
	}
	if out := d.do("stream", "list", "--workspace", "acme"); !strings.Contains(out, stream) || !strings.Contains(out, issuer) {
		t.Error(out)
	}
	if out := d.do("stream", "list", "--workspace", "globex"); !strings.Contains(out, "no streams") {
		t.Error(out)
	}
	d.refused(4, "there is no stream", append([]string{"stream", "show", stream, "--workspace", "globex"}, at...)...)
	if out := d.do(append([]string{"stream", "pause", "--workspace", "acme", "--reason", "holidays"}, at...)...); !strings.Contains(out, "paused: holidays") {
		t.Error(out)
	}
	if out := d.do(append([]string{"stream", "resume", stream, "--workspace", "acme"}, at...)...); !strings.Contains(out, "enabled") {
		t.Error(out)
	}
	adopted := d.do(append([]string{"stream", "adopt", "IdP", "--workspace", "acme", "--issuer", issuer, "--audience", "https://receiver.example"}, at...)...)
	if !strings.Contains(adopted, "Bearer pst_ssf_") || !strings.Contains(adopted, "Paste this at the transmitter") {
		t.Error(adopted)
	}
	d.refused(2, "there are 2 streams", append([]string{"stream", "show", "--workspace", "acme"}, at...)...)
	if out := d.do(append([]string{"stream", "delete", stream, "--workspace", "acme"}, at...)...); !strings.Contains(out, "is ended") {
		t.Error(out)
	}
	for _, command := range [][]string{{"create"}, {"adopt"}, {"verify"}, {"subject"}} {
		if code, out, _ := run(append(append([]string{"stream"}, command...), "--help")...); code != 0 || !strings.Contains(out, "transmitter") {
			t.Errorf("%v: %d %s", command, code, out)
		}
	}
}
