package sumologic

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

// The secret part of an address, as Sumo Logic makes them.
const path, code = "/receiver/v1/http/", "ZaVnC4dhaV1canarycode/x+y=="

func made(t testing.TB, settings Settings, address string) *Receiver {
	t.Helper()
	receiver, err := New(settings, Secrets{URL: transporttest.Secret(address)}, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

func receiver(t testing.TB, url string) *Receiver { return made(t, Settings{}, url+path+code) }

func answering(t testing.TB, status int, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://elsewhere.invalid"+r.URL.Path)
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	complaint := func(status int) string {
		return fmt.Sprintf(`{"status":%d,"id":"XYZ","code":"parse:error","message":"trouble at %s%s"}`, status, path, code)
	}
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   sink.Verdict
		says   string
	}{
		{"taken", 200, "", sink.Accepted, ""},
		{"taken, nothing to say", 204, "", sink.Accepted, ""},
		{"taken, with a complaint: a warning", 200, complaint(200), sink.Accepted, "trouble at"},
		{"a success that calls itself a failure", 200, complaint(400), sink.Refused, "trouble at"},
		{"taken, with a text", 200, "ok then", sink.Accepted, "cannot be read"},
		{"a portal", 200, "<html>portal</html>", sink.Misconfigured, "not as an HTTP source"},
		{"the data are refused", 400, complaint(400), sink.Refused, "trouble at"},
		{"refused, nobody knows why", 400, "", sink.Misconfigured, "400"},
		{"the address is not known", 401, "", sink.Misconfigured, "regenerated"},
		{"forbidden", 403, "", sink.Misconfigured, "403"},
		{"not there", 404, "", sink.Misconfigured, "404"},
		{"a redirect is not followed", 307, "", sink.Misconfigured, "another address"},
		{"too slow, a part may be taken", 408, "", sink.Busy, "part of it"},
		{"too large", 413, "", sink.TooLarge, "413"},
		{"the account's rate", 429, "", sink.Busy, "dropped the events, they are sent again"},
		{"the account's rate, in words", 429, complaint(429), sink.Busy, "trouble at"},
		{"away", 503, "", sink.Busy, "503"},
		{"away, further behind", 504, "<html>", sink.Busy, "504"},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.name), func(t *testing.T) {
			got := receiver(t, answering(t, test.status, test.body)).Send(t.Context(), transporttest.Small(2))
			if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || test.says == "" && got.Reason != "" {
				t.Errorf("got %+v, want %d %q", got, test.want, test.says)
			}
			if strings.Contains(got.Reason, "canarycode") {
				t.Errorf("the secret is told: %s", got.Reason)
			}
			if got.Verdict == sink.Refused && got.Event != -1 {
				t.Errorf("which event was refused is not known: %+v", got)
			}
			if (test.status == 429 || test.status == 503) && got.RetryAfter != 9*time.Second {
				t.Errorf("Retry-After is not honoured: %+v", got)
			}
		})
	}
}

func TestTheAddressIsNeverTold(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1", "http://sumo.invalid", "http://[", "gopher://127.0.0.1", "https://" + strings.TrimPrefix(answering(t, 200, ""), "http://")} {
		source := receiver(t, url)
		got := source.Send(t.Context(), transporttest.Small(1))
		if got.Verdict == sink.Accepted || got.Reason == "" || strings.Contains(got.Reason, "canarycode") || strings.Contains(got.Reason, path) {
			t.Errorf("%s: %+v", url, got)
		}
		if text := fmt.Sprintf("%+v %#v %v", source, source, got); strings.Contains(text, "canarycode") {
			t.Errorf("printing tells the address: %s", text)
		}
	}
	for name, url := range map[string]transport.Secret{
		"none":       nil,
		"unreadable": func() (seal.Secret, error) { return seal.Secret{}, errors.New("no such file: " + code) },
		"empty":      transporttest.Secret("\n"),
		"two lines":  transporttest.Secret("https://sumo" + path + code + "\nhttps://other"),
		"no code":    transporttest.Secret("https://canarycode.sumologic.com/"),
	} {
		source, err := New(Settings{}, Secrets{URL: url}, new(net.Dialer).DialContext)
		if err != nil {
			t.Fatal(err)
		}
		if got := source.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || strings.Contains(got.Reason, "canarycode") || !strings.Contains(got.Reason, "source's address") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// The forms in which something on the way might echo it.
	for _, echo := range []string{code, strings.TrimRight(code, "="), "x+y==", "x%2By%3D%3D"} {
		body := fmt.Sprintf(`{"status":200,"code":"a","message":"echo %s"}`, echo)
		if got := receiver(t, answering(t, 200, body)).Send(t.Context(), transporttest.Small(1)); strings.Contains(got.Reason, echo) {
			t.Errorf("%q is told: %s", echo, got.Reason)
		}
	}
}

