package siem_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/siem/elasticsearch"
	"postern/siem/otlp"
	"postern/siem/sink"
	"postern/siem/splunk"
	"postern/siem/sumologic"
	"postern/siem/syslog"
	"postern/siem/transport"
	"postern/siem/transporttest"
	"postern/siem/webhook"
)

// The secrets of all receivers. Each holds the word canary, in clear or encoded.
const (
	token    = "canary-0d3c4e5f"
	previous = "canary-before-0d3c"
	code     = "ZaVnC4dhaV1canary0d3c=="
	search   = "canary-search-0d3c"
	signing  = "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LTAx"
)

// leaks lists what must be in no log and no error: the secrets, and what is made of them.
var leaks = []string{"canary", code, url.QueryEscape(code), signing, strings.TrimPrefix(signing, "whsec_"), base64.StdEncoding.EncodeToString([]byte("postern:" + token)), "/receiver/v1/http"}

// receivers makes each of those that send over HTTP, and what must not be told of its settings.
func receivers(t *testing.T, address string) map[string]sink.Receiver {
	t.Helper()
	dial := new(net.Dialer).DialContext
	made := map[string]sink.Receiver{}
	keep := func(name string) func(sink.Receiver, error) {
		return func(receiver sink.Receiver, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(name, err)
			}
			made[name] = receiver
		}
	}
	secret := transporttest.Secret
	one, err := splunk.New(splunk.Settings{URLs: []string{address}, SearchURL: address, TimeoutSeconds: 1}, splunk.Secrets{Token: secret(token), Previous: secret(previous), SearchToken: secret(search)}, dial)
	keep("splunk")(one, err)
	acknowledged, err := splunk.New(splunk.Settings{URLs: []string{address, address}, Acknowledge: true, TimeoutSeconds: 1}, splunk.Secrets{Token: secret(token)}, dial)
	if err == nil {
		acknowledged.Clock = transporttest.NewClock()
	}
	keep("splunk with acknowledgement")(acknowledged, err)
	sumo, err := sumologic.New(sumologic.Settings{TimeoutSeconds: 1}, sumologic.Secrets{URL: secret(address + "/receiver/v1/http/" + code)}, dial)
	keep("sumologic")(sumo, err)
	logs, err := otlp.New(otlp.Settings{URL: address, TimeoutSeconds: 1}, otlp.Secrets{Authorization: secret("Bearer " + token)}, dial)
	keep("otlp")(logs, err)
	key, err := elasticsearch.New(elasticsearch.Settings{URL: address, TimeoutSeconds: 1}, elasticsearch.Secrets{APIKey: secret(token)}, dial)
	keep("elasticsearch")(key, err)
	basic, err := elasticsearch.New(elasticsearch.Settings{URL: address, Username: "postern", TimeoutSeconds: 1}, elasticsearch.Secrets{Password: secret(token)}, dial)
	keep("elasticsearch with a password")(basic, err)
	hook, err := webhook.New(webhook.Settings{URL: address, TimeoutSeconds: 1}, webhook.Secrets{Signing: secret(signing), Previous: secret(signing + "canary")}, dial)
	keep("webhook")(hook, err)
	for _, receiver := range made {
		if closer, ok := receiver.(io.Closer); ok {
			t.Cleanup(func() { _ = closer.Close() })
		}
	}
	return made
}

// told looks for secrets in all a program can make of a value: texts, logs as text and as JSON.
func told(t *testing.T, what string, values ...any) {
	t.Helper()
	var out bytes.Buffer
	for _, value := range values {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", value, value, value, value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("what happened", "value", value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("what happened", "value", value)
		if text, err := json.Marshal(value); err == nil {
			out.Write(text)
		}
	}
	for _, leak := range leaks {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%s tells %q", what, leak)
		}
	}
}

