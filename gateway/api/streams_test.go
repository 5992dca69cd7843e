package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/core"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// transmitter answers everything about streams, and keeps the last one's settings.
func transmitter(t *testing.T) *httptest.Server {
	t.Helper()
	stream := map[string]any{"stream_id": "stream-1", "aud": "https://receiver.example"}
	var server *httptest.Server
	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	status := "enabled"
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/ssf-configuration" && r.Header.Get("Authorization") != "Bearer "+canary {
			answer(w, 401, map[string]string{"error": "invalid_token"})
			return
		}
		body := map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&body)
		switch r.Method + " " + r.URL.Path {
		case "GET /.well-known/ssf-configuration":
			answer(w, 200, map[string]any{
				"issuer": server.URL, "jwks_uri": server.URL + "/keys", "configuration_endpoint": server.URL + "/streams", "status_endpoint": server.URL + "/status",
				"verification_endpoint": server.URL + "/verify", "add_subject_endpoint": server.URL + "/add", "remove_subject_endpoint": server.URL + "/remove",
			})
		case "POST /streams", "PATCH /streams":
			for name, value := range body {
				stream[name] = value
			}
			answer(w, map[string]int{"POST": 201, "PATCH": 200}[r.Method], stream)
		case "GET /streams":
			answer(w, 200, stream)
		case "POST /status":
			status = body["status"].(string)
			fallthrough
		case "GET /status":
			answer(w, 200, map[string]string{"stream_id": "stream-1", "status": status})
		case "POST /add":
			w.WriteHeader(200)
		default:
			w.WriteHeader(204)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// receiver is what talks to it.
func (w *world) receiver() *ssf.Service {
	return &ssf.Service{
		DB: w.db, Directory: w.directory, Signals: w.signals, Vault: w.accounts.Vault, Keys: &keys.Cache{HTTP: http.DefaultClient}, HTTP: http.DefaultClient,
		PublicURL: "https://postern.example.com",
	}
}

// streamed makes a stream of a connection.
func (w *world) streamed(t *testing.T, all *things) {
	t.Helper()
	all.transmitter = transmitter(t).URL
	made := w.must(t, 201, "POST", "/connections/"+all.connections+"/streams", all.fill(t, bodies["createStream"]))
	all.streams = made["id"].(string)
}

func TestStreams(t *testing.T) {
	w := newWorld(t)
	connection := w.connect(t, "IdP")
	all := things{connections: connection.ID.String()}
	w.streamed(t, &all)
	got := w.must(t, 200, "GET", "/streams/"+all.streams, "")
	if got["status"] != "enabled" || got["issuer"] != all.transmitter || got["stream_id"] != "stream-1" || got["access_method"] != "bearer" || got["last_error"] != nil ||
		got["push_url"] != "https://postern.example.com/webhooks/"+all.connections+"/ssf/"+all.streams || got["verification_asked"] == nil {
		t.Errorf("%v", got)
	}
	if got := w.must(t, 200, "PUT", "/streams/"+all.streams+"/status", `{"status":"paused","reason":"holidays"}`); got["status"] != "paused" || got["reason"] != "holidays" {
		t.Errorf("%v", got)
	}
	if found := items(w.must(t, 200, "GET", "/streams?connection="+all.connections, "")); len(found) != 1 || found[0]["id"] != all.streams {
		t.Errorf("%v", found)
	}
	if found := items(w.must(t, 200, "GET", "/streams?connection="+core.NewID().String(), "")); len(found) != 0 {
		t.Errorf("%v", found)
	}
	for body, says := range map[string]string{
		`{"delivery":"push","access":{"method":"none"}}`:                                                                  "the transmitter's issuer is needed",
		`{"delivery":"push","issuer":"` + all.transmitter + `","access":{"method":"none"}}`:                               "a credential is needed",
		`{"delivery":"push","issuer":"` + all.transmitter + `/x","access":{"method":"bearer","secret":"` + canary + `"}}`: "tells nothing of Shared Signals",
		`{"delivery":"push","issuer":"` + all.transmitter + `","access":{"method":"client_secret_post","secret":"x"}}`:    "the client id is needed",
	} {
		status, answer := w.ask(t, "acme", "POST", "/connections/"+all.connections+"/streams", body)
		if status != 400 || !strings.Contains(answer["detail"].(string), says) {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	// A header is told only where somebody has to paste it, and the file of a reference is never read for the API.
	made := w.must(t, 201, "POST", "/connections/"+all.connections+"/streams",
		`{"delivery":"push","issuer":"`+all.transmitter+`","access":{"method":"none"},"adopt":true,"audiences":["https://receiver.example"]}`)
	if header, _ := made["authorization_header"].(string); !strings.HasPrefix(header, "Bearer pst_ssf_") {
		t.Errorf("%v", made)
	}
}
