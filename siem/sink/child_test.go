package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/splunk"
	"postern/siem/stream"
)

// hole is an HTTP Event Collector that counts and forgets. The first request is when it begins.
type hole struct {
	down atomic.Bool // it says that it is busy

	mutex       sync.Mutex
	events      int
	began, last time.Time
}

func (h *hole) so() (int, time.Duration) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.events, h.last.Sub(h.began)
}

// ServeHTTP implements http.Handler.
func (h *hole) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"text":"Server is busy","code":9}`)
		return
	}
	h.mutex.Lock()
	if h.began.IsZero() {
		h.began = time.Now()
	}
	h.mutex.Unlock()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "not gzip", http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	text, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, "not whole", http.StatusBadRequest)
		return
	}
	h.mutex.Lock()
	h.events += bytes.Count(text, []byte(`"counted":`))
	h.last = time.Now()
	h.mutex.Unlock()
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
}

// child is what a process of ours is told: to run a sink, and all that comes before it if Whole.
type child struct {
	Broker, Collector, Database string
	Whole                       bool
}

// peak is the most memory a process ever had, in kilobytes; 0 where the system does not say.
func peak(process int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilobytes, _ := strconv.Atoi(number)
	return kilobytes
}

// command starts this program anew as a child.
func (c child) command() *exec.Cmd {
	settings, _ := json.Marshal(c)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "POSTERN_SINK_CHILD="+string(settings))
	return command
}

// runChild works until it is told to stop.
func runChild(text string) error {
	var settings child
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := postgres.Open(ctx, settings.Database, postgres.Options{Name: "child"})
	if err != nil {
		return err
	}
	defer db.Close()
	receiver, err := splunk.New(splunk.Settings{URLs: []string{settings.Collector}}, splunk.Secrets{Token: func() (seal.Secret, error) { return seal.NewSecret(token), nil }}, new(net.Dialer).DialContext)
	if err != nil {
		return err
	}
	cluster := stream.Cluster{Brokers: []string{settings.Broker}}
	delivering := &sink.Sink{Name: core.NewID().String(), DB: db, Cluster: cluster, Receiver: receiver, LongestBackoff: time.Second}
	parts := []func(context.Context) error{delivering.Run}
	if settings.Whole {
		producer, err := stream.NewProducer(cluster)
		if err != nil {
			return err
		}
		defer producer.Close()
		publish := &relay.Relay{DB: db, Publisher: producer}
		sequencer := &audit.Sequencer{DB: db, Key: private, Moved: publish.Wake}
		parts = append(parts, sequencer.Run, publish.Run)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error { return part(ctx) })
	}
	return group.Wait()
}
