package sumologic

import (
	"compress/gzip"
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

const path = "/receiver/v1/http/"

func receiver(t testing.TB, url string) *Receiver {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &Receiver{HTTP: client, URL: func() (seal.Secret, error) { return seal.NewSecret(url + path + "canarycode=="), nil }}
}

func events(count int) []stream.Event {
	made := make([]stream.Event, count)
	for i := range made {
		made[i] = stream.Event{ID: core.NewID(), Workspace: core.NewID(), Occurred: time.Now(), Sequence: int64(i + 1), Position: int64(i + 1), Value: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return made
}

func answering(t testing.TB, status int, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://elsewhere.invalid"+r.URL.Path)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnswers(t *testing.T) {
	complaint := func(status int) string {
		return fmt.Sprintf(`{"status":%d,"id":"XYZ","code":"parse:error","message":"trouble at %scanarycode=="}`, status, path)
	}
	for _, test := range []struct {
		status int
		body   string
		want   sink.Verdict
		says   string
	}{
		{200, "", sink.Accepted, ""},
		{204, "", sink.Accepted, ""},
		{200, complaint(200), sink.Accepted, "trouble at"}, // a warning
		{200, complaint(400), sink.Refused, "trouble at"},  // a success that calls itself a failure
		{200, "ok then", sink.Accepted, "cannot be read"},
		{200, "<html>portal</html>", sink.Misconfigured, "not as an HTTP source"},
		{400, complaint(400), sink.Refused, "trouble at"},
		{400, "", sink.Misconfigured, "400"},
		{401, "", sink.Misconfigured, "regenerated"},
		{403, "", sink.Misconfigured, "403"},
		{404, "", sink.Misconfigured, "404"},
		{307, "", sink.Misconfigured, "another address"},
		{408, "", sink.Busy, "part of it"},
		{413, "", sink.TooLarge, "413"},
		{429, complaint(429), sink.Busy, "trouble at"},
		{503, "", sink.Busy, "503"},
		{504, "", sink.Busy, "504"},
	} {
		got := receiver(t, answering(t, test.status, test.body)).Send(t.Context(), events(2))
		if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || test.says == "" && got.Reason != "" {
			t.Errorf("%d %s: got %+v, want %d %q", test.status, test.body, got, test.want, test.says)
		}
		if strings.Contains(got.Reason, "canarycode") {
			t.Errorf("%d %s: the secret is told: %s", test.status, test.body, got.Reason)
		}
		if got.Verdict == sink.Refused && got.Event != -1 {
			t.Errorf("%d %s: which event was refused is not known: %+v", test.status, test.body, got)
		}
	}
}

func TestTheAddressIsNeverTold(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1", "http://sumo.invalid", "http://[", "gopher://127.0.0.1"} {
		source := receiver(t, url)
		source.Timeout = time.Second
		got := source.Send(t.Context(), events(1))
		if got.Verdict == sink.Accepted || got.Reason == "" || strings.Contains(got.Reason, "canarycode") || strings.Contains(got.Reason, path) {
			t.Errorf("%s: %+v", url, got)
		}
	}
	if text := fmt.Sprintf("%+v %#v", receiver(t, "http://a"), receiver(t, "http://a").Send(t.Context(), events(1))); strings.Contains(text, "canarycode") {
		t.Errorf("printing tells the address: %s", text)
	}
}

func TestTheRequestIsWhatASourceWants(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		unpacked, err := gzip.NewReader(r.Body)
		if err == nil {
			body, err = io.ReadAll(unpacked)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	source := receiver(t, server.URL)
	source.Fields = map[string]string{"team": "security", "app": "postern"}
	if got := source.Send(t.Context(), events(3)); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if string(body) != "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n" {
		t.Fatalf("%q", body)
	}
	if header.Get("X-Sumo-Category") != "postern/audit" || header.Get("X-Sumo-Name") != "postern" || header.Get("X-Sumo-Fields") != "app=postern,team=security" || header.Get("X-Sumo-Host") != "" {
		t.Fatalf("%v", header)
	}
}