func TestTheRequestIsWhatASourceWants(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body = unpack(t, r)
	}))
	defer server.Close()
	source := made(t, Settings{Fields: map[string]string{"team": "security", "app": "postern"}}, server.URL+path+code)
	if got := source.Send(t.Context(), transporttest.Small(3)); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if string(body) != "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n" {
		t.Fatalf("%q", body)
	}
	if header.Get("X-Sumo-Category") != "postern/audit" || header.Get("X-Sumo-Name") != "postern" || header.Get("X-Sumo-Fields") != "app=postern,team=security" || header.Get("X-Sumo-Host") != "" {
		t.Fatalf("%v", header)
	}
	named := made(t, Settings{Category: "prod/idp", Name: "eu", Host: "postern-1"}, server.URL+path+code)
	if got := named.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if header.Get("X-Sumo-Category") != "prod/idp" || header.Get("X-Sumo-Name") != "eu" || header.Get("X-Sumo-Host") != "postern-1" || header.Get("X-Sumo-Fields") != "" || header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v", header)
	}
}

func unpack(t testing.TB, r *http.Request) []byte {
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Error(err)
	}
	return text
}

func large(count int) []stream.Event {
	sent := transporttest.Small(count)
	for i := range sent {
		sent[i].Value = fmt.Appendf(nil, `{"metadata":{"uid":"%s","sequence":%d},"message":%q}`, sent[i].ID, i+1, strings.Repeat("x", 900))
	}
	return sent
}

func TestRequestsShrinkForASlowSourceAndGrowAgain(t *testing.T) {
	var sizes []int
	slow := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sizes = append(sizes, len(unpack(t, r)))
		if slow {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}))
	defer server.Close()
	source, sent := receiver(t, server.URL), large(2000)
	for range 6 {
		if got := source.Send(t.Context(), sent); got.Verdict != sink.Busy {
			t.Fatalf("%+v", got)
		}
	}
	if !slices.IsSortedFunc(sizes, func(a, b int) int { return b - a }) || sizes[0] > 1_000_000 || sizes[0] < 900_000 || sizes[5] > smallest || sizes[5] < smallest/2 {
		t.Fatalf("requests of %v", sizes)
	}
	slow, sizes = false, nil
	for range 20 {
		if got := source.Send(t.Context(), sent); got.Verdict != sink.Accepted {
			t.Fatalf("%+v", got)
		}
	}
	if largest := slices.Max(sizes); largest > 1_000_000 || largest < 900_000 || slices.Min(sizes[:10]) > smallest {
		t.Fatalf("requests of %v", sizes)
	}
}

func TestOneRequestAtATime(t *testing.T) {
	var under, most, count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), under.Add(1)))
		defer under.Add(-1)
		count.Add(int64(strings.Count(string(unpack(t, r)), "\n")))
	}))
	defer server.Close()
	source := receiver(t, server.URL)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 10 {
				if got := source.Send(t.Context(), transporttest.Small(2)); got.Verdict != sink.Accepted {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	workers.Wait()
	if most.Load() != 1 || count.Load() != 160 {
		t.Fatalf("%d requests at once, %d events", most.Load(), count.Load())
	}
}

func TestConnectionsRestForLessThanTheLoadBalancerAllows(t *testing.T) {
	way := receiver(t, "http://127.0.0.1").client.Transport.(*http.Transport)
	if way.IdleConnTimeout <= 0 || way.IdleConnTimeout >= 30*time.Second || way.MaxConnsPerHost != 1 {
		t.Fatalf("connections rest for %s, %d of them", way.IdleConnTimeout, way.MaxConnsPerHost)
	}
}

// TestAnIngestBudgetShowsAsAGap: what exceeds a budget is dropped with 200. Nobody can see it in the answer; the
// sequences of what arrived show it.
func TestAnIngestBudgetShowsAsAGap(t *testing.T) {
	var kept []int
	budget := 700_000
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text := unpack(t, r)
		if budget -= len(text); budget < 0 {
			return // dropped, 200
		}
		for line := range strings.Lines(string(text)) {
			var one struct {
				Metadata struct{ Sequence int }
			}
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Error(err)
			}
			kept = append(kept, one.Metadata.Sequence)
		}
	}))
	defer server.Close()
	source, sent := made(t, Settings{MaxBytes: smallest}, server.URL+path+code), large(1000)
	if got := source.Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	budget = 1_000_000
	if got := source.Send(t.Context(), sent[999:]); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if last := slices.Max(kept); last != 1000 || len(kept) >= last || len(kept) < 500 {
		t.Fatalf("%d events up to %d: the gap does not show", len(kept), last)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for field, settings := range map[string]Settings{
		"category":        {Category: "a\nb"},
		"name":            {Name: "ü"},
		"host":            {Host: strings.Repeat("x", 1025)},
		"fields":          {Fields: map[string]string{"a=b": "c"}},
		"fields.team":     {Fields: map[string]string{"team": "a,b=c"}},
		"max_bytes":       {MaxBytes: 1_000_001},
		"timeout_seconds": {TimeoutSeconds: 601},
		"tls.ca":          {TLS: transport.TLS{CA: "x"}},
	} {
		_, err := New(settings, Secrets{}, new(net.Dialer).DialContext)
		if said := core.AsError(err); said == nil || said.Kind != core.KindInvalid || said.Field != field || said.Message == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}
