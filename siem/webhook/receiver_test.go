package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

const (
	current  = "whsec_Y2FuYXJ5LWN1cnJlbnQtc2VjcmV0LTAwMDE="
	previous = "whsec_Y2FuYXJ5LXByZXZpb3VzLXNlY3JldC0wMDE="
)

func made(t testing.TB, settings Settings, secrets Secrets) *Receiver {
	t.Helper()
	receiver, err := New(settings, secrets, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

type message struct {
	header http.Header
	body   []byte
}

// endpoint keeps what it gets, and answers with a status.
func endpoint(t testing.TB, status *int) (string, *[]message) {
	var got []message
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, message{r.Header, body})
		w.Header().Set("Location", "http://elsewhere.invalid/"+current)
		w.WriteHeader(*status)
		_, _ = io.WriteString(w, current)
	}))
	t.Cleanup(server.Close)
	return server.URL, &got
}

func TestMessagesAreVerifiedByTheStandardsLibrary(t *testing.T) {
	status := http.StatusNoContent
	url, got := endpoint(t, &status)
	receiver := made(t, Settings{URL: url + "/events"}, Secrets{Signing: transporttest.Secret(current), Previous: transporttest.Secret(previous)})
	sent := transporttest.Events(t, 3)
	if answer := receiver.Send(t.Context(), sent); answer.Verdict != sink.Accepted {
		t.Fatalf("%+v", answer)
	}
	one := (*got)[0]
	for _, secret := range []string{current, previous} {
		library, err := standard.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := library.Verify(one.body, one.header); err != nil {
			t.Fatal(err)
		}
		if err := library.Verify(append(slices.Clone(one.body), ' '), one.header); err == nil {
			t.Fatal("another body is verified too")
		}
	}
	var documents []struct{ Metadata struct{ UID core.ID } }
	if err := json.Unmarshal(one.body, &documents); err != nil || len(documents) != 3 {
		t.Fatal(len(documents), err)
	}
	for place, document := range documents {
		if document.Metadata.UID != sent[place].ID {
			t.Fatalf("document %d is of %s", place, document.Metadata.UID)
		}
	}
	if one.header.Get("Content-Type") != "application/json" {
		t.Fatal(one.header)
	}
}

func TestTheSameEventsHaveTheSameID(t *testing.T) {
	status := http.StatusServiceUnavailable
	url, got := endpoint(t, &status)
	receiver := made(t, Settings{URL: url, Format: Lines}, Secrets{Signing: transporttest.Secret(current)})
	sent := transporttest.Small(3)
	for _, part := range [][2]int{{0, 3}, {0, 3}, {0, 2}, {2, 3}} {
		if answer := receiver.Send(t.Context(), sent[part[0]:part[1]]); answer.Verdict != sink.Busy {
			t.Fatalf("%+v", answer)
		}
	}
	var ids []string
	for _, one := range *got {
		ids = append(ids, one.header.Get("Webhook-Id"))
	}
	if ids[0] != ids[1] || ids[0] == ids[2] || ids[3] != sent[2].ID.String() || strings.Contains(ids[0], ".") {
		t.Fatal(ids)
	}
	if string((*got)[0].body) != "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n" || (*got)[0].header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%q", (*got)[0].body)
	}
	status = http.StatusOK
	*got = nil
	single := made(t, Settings{URL: url, MaxEvents: 1}, Secrets{Signing: transporttest.Secret(current)})
	if answer := single.Send(t.Context(), sent); answer.Verdict != sink.Accepted || len(*got) != 3 || (*got)[1].header.Get("Webhook-Id") != sent[1].ID.String() {
		t.Fatalf("%+v %d", answer, len(*got))
	}
}

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	for status, want := range map[int]sink.Verdict{
		200: sink.Accepted, 202: sink.Accepted, 301: sink.Misconfigured, 400: sink.Misconfigured, 401: sink.Misconfigured, 403: sink.Misconfigured,
		404: sink.Misconfigured, 408: sink.Busy, 410: sink.Misconfigured, 413: sink.TooLarge, 422: sink.Refused, 429: sink.Busy, 500: sink.Busy, 501: sink.Misconfigured, 503: sink.Busy,
	} {
		url, _ := endpoint(t, &status)
		secrets := Secrets{Signing: transporttest.Secret(current)}
		got := made(t, Settings{URL: url}, secrets).Send(t.Context(), transporttest.Small(3))
		if got.Verdict != want || want != sink.Accepted && got.Reason == "" || strings.Contains(got.Reason, "canary") || strings.Contains(got.Reason, current) || got.Event != -1 {
			t.Errorf("%d: %+v", status, got)
		}
		if status == 422 {
			if got := made(t, Settings{URL: url, MaxEvents: 1}, secrets).Send(t.Context(), transporttest.Small(3)); got.Event != 0 {
				t.Errorf("the event is not named: %+v", got)
			}
		}
	}
}

func TestSecretsThatCannotSign(t *testing.T) {
	status := 200
	url, got := endpoint(t, &status)
	for name, secret := range map[string]transport.Secret{
		"none": nil, "empty": transporttest.Secret(""), "not base64": transporttest.Secret("whsec_canary!"), "no prefix": transporttest.Secret("Y2FuYXJ5"), "short": transporttest.Secret("whsec_YQ=="),
		"a public key": transporttest.Secret("whpk_Y2FuYXJ5LWN1cnJlbnQtc2VjcmV0LTAwMDE="), "unreadable": func() (seal.Secret, error) { return seal.Secret{}, fmt.Errorf("canary") },
	} {
		if answer := made(t, Settings{URL: url}, Secrets{Signing: secret}).Send(t.Context(), transporttest.Small(1)); answer.Verdict != sink.Misconfigured || strings.Contains(answer.Reason, "canary") || !strings.Contains(answer.Reason, "signing secret") {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	if len(*got) != 0 {
		t.Error("something was sent unsigned")
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for field, settings := range map[string]Settings{
		"url": {URL: "endpoint"}, "format": {URL: "https://a", Format: "xml"}, "max_events": {URL: "https://a", MaxEvents: -1},
		"max_bytes": {URL: "https://a", MaxBytes: 1}, "timeout_seconds": {URL: "https://a", TimeoutSeconds: 601}, "tls.ca": {URL: "https://a", TLS: transport.TLS{CA: "x"}},
	} {
		if err := settings.Validate(); core.AsError(err) == nil || core.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
