package splunk

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/siem/sink"
	"postern/siem/transporttest"
)

func unpack(t testing.TB, r *http.Request) string {
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// acknowledging is a collector that acknowledges as Splunk documents it: numbers belong to a channel, a yes is told
// once, and a channel that it forgot is nobody's.
type acknowledging struct {
	t       testing.TB
	mutex   sync.Mutex
	next    map[string]int64          // of channels
	written map[string]map[int64]bool // asked for, by channel
	events  map[string]int            // how often each came
	polls   int
	never   bool // writes nothing
	forget  bool // answers polls as if it never heard of the channel
	silent  bool // gives no numbers
	wait    int  // polls before it says yes
}

func newAcknowledging(t testing.TB) (*acknowledging, string) {
	made := &acknowledging{t: t, next: map[string]int64{}, written: map[string]map[int64]bool{}, events: map[string]int{}}
	server := httptest.NewServer(made)
	t.Cleanup(server.Close)
	return made, server.URL
}

func (a *acknowledging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	line := r.Header.Get("X-Splunk-Request-Channel")
	if _, err := uuid.Parse(line); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"text":"Data channel is missing","code":10}`)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/ack") {
		a.poll(w, r, line)
		return
	}
	for text := range strings.Lines(unpack(a.t, r)) {
		var one struct{ Fields map[string]string }
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			a.t.Error(err)
		}
		a.events[one.Fields["event_id"]]++
	}
	if a.silent {
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
		return
	}
	number := a.next[line]
	a.next[line]++
	if a.written[line] == nil {
		a.written[line] = map[int64]bool{}
	}
	a.written[line][number] = !a.never
	_, _ = fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, number)
}

func (a *acknowledging) poll(w http.ResponseWriter, r *http.Request, line string) {
	a.polls++
	if r.URL.Query().Get("channel") != line {
		a.t.Errorf("the channel is %q in the query and %q in the header", r.URL.Query().Get("channel"), line)
	}
	if a.forget {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"text":"Invalid data channel","code":11}`)
		return
	}
	var asked struct{ Acks []int64 }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Acks) == 0 {
		a.t.Errorf("a poll that asks nothing: %v", err)
	}
	acks := map[string]bool{}
	for place, number := range asked.Acks {
		yes := a.written[line][number] && a.polls > a.wait+place // one after the other
		if yes {
			delete(a.written[line], number)
		}
		acks[strconv.FormatInt(number, 10)] = yes
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"acks": acks})
}

func acknowledged(t testing.TB, url string) (*Receiver, *transporttest.Clock) {
	collector := made(t, Settings{URLs: []string{url}, Acknowledge: true, MaxBytes: 10_000}, Secrets{Token: transporttest.Secret(canary)})
	clock := transporttest.NewClock()
	collector.Clock = clock
	return collector, clock
}

func TestEventsAreAcceptedOnceTheIndexerWroteThem(t *testing.T) {
	indexer, url := newAcknowledging(t)
	indexer.wait = 3
	collector, _ := acknowledged(t, url)
	if got := collector.Send(t.Context(), transporttest.Small(90)); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	requests := int64(0)
	for _, count := range indexer.next {
		requests += count
	}
	if len(indexer.next) != 1 || requests < 3 || len(indexer.events) != 90 || indexer.polls < 5 {
		t.Fatalf("%d channels, %d requests, %d events, %d polls", len(indexer.next), requests, len(indexer.events), indexer.polls)
	}
	for line, waiting := range indexer.written {
		if len(waiting) != 0 {
			t.Fatalf("%s: a request was not asked for until it was written: %v", line, waiting)
		}
	}
	// Used one after the other, one channel is enough.
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted || len(indexer.next) != 1 {
		t.Fatalf("%+v %v", got, indexer.next)
	}
}

