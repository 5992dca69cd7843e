package splunk

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

const canary = "0d3c4e5f-canary-token"

func made(t testing.TB, settings Settings, secrets Secrets) *Receiver {
	t.Helper()
	receiver, err := New(settings, secrets, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

func receiver(t testing.TB, urls ...string) *Receiver {
	return made(t, Settings{URLs: urls}, Secrets{Token: transporttest.Secret(canary + "\n")})
}

// answering is a server that gives one answer to everything.
func answering(t testing.TB, status int, header http.Header, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestEveryRowOfTheTable is the table of the collector's answers: one test for each status and code.
func TestEveryRowOfTheTable(t *testing.T) {
	const said, wait = `{"text":"What Splunk says %[2]s","code":%[1]d}`, "7"
	for _, row := range []struct {
		name         string
		status, code int
		number       int    // invalid-event-number, unless it is -1
		body         string // instead of the code
		want         sink.Verdict
		says         string
	}{
		{"Success", 200, 0, -1, "", sink.Accepted, ""},
		{"Queue approaching capacity", 200, 24, -1, "", sink.Accepted, "nearly full"},
		{"ACK approaching capacity", 200, 25, -1, "", sink.Accepted, "nearly full"},
		{"Healthy", 200, 17, -1, "", sink.Accepted, ""},

		{"Internal server error", 500, 8, -1, "", sink.Busy, "code 8"},
		{"Internal server error at an event", 500, 8, 3, "", sink.Busy, "stopped at event 3"},
		{"Server is busy", 503, 9, -1, "", sink.Busy, "code 9"},
		{"Server is busy at an event", 503, 9, 2, "", sink.Busy, "stopped at event 2"},
		{"Server is shutting down", 503, 23, -1, "", sink.Busy, "code 23"},
		{"Queue at capacity", 429, 26, -1, "", sink.Busy, "code 26"},
		{"ACK channel at capacity", 429, 27, -1, "", sink.Busy, "code 27"},
		{"Unhealthy, queues full", 503, 18, -1, "", sink.Busy, "code 18"},
		{"Unhealthy, no acknowledgement", 503, 19, -1, "", sink.Busy, "code 19"},
		{"Unhealthy, both", 503, 20, -1, "", sink.Busy, "code 20"},

		{"Token disabled", 403, 1, -1, "", sink.Misconfigured, "enable the token"},
		{"Token is required", 401, 2, -1, "", sink.Misconfigured, "got no token"},
		{"Invalid authorization", 401, 3, -1, "", sink.Misconfigured, "check it"},
		{"Invalid token", 403, 4, -1, "", sink.Misconfigured, "check it"},
		{"Incorrect index", 400, 7, 1, "", sink.Misconfigured, "index does not exist"},
		{"Data channel is missing", 400, 10, -1, "", sink.Misconfigured, "set acknowledge"},
		{"Invalid data channel", 400, 11, -1, "", sink.Misconfigured, "set acknowledge"},
		{"ACK is disabled", 400, 14, -1, "", sink.Misconfigured, "unset acknowledge"},
		{"Query authorization is off", 400, 16, -1, "", sink.Misconfigured, "in the query"},
		{"Invalid token (health)", 400, 21, -1, "", sink.Misconfigured, "check it"},
		{"Token disabled (health)", 400, 22, -1, "", sink.Misconfigured, "enable the token"},

		{"No data", 400, 5, -1, "", sink.Refused, "code 5"},
		{"Invalid data format", 400, 6, 3, "", sink.Refused, "code 6"},
		{"Event field is required", 400, 12, 3, "", sink.Refused, "code 12"},
		{"Event field cannot be blank", 400, 13, 3, "", sink.Refused, "code 13"},
		{"Error in indexed fields", 400, 15, 3, "", sink.Refused, "code 15"},
		{"Refused without a number", 400, 6, -1, "", sink.Refused, "code 6"},

		{"Too large", 413, 0, -1, "<html>Request Entity Too Large</html>", sink.TooLarge, "413"},

		{"A code nobody knows, 400", 400, 99, 3, "", sink.Refused, "code 99"},
		{"A code nobody knows, 503", 503, 99, -1, "", sink.Busy, "code 99"},
		{"A success code with a failure", 503, 0, -1, "", sink.Busy, "code 0"},
		{"A success code with 401", 401, 0, -1, "", sink.Misconfigured, "code 0"},
		{"HTML with 200", 200, 0, -1, "<html>Welcome to the portal</html>", sink.Misconfigured, "not as an HTTP Event Collector"},
		{"Nothing with 200", 200, 0, -1, " ", sink.Misconfigured, "not as an HTTP Event Collector"},
		{"HTML with 403", 403, 0, -1, "<html>forbidden</html>", sink.Misconfigured, "403"},
		{"HTML with 502", 502, 0, -1, "<html>bad gateway</html>", sink.Busy, "502"},
		{"HTML with 503", 503, 0, -1, "<html>unavailable</html>", sink.Busy, "503"},
		{"HTML with 504", 504, 0, -1, "<html>timeout</html>", sink.Busy, "504"},
		{"404", 404, 0, -1, "not found", sink.Misconfigured, "check the address"},
		{"A redirect", 302, 0, -1, "see there", sink.Misconfigured, "another address"},
		{"HTTP at an HTTPS port", 400, 0, -1, "The plain HTTP request was sent to HTTPS port", sink.Misconfigured, "400"},
		{"408", 408, 0, -1, "slow", sink.Busy, "408"},
	} {
		t.Run(fmt.Sprintf("%d %d %s", row.status, row.code, row.name), func(t *testing.T) {
			body := row.body
			if body == "" {
				body = fmt.Sprintf(said, row.code, canary)
				if row.number >= 0 {
					body = strings.TrimSuffix(body, "}") + fmt.Sprintf(`,"invalid-event-number":%d}`, row.number)
				}
			}
			header := http.Header{"Location": {"http://elsewhere.invalid/" + canary}, "Retry-After": {wait}}
			got := receiver(t, answering(t, row.status, header, body)).Send(t.Context(), transporttest.Small(5))
			if got.Verdict != row.want || !strings.Contains(got.Reason, row.says) || row.says == "" && got.Reason != "" {
				t.Errorf("got %+v, want verdict %d saying %q", got, row.want, row.says)
			}
			if strings.Contains(got.Reason, "canary") {
				t.Errorf("the token is told: %s", got.Reason)
			}
			if want := row.number; row.want == sink.Refused && got.Event != want || row.want != sink.Refused && got.Event > 0 {
				t.Errorf("event %d is named, want %d", got.Event, want)
			}
			if row.want == sink.Busy && got.RetryAfter != 7*time.Second {
				t.Errorf("Retry-After is not honoured: %+v", got)
			}
			if (row.code == 24 || row.code == 25) && got.RetryAfter < slowDown {
				t.Errorf("it is not spared: %+v", got)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "soon": 0, "-1": 0, "999999": time.Hour} {
		got := receiver(t, answering(t, 429, http.Header{"Retry-After": {text}}, `{"text":"HEC queue at capacity","code":26}`)).Send(t.Context(), transporttest.Small(1))
		if got.Verdict != sink.Busy || got.RetryAfter != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestTheRequestIsWhatHECWants(t *testing.T) {
	var path, authorization string
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, authorization = r.URL.Path, r.Header.Get("Authorization")
		unpacked, err := gzip.NewReader(r.Body)
		if err == nil {
			body, err = io.ReadAll(unpacked)
		}
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer server.Close()
	collector := made(t, Settings{URLs: []string{server.URL + "/"}, Index: "audit", Host: `postern "1"`}, Secrets{Token: transporttest.Secret(canary)})
	sent := transporttest.Small(3)
	if got := collector.Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	if path != "/services/collector/event" || authorization != "Splunk "+canary {
		t.Fatalf("%s %s", path, authorization)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for i := range sent {
		var got struct {
			Time                            json.Number
			Host, Source, Sourcetype, Index string
			Fields                          map[string]string
			Event                           map[string]int
		}
		if err := decoder.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Time != "1800000000.123456" || got.Host != `postern "1"` || got.Source != "postern" || got.Index != "audit" || got.Sourcetype != "postern:ocsf" || got.Event["n"] != i ||
			got.Fields["event_id"] != sent[i].ID.String() || got.Fields["workspace"] != sent[i].Workspace.String() || got.Fields["sequence"] != fmt.Sprint(i+1) {
			t.Fatalf("%+v", got)
		}
	}
	if decoder.More() {
		t.Fatal("there is more than was sent")
	}
}

func TestNoRequestIsLargerThanAMegabyte(t *testing.T) {
	largest, count, ids := 0, 0, map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		text, _ := io.ReadAll(unpacked)
		largest, count = max(largest, len(text)), count+1
		for line := range bytes.Lines(text) {
			var one struct{ Fields map[string]string }
			if err := json.Unmarshal(line, &one); err != nil {
				t.Error(err)
			}
			ids[one.Fields["event_id"]] = true
		}
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer server.Close()
	sent := transporttest.Small(2500)
	for i := range sent {
		sent[i].Value = fmt.Appendf(nil, `{"n":%q}`, strings.Repeat("x", 900))
	}
	if got := receiver(t, server.URL).Send(t.Context(), sent); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if largest > 1_000_000 || count != 3 || len(ids) != len(sent) {
		t.Fatalf("%d requests of up to %d bytes brought %d events", count, largest, len(ids))
	}
}

func TestAnEventRefusedInALaterRequestIsNamed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		text, _ := io.ReadAll(unpacked)
		for place, line := range bytes.Split(text, []byte("\n")) {
			if bytes.Contains(line, []byte("poison")) {
				w.WriteHeader(400)
				fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, place)
				return
			}
		}
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer server.Close()
	collector := made(t, Settings{URLs: []string{server.URL}, MaxBytes: 10_000}, Secrets{Token: transporttest.Secret(canary)})
	sent := transporttest.Small(100)
	for i := range sent {
		sent[i].Value = fmt.Appendf(nil, `{"n":%q}`, strings.Repeat("x", 900))
	}
	sent[57].Value = []byte(`{"n":"poison"}`)
	if got := collector.Send(t.Context(), sent); got.Verdict != sink.Refused || got.Event != 57 {
		t.Fatalf("%+v", got)
	}
}

func TestFaultsOnTheWay(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := answering(t, 200, nil, "")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}))
	defer broken.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer slow.Close()
	for name, test := range map[string]struct {
		url  string
		want sink.Verdict
		says string
	}{
		"nobody there":    {"http://127.0.0.1:1/", sink.Busy, "cannot be reached"},
		"no such name":    {"http://splunk.invalid/", sink.Busy, "cannot be found"},
		"certificate":     {secure.URL, sink.Misconfigured, "certificate is not trusted"},
		"no TLS there":    {strings.Replace(plain, "http:", "https:", 1), sink.Misconfigured, "does not speak TLS"},
		"connection lost": {broken.URL, sink.Busy, "broke"},
		"no answer":       {slow.URL, sink.Busy, "in time"},
	} {
		got := made(t, Settings{URLs: []string{test.url}, TimeoutSeconds: 1}, Secrets{Token: transporttest.Secret(canary)}).Send(t.Context(), transporttest.Small(1))
		if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, "canary") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	guarded, err := New(Settings{URLs: []string{plain}}, Secrets{Token: transporttest.Secret(canary)}, transporttest.Refusing)
	if err != nil {
		t.Fatal(err)
	}
	if got := guarded.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "private") {
		t.Errorf("guard: %+v", got)
	}
	for name, token := range map[string]transport.Secret{
		"none":       nil,
		"unreadable": func() (seal.Secret, error) { return seal.Secret{}, errors.New("no such file: " + canary) },
		"empty":      transporttest.Secret(" \n"),
		"two lines":  transporttest.Secret("canary\nother"),
	} {
		got := made(t, Settings{URLs: []string{plain}}, Secrets{Token: token}).Send(t.Context(), transporttest.Small(1))
		if got.Verdict != sink.Misconfigured || strings.Contains(got.Reason, "canary") || !strings.Contains(got.Reason, "token") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	well := answering(t, 200, nil, `{"text":"HEC is healthy","code":17}`)
	full := answering(t, 503, nil, `{"text":"HEC is unhealthy, queues are full","code":18}`)
	guarded := answering(t, 403, nil, `<html>forbidden</html>`) // what stands before a collector
	collector := made(t, Settings{URLs: []string{well, full, guarded, "http://127.0.0.1:1"}, SearchURL: guarded}, Secrets{Token: transporttest.Secret(canary)})
	places := collector.Check(t.Context())
	want := []sink.Verdict{sink.Accepted, sink.Busy, sink.Accepted, sink.Busy, sink.Accepted}
	if len(places) != len(want) || !strings.Contains(places[1].Answer.Reason, "queues are full") {
		t.Fatalf("%+v", places)
	}
	for i, place := range places {
		if place.Answer.Verdict != want[i] || place.Host == "" || !place.Expires.IsZero() || place.Clock.IsZero() == (i != 3) {
			t.Errorf("%d: %+v", i, place)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := []string{"https://splunk.example.com:8088"}
	for field, settings := range map[string]Settings{
		"urls":                {},
		"urls[0]":             {URLs: []string{"splunk"}},
		"urls[1]":             {URLs: []string{good[0], "https://u:" + canary + "@splunk:8088"}},
		"index":               {URLs: good, Index: "Main Index"},
		"fallback_index":      {URLs: good, Index: "audit", FallbackIndex: "audit"},
		"host":                {URLs: good, Host: " a"},
		"acknowledge_seconds": {URLs: good, Acknowledge: true, AcknowledgeSeconds: 120},
		"max_bytes":           {URLs: good, MaxBytes: 2_000_000},
		"timeout_seconds":     {URLs: good, TimeoutSeconds: -1},
		"tls.ca":              {URLs: good, TLS: transport.TLS{CA: "-----BEGIN NOTHING-----"}},
		"tls.certificate":     {URLs: good, TLS: transport.TLS{Certificate: "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n"}},
		"tls.server_name":     {URLs: good, TLS: transport.TLS{ServerName: "https://a"}},
	} {
		_, err := New(settings, Secrets{}, new(net.Dialer).DialContext)
		if said := core.AsError(err); said == nil || said.Kind != core.KindInvalid || said.Field != field || said.Message == "" || strings.Contains(said.Error(), "canary") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, url := range []string{"https://u@splunk", "https://splunk?token=a", "ftp://splunk", "https://splunk:8088/services/collector/raw", "http://["} {
		if err := (Settings{URLs: []string{url}}).Validate(); core.AsError(err) == nil {
			t.Errorf("%s is taken", url)
		}
	}
}
