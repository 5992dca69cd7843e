package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"postern/gateway"
	"postern/siem/sink"
	"postern/siem/transporttest"
)

// An operator's sink is all that a sink can be: several endpoints, an authority of one's own, a certificate that is shown,
// two tokens, each read when it is used.
func TestASinkOfTheOperatorHasAllSettings(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	certificate, key := authority.Sign(t, "postern")
	var mutex sync.Mutex
	var offered []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Splunk ")
		offered = append(offered, token)
		if token == "first" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"text":"Invalid token","code":4}`)
			return
		}
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(authority.PEM))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair(t, "splunk")}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()
	token, previous := secretFile(t, "first"), secretFile(t, "second")
	described, err := json.Marshal(map[string]any{
		"kind":        "splunk",
		"settings":    map[string]any{"urls": []string{server.URL, server.URL}, "tls": map[string]string{"ca": secretFile(t, authority.PEM), "certificate": secretFile(t, certificate)}},
		"credentials": map[string]string{"token": token, "previous": previous, "key": secretFile(t, key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	destinations := gateway.Destinations{Sinks: []string{"siem-2=" + secretFile(t, string(described))}}
	found, err := destinations.SharedSinks(true)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	receiver, err := found["siem-2"].Open(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = receiver.Close() }()
	send := func(want ...string) {
		t.Helper()
		mutex.Lock()
		offered = nil
		mutex.Unlock()
		if said := receiver.Send(t.Context(), transporttest.Small(1)); said.Verdict != sink.Accepted {
			t.Fatalf("%+v", said)
		}
		if strings.Join(offered, " ") != strings.Join(want, " ") {
			t.Fatalf("offered %v, want %v", offered, want)
		}
	}
	send("first", "second")
	if err := os.WriteFile(strings.TrimPrefix(token, "file:"), []byte("third\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	send("third")
}

func TestEveryKindIsForOperatorsToo(t *testing.T) {
	for name, text := range map[string]string{
		"splunk":        `{"kind":"splunk","settings":{"urls":["https://a.example.com:8088","https://b.example.com:8088"],"acknowledge":true},"credentials":{"token":"REF"}}`,
		"sumologic":     `{"kind":"sumologic","credentials":{"url":"REF"}}`,
		"otlp":          `{"kind":"otlp","settings":{"url":"https://collector.example.com:4318"}}`,
		"elasticsearch": `{"kind":"elasticsearch","settings":{"url":"https://elasticsearch.example.com:9200"},"credentials":{"api_key":"REF"}}`,
		"syslog":        `{"kind":"syslog","settings":{"address":"syslog.example.com:6514"}}`,
		"webhook":       `{"kind":"webhook","settings":{"url":"https://hook.example.com"},"credentials":{"signing":"SIGNING"}}`,
		"files":         `{"kind":"files","settings":{"folder":"/var/lib/postern/events","max_seconds":60}}`,
	} {
		text = strings.NewReplacer("REF", secretFile(t, "https://collectors.example.com/canary"), "SIGNING", secretFile(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).Replace(text)
		found, err := gateway.Destinations{Sinks: []string{"one=" + secretFile(t, text)}}.SharedSinks(false)
		if err != nil || found["one"].Kind != name {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

func TestTheShortFormsAreSinks(t *testing.T) {
	found, err := gateway.Destinations{
		SplunkURL: "https://splunk.example.com:8088", SplunkToken: secretFile(t, "canary"), SplunkIndex: "security", SumoURL: secretFile(t, "https://sumo.example.com/canary"), EventsFolder: "/var/lib/postern/events",
	}.SharedSinks(false)
	if err != nil || len(found) != 3 || found["splunk"].Kind != "splunk" || !strings.Contains(string(found["splunk"].Settings), `"index":"security"`) || found["sumologic"].Kind != "sumologic" || found["files"].Kind != "files" {
		t.Fatalf("%+v %v", found, err)
	}
}

func TestFaultsOfSinksOfTheOperator(t *testing.T) {
	good := `{"kind":"syslog","settings":{"address":"syslog.example.com:6514"}}`
	token := secretFile(t, "canary")
	for _, test := range []struct {
		says string
		with gateway.Destinations
	}{
		{"NAME=file:PATH", gateway.Destinations{Sinks: []string{"file:sink.json"}}},
		{"NAME=file:PATH", gateway.Destinations{Sinks: []string{"SIEM=" + secretFile(t, good)}}},
		{"NAME=file:PATH", gateway.Destinations{Sinks: []string{"relay=" + secretFile(t, good)}}},
		{`"one" is given twice`, gateway.Destinations{Sinks: []string{"one=" + secretFile(t, good), "one=" + secretFile(t, good)}}},
		{"--splunk-url: there is a --sink", gateway.Destinations{Sinks: []string{"splunk=" + secretFile(t, good)}, SplunkURL: "https://splunk.example.com", SplunkToken: token}},
		{"one: the file /nowhere/at/all cannot be read", gateway.Destinations{Sinks: []string{"one=file:/nowhere/at/all"}}},
		{"a JSON object is needed", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","setings":{}}`)}}},
		{"a JSON object is needed", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, good+good)}}},
		{"settings: the settings are no JSON object", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","settings":[]}`)}}},
		{"a sink is one of elasticsearch, files", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"pigeon"}`)}}},
		{"settings.address: host:port", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","settings":{"address":"syslog"}}`)}}},
		{"there is no setting", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","settings":{"host":"syslog.example.com:6514"}}`)}}},
		{"https is needed", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"splunk","settings":{"urls":["http://splunk.example.com:8088"]},"credentials":{"token":"`+token+`"}}`)}}},
		{"credentials.token: token is needed", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"splunk","settings":{"urls":["https://splunk.example.com:8088"]}}`)}}},
		{"credentials.token: a secret is given as file:PATH", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"splunk","settings":{"urls":["https://splunk.example.com:8088"]},"credentials":{"token":"canary"}}`)}}},
		{"there is no credential", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","settings":{"address":"syslog.example.com:6514"},"credentials":{"token":"`+token+`"}}`)}}},
		{"settings.tls.ca: the file /nowhere/at/all", gateway.Destinations{Sinks: []string{"one=" + secretFile(t, `{"kind":"syslog","settings":{"address":"syslog.example.com:6514","tls":{"ca":"file:/nowhere/at/all"}}}`)}}},
	} {
		_, err := test.with.SharedSinks(false)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", test.says, err)
		}
	}
}
