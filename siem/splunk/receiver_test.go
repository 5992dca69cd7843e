package splunk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
)

const canary = "0d3c4e5f-canary-token"

func receiver(t testing.TB, url string) *Receiver {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &Receiver{URL: url, HTTP: client, Token: func() (seal.Secret, error) { return seal.NewSecret(canary + "\n"), nil }}
}

func events(count int) []stream.Event {
	made := make([]stream.Event, count)
	for i := range made {
		made[i] = stream.Event{ID: core.NewID(), Workspace: core.NewID(), Occurred: time.UnixMicro(1_800_000_000_123_456), Sequence: int64(i + 1), Position: int64(i + 1), Value: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return made
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

func TestEveryCodeHasItsMeaning(t *testing.T) {
	for _, test := range []struct {
		status, code int
		body         string // instead of the code
		want         sink.Verdict
		event        int
	}{
		{200, 0, "", sink.Accepted, -1}, {200, 24, "", sink.Accepted, -1}, {200, 25, "", sink.Accepted, -1},
		{403, 1, "", sink.Misconfigured, -1}, {401, 2, "", sink.Misconfigured, -1}, {401, 3, "", sink.Misconfigured, -1}, {403, 4, "", sink.Misconfigured, -1},
		{400, 21, "", sink.Misconfigured, -1}, {400, 22, "", sink.Misconfigured, -1},
		{400, 5, "", sink.Refused, -1}, {400, 6, "", sink.Refused, 3}, {400, 12, "", sink.Refused, 3}, {400, 13, "", sink.Refused, 3}, {400, 15, "", sink.Refused, 3},
		{400, 7, "", sink.Misconfigured, -1}, {400, 10, "", sink.Misconfigured, -1}, {400, 11, "", sink.Misconfigured, -1}, {400, 14, "", sink.Misconfigured, -1}, {400, 16, "", sink.Misconfigured, -1},
		{500, 8, "", sink.Busy, -1}, {503, 9, "", sink.Busy, -1}, {503, 18, "", sink.Busy, -1}, {503, 19, "", sink.Busy, -1}, {503, 20, "", sink.Busy, -1}, {503, 23, "", sink.Busy, -1},
		{429, 26, "", sink.Busy, -1}, {429, 27, "", sink.Busy, -1},
		{400, 99, "", sink.Refused, 3}, {503, 99, "", sink.Busy, -1}, {503, 0, "", sink.Busy, -1}, {401, 0, "", sink.Misconfigured, -1},
		{200, 0, "<html>Welcome to the portal</html>", sink.Misconfigured, 0}, {200, 0, "", sink.Accepted, -1},
		{413, 0, "<html>too large</html>", sink.TooLarge, 0}, {502, 0, "<html>bad gateway</html>", sink.Busy, 0}, {504, 0, "", sink.Busy, 0},
		{404, 0, "not found", sink.Misconfigured, 0}, {302, 0, "see there", sink.Misconfigured, 0}, {400, 0, "The plain HTTP request was sent to HTTPS port", sink.Misconfigured, 0}, {408, 0, "slow", sink.Busy, 0},
	} {
		body := test.body
		if body == "" {
			number := ""
			if test.event == 3 {
				number = `,"invalid-event-number":3`
			}
			body = fmt.Sprintf(`{"text":"What Splunk says","code":%d%s}`, test.code, number)
		}
		got := receiver(t, answering(t, test.status, http.Header{"Location": {"http://elsewhere.invalid/" + canary}}, body)).Send(t.Context(), events(5))
		if got.Verdict != test.want || got.Verdict == sink.Refused && got.Event != test.event {
			t.Errorf("%d %s: got %+v, want %d", test.status, body, got, test.want)
		}
		if got.Verdict != sink.Accepted && got.Reason == "" || strings.Contains(got.Reason, "canary") {
			t.Errorf("%d %s: reason %q", test.status, body, got.Reason)
		}
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "soon": 0, "-1": 0, "999999": time.Hour} {
		got := receiver(t, answering(t, 429, http.Header{"Retry-After": {text}}, `{"text":"HEC queue at capacity","code":26}`)).Send(t.Context(), events(1))
		if got.Verdict != sink.Busy || got.RetryAfter != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if got := receiver(t, answering(t, 200, nil, `{"text":"nearly full","code":24}`)).Send(t.Context(), events(1)); got.RetryAfter == 0 || got.Reason == "" {
		t.Errorf("a nearly full queue is not spared: %+v", got)
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
	collector := receiver(t, server.URL+"/")
	collector.Index, collector.Host = "audit", `postern "1"`
	sent := events(3)
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
		if got.Time != "1800000000.123456" || got.Host != `postern "1"` || got.Index != "audit" || got.Sourcetype != "postern:ocsf" || got.Event["n"] != i ||
			got.Fields["event_id"] != sent[i].ID.String() || got.Fields["workspace"] != sent[i].Workspace.String() || got.Fields["sequence"] != fmt.Sprint(i+1) {
			t.Fatalf("%+v", got)
		}
	}
	if decoder.More() {
		t.Fatal("there is more than was sent")
	}
}

func TestFaultsOnTheWay(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = nil
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
		"nobody there":     {"http://127.0.0.1:1/", sink.Busy, "cannot be reached"},
		"no such name":     {"http://splunk.invalid/", sink.Busy, "cannot be found"},
		"certificate":      {secure.URL, sink.Misconfigured, "certificate is not trusted"},
		"no TLS there":     {strings.Replace(plain, "http:", "https:", 1), sink.Misconfigured, "does not speak TLS"},
		"connection lost":  {broken.URL, sink.Busy, "broke"},
		"no answer":        {slow.URL, sink.Busy, "in time"},
		"not a URL at all": {"http://[", sink.Misconfigured, "not a URL"},
	} {
		collector := receiver(t, test.url)
		collector.Timeout = 300 * time.Millisecond
		got := collector.Send(t.Context(), events(1))
		if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, "canary") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	guarded := receiver(t, plain)
	guarded.HTTP = &http.Client{Transport: refusing{}}
	if got := guarded.Send(t.Context(), events(1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "private") {
		t.Errorf("guard: %+v", got)
	}
	for name, token := range map[string]func() (seal.Secret, error){
		"unreadable": func() (seal.Secret, error) { return seal.Secret{}, errors.New("no such file: " + canary) },
		"empty":      func() (seal.Secret, error) { return seal.Secret{}, nil },
		"two lines":  func() (seal.Secret, error) { return seal.NewSecret("canary\nother"), nil },
	} {
		collector := receiver(t, plain)
		collector.Token = token
		if got := collector.Send(t.Context(), events(1)); got.Verdict != sink.Misconfigured || strings.Contains(got.Reason, "canary") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// refusing is a transport that may not go there.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("dial: %w", core.Denied("private addresses may not be reached"))
}

func TestAnEchoedTokenIsNotTold(t *testing.T) {
	got := receiver(t, answering(t, 403, nil, `{"text":"Invalid token `+canary+`","code":4}`)).Send(t.Context(), events(1))
	if strings.Contains(got.Reason, "canary") || !strings.Contains(got.Reason, "[redacted]") {
		t.Fatalf("%+v", got)
	}
}

func TestCheck(t *testing.T) {
	if err := receiver(t, answering(t, 200, nil, `{"text":"HEC is healthy","code":17}`)).Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{answering(t, 503, nil, `{"text":"HEC is unhealthy, queues are full","code":18}`), "http://127.0.0.1:1"} {
		if err := receiver(t, url).Check(t.Context()); core.KindOf(err) != core.KindUnavailable {
			t.Fatalf("%s: %v", url, err)
		}
	}
}