func TestEachWorkerHasAChannelOfItsOwn(t *testing.T) {
	indexer, url := newAcknowledging(t)
	collector, _ := acknowledged(t, url)
	first, second := collector.channels.take(collector.client), collector.channels.take(collector.client)
	if first.id == second.id || first.client.Jar == second.client.Jar {
		t.Fatal("two deliveries at once share a channel")
	}
	collector.channels.back(first)
	if again := collector.channels.take(collector.client); again != first {
		t.Fatal("a channel that is free is not used")
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 5 {
				if got := collector.Send(t.Context(), transporttest.Small(3)); got.Verdict != sink.Accepted {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	workers.Wait()
	if len(indexer.events) != 60 {
		t.Fatalf("%d events", len(indexer.events))
	}
}

func TestWhatIsNotAcknowledgedInTimeIsSentAgain(t *testing.T) {
	indexer, url := newAcknowledging(t)
	indexer.never = true
	collector, clock := acknowledged(t, url)
	began, sent := clock.Now(), transporttest.Small(3)
	if got := collector.Send(t.Context(), sent); got.Verdict != sink.Busy || !strings.Contains(got.Reason, "sent again") {
		t.Fatalf("%+v", got)
	}
	if waited := clock.Now().Sub(began); waited < 5*time.Minute || waited > 5*time.Minute+lastPoll {
		t.Fatalf("it waited for %s", waited)
	}
	indexer.never = false
	if got := collector.Send(t.Context(), sent); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	if len(indexer.events) != 3 || indexer.events[sent[0].ID.String()] != 2 || len(indexer.next) != 2 {
		t.Fatalf("%v over %d channels", indexer.events, len(indexer.next))
	}
}

func TestAfterARestartWhatWasNotAcknowledgedIsSentAgain(t *testing.T) {
	indexer, url := newAcknowledging(t)
	indexer.never = true
	collector, _ := acknowledged(t, url)
	ctx, stop := context.WithCancel(t.Context())
	collector.Clock = stopping{collector.Clock.(*transporttest.Clock), stop}
	sent := transporttest.Small(2)
	if got := collector.Send(ctx, sent); got.Verdict != sink.Busy || !strings.Contains(got.Reason, "interrupted") {
		t.Fatalf("%+v", got)
	}
	indexer.never = false
	after, _ := acknowledged(t, url) // after a crash nobody knows what was pending
	if got := after.Send(t.Context(), sent); got.Verdict != sink.Accepted || indexer.events[sent[1].ID.String()] != 2 {
		t.Fatalf("%+v %v", got, indexer.events)
	}
}

// What was pending when a process stopped is asked for by the next one, where the first one was led to.
func TestAfterARestartAcknowledgementsAreAskedFor(t *testing.T) {
	indexer := &acknowledging{t: t, next: map[string]int64{}, written: map[string]map[int64]bool{}, events: map[string]int{}, never: true}
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("route"); strings.HasSuffix(r.URL.Path, "/ack") && (err != nil || cookie.Value != "indexer-7") {
			t.Errorf("a poll that is led elsewhere: %v", err)
		}
		http.SetCookie(w, &http.Cookie{Name: "route", Value: "indexer-7"})
		indexer.ServeHTTP(w, r)
	}))
	t.Cleanup(balancer.Close)
	collector, _ := acknowledged(t, balancer.URL)
	ctx, stop := context.WithCancel(t.Context())
	collector.Clock = stopping{collector.Clock.(*transporttest.Clock), stop}
	sent := transporttest.Small(2)
	pending := collector.Send(ctx, sent).Pending
	if pending == nil || strings.Contains(string(pending), "canary") {
		t.Fatalf("%s", pending)
	}

	stopped, _ := acknowledged(t, balancer.URL)
	ctx, stop = context.WithCancel(t.Context())
	stopped.Clock = stopping{stopped.Clock.(*transporttest.Clock), stop}
	if got := stopped.Resume(ctx, pending); got.Verdict != sink.Busy || got.Pending == nil {
		t.Errorf("stopped once more: %+v", got)
	}
	for _, numbers := range indexer.written {
		for number := range numbers {
			numbers[number] = true
		}
	}
	elsewhere, _ := acknowledged(t, "http://elsewhere.invalid")
	if got := elsewhere.Resume(t.Context(), pending); got.Verdict != sink.Busy || got.Pending != nil {
		t.Errorf("another endpoint was asked: %+v", got)
	}
	after, clock := acknowledged(t, balancer.URL)
	clock.Pass(time.Hour) // long away
	if got := after.Resume(t.Context(), pending); got.Verdict != sink.Accepted || indexer.events[sent[1].ID.String()] != 1 {
		t.Errorf("%+v %v", got, indexer.events)
	}
	if got := after.Resume(t.Context(), pending); got.Verdict != sink.Busy || got.Pending != nil {
		t.Errorf("what nobody acknowledges is not sent again: %+v", got)
	}
}

// stopping is a clock under which the process is told to end.
type stopping struct {
	*transporttest.Clock
	stop func()
}

func (s stopping) Sleep(ctx context.Context, _ time.Duration) error {
	s.stop()
	return ctx.Err()
}

func TestAnIndexerThatForgotTheChannelGetsTheEventsAgain(t *testing.T) {
	indexer, url := newAcknowledging(t)
	indexer.forget = true
	collector, clock := acknowledged(t, url)
	began := clock.Now()
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Busy || clock.Now().Sub(began) > time.Second {
		t.Fatalf("%+v after %s", got, clock.Now().Sub(began))
	}
	indexer.forget = false
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted || len(indexer.next) != 2 {
		t.Fatalf("%+v: a channel that was lost is used again: %v", got, indexer.next)
	}
}

func TestATokenWithoutAcknowledgementIsSaid(t *testing.T) {
	indexer, url := newAcknowledging(t)
	indexer.silent = true
	collector, _ := acknowledged(t, url)
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "enable indexer acknowledgement") {
		t.Fatalf("%+v", got)
	}
}

func TestPollsThatFail(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   sink.Verdict
		says   string
	}{
		{400, `{"text":"ACK is disabled","code":14}`, sink.Misconfigured, "unset acknowledge"},
		{403, `{"text":"Invalid token","code":4}`, sink.Misconfigured, "does not know the token"},
		{503, `{"text":"Server is busy","code":9}`, sink.Busy, "did not acknowledge"},
		{502, `<html>bad gateway</html>`, sink.Busy, "did not acknowledge"},
		{200, `{"text":"Success","code":0}`, sink.Busy, "did not acknowledge"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if strings.HasSuffix(r.URL.Path, "/ack") {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
				return
			}
			_, _ = io.WriteString(w, `{"text":"Success","code":0,"ackId":0}`)
		}))
		collector, _ := acknowledged(t, server.URL)
		if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, "canary") {
			t.Errorf("%d %s: %+v", test.status, test.body, got)
		}
		server.Close()
	}
}
