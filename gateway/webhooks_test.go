package gateway_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postern/gateway"
)

// A webhook's address is a customer's to choose: no message reaches this network, whatever the address is called.
func TestWebhooksReachNoPrivateAddress(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	inside.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			reached.Add(1)
		}
	}
	inside.StartTLS()
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, func(c *gateway.Config) {
		c.Roles, c.AllowPrivate = []string{gateway.RoleGateway, gateway.RoleWorker}, false
	})
	address, _ := h.start(t)
	ask := func(method, path string, body string) map[string]any {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/api/v1/webhooks"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+h.api)
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var read map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&read); err != nil || answer.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %v", method, path, answer.StatusCode, read)
		}
		return read
	}
	for name, host := range map[string]string{
		"address": "127.0.0.1", "a name of it": "localhost", "in IPv6": "[::ffff:127.0.0.1]", "network": "10.0.0.1", "metadata": "169.254.169.254",
	} {
		made := ask(http.MethodPost, "", `{"name": "`+name+`", "url": "https://`+host+`:`+port+`/"}`)
		at := "/" + made["id"].(string)
		ask(http.MethodPost, at+"/test", "{}")
		said := ""
		eventually(t, name+" is tried", func() bool {
			said, _ = ask(http.MethodGet, at, "")["last_error"].(string)
			return said != ""
		})
		if !strings.Contains(said, "private addresses are not allowed here") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("%d connections were made", reached.Load())
	}
}
