package splunk

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"postern/siem/sink"
	"postern/siem/transporttest"
)

// indexer is an endpoint that can be told what to answer.
type indexer struct {
	url    string
	asked  atomic.Int64
	status atomic.Int64 // 0 is well
}

func newIndexer(t testing.TB) *indexer {
	made := &indexer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made.asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if status := int(made.status.Load()); status != 0 {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>away</html>")
			return
		}
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	t.Cleanup(server.Close)
	made.url = server.URL
	return made
}

func TestEndpointsAreUsedInTurn(t *testing.T) {
	indexers := []*indexer{newIndexer(t), newIndexer(t), newIndexer(t)}
	collector := receiver(t, indexers[0].url, indexers[1].url, indexers[2].url)
	for range 9 {
		if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted {
			t.Fatalf("%+v", got)
		}
	}
	for place, one := range indexers {
		if one.asked.Load() != 3 {
			t.Errorf("endpoint %d was asked %d times", place, one.asked.Load())
		}
	}
}

func TestAnEndpointThatFailsRests(t *testing.T) {
	good, bad, clock := newIndexer(t), newIndexer(t), transporttest.NewClock()
	bad.status.Store(503)
	collector := receiver(t, good.url, bad.url)
	collector.Clock = clock
	send := func(times int) {
		t.Helper()
		for range times {
			if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted {
				t.Fatalf("%+v", got)
			}
		}
	}
	send(10)
	if bad.asked.Load() != 1 || good.asked.Load() != 10 {
		t.Fatalf("the one that failed was asked %d times, the other %d", bad.asked.Load(), good.asked.Load())
	}
	// It wants to rest for 20 seconds, longer than it would.
	clock.Pass(10 * time.Second)
	send(4)
	if bad.asked.Load() != 1 {
		t.Fatalf("Retry-After was not honoured: %d", bad.asked.Load())
	}
	clock.Pass(11 * time.Second)
	bad.status.Store(0)
	send(10)
	if bad.asked.Load() < 5 {
		t.Fatalf("the one that is well again was asked %d times", bad.asked.Load())
	}
}

func TestWhenAllRestOneIsAskedStill(t *testing.T) {
	first, second := newIndexer(t), newIndexer(t)
	first.status.Store(503)
	second.status.Store(429)
	collector := receiver(t, first.url, second.url)
	collector.Clock = transporttest.NewClock()
	for range 3 {
		if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Busy || got.RetryAfter != 20*time.Second || got.Reason == "" {
			t.Fatalf("%+v", got)
		}
	}
	if total := first.asked.Load() + second.asked.Load(); total != 4 {
		t.Fatalf("asked %d times: twice at first, then one each time", total)
	}
	first.status.Store(0)
	second.status.Store(0)
	if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
}

func TestWhatAPersonMustChangeIsSaidFirst(t *testing.T) {
	away, wrong := newIndexer(t), newIndexer(t)
	away.status.Store(503)
	wrong.status.Store(404)
	for range 2 { // whichever comes first
		collector := receiver(t, away.url, wrong.url)
		if got := collector.Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured {
			t.Fatalf("%+v", got)
		}
		away, wrong = wrong, away
	}
}

func TestRestsGrowToAMinute(t *testing.T) {
	all := newEndpoints([]string{"https://a", "https://b/services/collector/event/1.0"})
	if all.list[0].path != "/services/collector/event" || all.list[1].path != "/services/collector/event/1.0" || all.list[1].base != "https://b" {
		t.Fatalf("%+v %+v", all.list[0], all.list[1])
	}
	now, want := time.Now(), []string{"1s", "2s", "4s", "8s", "16s", "32s", "1m0s", "1m0s"}
	for place, rest := range want {
		all.failed(all.list[0], now, 0)
		if got := fmt.Sprint(all.list[0].rests.Sub(now)); got != rest {
			t.Errorf("rest %d is %s, want %s", place, got, rest)
		}
	}
	all.worked(all.list[0])
	if all.list[0].failures != 0 || len(all.order(now)) != 2 {
		t.Error("one that works rests still")
	}
}
