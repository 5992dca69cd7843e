package splunk

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"postern/core/audit"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transporttest"
)

// pipes are connections inside the process: time does not pass on them.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.connections <- theirs
	return ours, nil
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case one := <-p.connections:
		return one, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// counting counts the events of each attempt.
type counting struct {
	sink.Receiver
	sizes []int
}

func (c *counting) Send(ctx context.Context, events []stream.Event) sink.Answer {
	c.sizes = append(c.sizes, len(events))
	return c.Receiver.Send(ctx, events)
}

type unheard struct{}

func (unheard) Tell(context.Context, audit.SinkStatus, string, []stream.Event) {}
func (unheard) Bury(context.Context, stream.Event, string) error               { return nil }
func (unheard) Keep(context.Context, []stream.Event, json.RawMessage)          {}
func (unheard) Nudged() <-chan struct{}                                        { return nil }

// An indexer that takes its time to write is no reason for smaller requests: each would wait as long.
func TestALateAcknowledgementKeepsRequestsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		indexer := &acknowledging{t: t, next: map[string]int64{}, written: map[string]map[int64]bool{}, events: map[string]int{}}
		way := pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: indexer}
		go func() { _ = server.Serve(way) }()
		defer func() { _ = server.Close() }()
		collector, err := New(Settings{URLs: []string{"http://127.0.0.1"}, Acknowledge: true, MaxBytes: 10_000}, Secrets{Token: transporttest.Secret(canary)}, way.dial)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = collector.Close() }()
		receiver := &counting{Receiver: collector}
		delivery := &sink.Delivery{Receiver: receiver, Owner: unheard{}, Pace: &sink.Pace{}}
		events := transporttest.Small(4000)
		for len(events) > 0 {
			part := events[:200] // what fits into one attempt
			events = events[len(part):]
			indexer.mutex.Lock()
			indexer.wait = indexer.polls + 15 // about two minutes
			indexer.mutex.Unlock()
			if rest, err := delivery.Deliver(t.Context(), part); err != nil || len(rest) > 0 {
				t.Fatal(len(rest), err)
			}
		}
		if len(receiver.sizes) != 20 || len(indexer.events) != 4000 {
			t.Errorf("%d events came, in parts of %v", len(indexer.events), receiver.sizes)
		}
	})
}
