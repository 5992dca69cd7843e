package splunk

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transporttest"
)

// locked is a collector that takes one token.
type locked struct {
	mutex sync.Mutex
	token string
	given []string
}

func (l *locked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Splunk ")
	l.given = append(l.given, token)
	if token != l.token {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"text":"Invalid token","code":4}`)
		return
	}
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
}

func (l *locked) take(token string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.token, l.given = token, nil
}

func (l *locked) seen() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.given)
}

func TestTwoTokensOneAfterTheOther(t *testing.T) {
	door, clock := &locked{token: "old-canary"}, transporttest.NewClock()
	server := httptest.NewServer(door)
	defer server.Close()
	var mutex sync.Mutex
	current := "old-canary"
	collector := made(t, Settings{URLs: []string{server.URL}}, Secrets{
		Token: func() (seal.Secret, error) {
			mutex.Lock()
			defer mutex.Unlock()
			return seal.NewSecret(current), nil
		},
		Previous: transporttest.Secret("old-canary"),
	})
	collector.Clock = clock
	send := func() sink.Answer {
		t.Helper()
		got := collector.Send(t.Context(), transporttest.Small(1))
		if strings.Contains(got.Reason, "canary") {
			t.Fatalf("a token is told: %s", got.Reason)
		}
		return got
	}
	if got := send(); got.Verdict != sink.Accepted || got.Reason != "" || len(door.seen()) != 1 {
		t.Fatalf("one token, twice: %+v %v", got, door.seen())
	}
	// The file has the new token before Splunk knows it.
	mutex.Lock()
	current = "new-canary"
	mutex.Unlock()
	door.take("old-canary")
	if got := send(); got.Verdict != sink.Accepted || !strings.Contains(got.Reason, "one of the two tokens is refused") {
		t.Fatalf("%+v", got)
	}
	send()
	if want := []string{"new-canary", "old-canary", "old-canary"}; !slices.Equal(door.seen(), want) {
		t.Fatalf("tried %v, want %v", door.seen(), want)
	}
	// Splunk has the new one and forgets the old one at once.
	door.take("new-canary")
	if got := send(); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if want := []string{"old-canary", "new-canary"}; !slices.Equal(door.seen(), want) {
		t.Fatalf("tried %v, want %v", door.seen(), want)
	}
	clock.Pass(time.Minute)
	door.take("new-canary")
	if got := send(); got.Verdict != sink.Accepted || got.Reason != "" || len(door.seen()) != 1 {
		t.Fatalf("the new token is not first: %+v %v", got, door.seen())
	}
	door.take("neither")
	clock.Pass(time.Hour)
	if got := send(); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "does not know the token") || len(door.seen()) != 2 {
		t.Fatalf("%+v %v", got, door.seen())
	}
}

func TestAPreviousTokenThatCannotBeReadIsNone(t *testing.T) {
	door := &locked{token: "other"}
	server := httptest.NewServer(door)
	defer server.Close()
	collector := made(t, Settings{URLs: []string{server.URL}}, Secrets{
		Token: transporttest.Secret(canary), Previous: func() (seal.Secret, error) { return seal.Secret{}, errors.New("gone") },
	})
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || len(door.seen()) != 1 {
		t.Fatalf("%+v %v", got, door.seen())
	}
}

func TestTheFallbackIndexTakesWhatTheIndexRefuses(t *testing.T) {
	open := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := unpack(t, r)
		if strings.Contains(text, `"index":"main"`) || open && strings.Contains(text, `"index":"audit"`) {
			_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"text":"Incorrect index","code":7,"invalid-event-number":1}`)
	}))
	defer server.Close()
	secrets := Secrets{Token: transporttest.Secret(canary)}
	if got := made(t, Settings{URLs: []string{server.URL}, Index: "audit"}, secrets).Send(t.Context(), transporttest.Small(2)); got.Verdict != sink.Misconfigured {
		t.Fatalf("%+v", got)
	}
	falling := made(t, Settings{URLs: []string{server.URL}, Index: "audit", FallbackIndex: "main"}, secrets)
	if got := falling.Send(t.Context(), transporttest.Small(2)); got.Verdict != sink.Accepted || !strings.Contains(got.Reason, "main") || !strings.Contains(got.Reason, "Incorrect index") {
		t.Fatalf("%+v", got)
	}
	open = true
	if got := falling.Send(t.Context(), transporttest.Small(2)); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	none := made(t, Settings{URLs: []string{server.URL}, Index: "no", FallbackIndex: "neither"}, secrets)
	if got := none.Send(t.Context(), transporttest.Small(2)); got.Verdict != sink.Misconfigured {
		t.Fatalf("%+v", got)
	}
}