// ask makes a receiver do all it can do.
func ask(t *testing.T, what string, receiver sink.Receiver) {
	t.Helper()
	told(t, what+": the receiver", receiver)
	answer := receiver.Send(t.Context(), transporttest.Events(t, 2))
	told(t, what, answer)
	if answer.Verdict != sink.Accepted && answer.Reason == "" {
		t.Errorf("%s: no reason", what)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if asked, can := receiver.(sink.Checker); can {
		told(t, what+": check", asked.Check(ctx))
	}
	if asked, can := receiver.(sink.Holder); can {
		if _, err := asked.Holds(ctx, core.NewID(), 1, 5); err != nil {
			told(t, what+": missing", err, core.AsError(err), core.AsError(err).Err)
		}
	}
}

// TestNoAnswerMakesASecretKnown answers with every status and shape there is, and says back all that was sent.
func TestNoAnswerMakesASecretKnown(t *testing.T) {
	bodies := map[string]string{
		"plain":         "%s",
		"html":          "<html>%s</html>",
		"splunk":        `{"text":%q,"code":4}`,
		"splunk, busy":  `{"text":%q,"code":9,"invalid-event-number":1}`,
		"splunk, data":  `{"text":%q,"code":6,"invalid-event-number":1}`,
		"splunk, taken": `{"text":%q,"code":24,"ackId":1}`,
		"splunk search": `{"messages":[{"type":"FATAL","text":%q}]}`,
		"sumo logic":    `{"status":400,"code":"a","message":%q}`,
		"elasticsearch": `{"error":{"type":"security_exception","reason":%q},"status":401}`,
		"bulk":          `{"errors":true,"items":[{"create":{"status":400,"error":{"type":"a","reason":%q}}},{"create":{"status":201}}]}`,
		"grpc status":   "\x12\x7f%s",
	}
	for _, status := range []int{200, 204, 302, 400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503} {
		for shape, body := range bodies {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				bare := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "Splunk "), "Bearer "), "ApiKey ")
				echo := strings.Join([]string{r.Header.Get("Authorization"), bare, r.URL.String(), r.URL.Path, strings.TrimPrefix(r.URL.Path, "/receiver/v1/http/")}, " ")
				if user, password, ok := r.BasicAuth(); ok {
					echo += " " + user + " " + password
				}
				if shape == "grpc status" {
					echo = (echo + strings.Repeat(".", 127))[:127]
				}
				w.Header().Set("Location", "http://elsewhere.invalid"+r.URL.Path)
				w.Header().Set("Retry-After", bare)
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, body, echo)
			}))
			for name, receiver := range receivers(t, server.URL) {
				ask(t, fmt.Sprintf("%s, %d %s", name, status, shape), receiver)
			}
			server.Close()
		}
	}
}

// TestNoFaultOnTheWayMakesASecretKnown breaks every part of the way.
func TestNoFaultOnTheWayMakesASecretKnown(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer silent.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
			connection.Close()
		}
	}))
	defer broken.Close()
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()
	for what, address := range map[string]string{
		"nobody there": "http://127.0.0.1:1", "no such name": "http://receiver.invalid", "no answer": silent.URL, "connection lost": broken.URL,
		"another certificate": stranger.URL, "no TLS there": strings.Replace(broken.URL, "http:", "https:", 1),
	} {
		for name, receiver := range receivers(t, address) {
			ask(t, name+", "+what, receiver)
		}
	}
}

// TestNoSettingMakesASecretKnown puts secrets where they do not belong: what is wrong is said, and not what it was.
func TestNoSettingMakesASecretKnown(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString([]byte(token)) + "\n-----END PRIVATE KEY-----\n"
	address := "https://user:" + token + "@receiver.example.com"
	for name, err := range map[string]error{
		"splunk":        splunk.Settings{URLs: []string{address}}.Validate(),
		"splunk, query": splunk.Settings{URLs: []string{"https://a?token=" + token}}.Validate(),
		"splunk, key":   splunk.Settings{URLs: []string{"https://a"}, TLS: transport.TLS{Certificate: key}}.Validate(),
		"sumologic":     sumologic.Settings{Category: "a\n" + token, Fields: nil}.Validate(),
		"otlp":          otlp.Settings{URL: "https://a", Headers: map[string]string{"Authorization": token}}.Validate(),
		"otlp, url":     otlp.Settings{URL: address}.Validate(),
		"elasticsearch": elasticsearch.Settings{URL: address}.Validate(),
		"webhook":       webhook.Settings{URL: address}.Validate(),
		"syslog":        syslog.Settings{Address: "user:" + token + "@a:1"}.Validate(),
		"syslog, key":   syslog.Settings{Address: "a:1", TLS: transport.TLS{CA: key}}.Validate(),
	} {
		if err == nil {
			t.Errorf("%s: it is taken", name)
			continue
		}
		told(t, name, err, core.AsError(err))
		if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(token))) {
			t.Errorf("%s tells the key", name)
		}
	}
}
