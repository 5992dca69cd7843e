package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"postern/core/audit"
	"postern/deploy/local/receiver"
	"postern/siem/stream"
	"postern/siem/transporttest"
)

// poison is the name of what the receiver takes for no event.
const poison = "poison"

// drained waits until the sinks are done with all there is: also with what was published once more after the relay died,
// which comes behind the rest.
func (w *world) drained() {
	w.t.Helper()
	cluster := stream.Cluster{Brokers: strings.Split(w.addresses(), ",")}
	w.eventually("the operator's sink is done with all that Kafka has", func() bool {
		lag, err := cluster.Lag(w.t.Context(), "postern-sink-splunk")
		return err == nil && lag == 0
	})
	w.eventually("the workspace's sink is done with all that its log has", func() (done bool) {
		err := w.DB.QueryRow(w.t.Context(), `select delivered >= (select max(sequence) from audit_log l where l.workspace_id = s.workspace_id) from workspace_sinks s where id = $1`, w.Own.sink).Scan(&done)
		return err == nil && done
	})
}

// step is one thing that happens to the stream.
type step struct {
	name  string
	crash bool // an answer may be lost, so events may come twice: something dies, or what Postern asks goes away meanwhile
	do    func()
}

// TestChaos does one thing after another to the stream while events flow. POSTERN_CHAOS_EVENTS is how many.
func TestChaos(t *testing.T) {
	total := 20_000
	if text := os.Getenv("POSTERN_CHAOS_EVENTS"); text != "" {
		var err error
		total, err = strconv.Atoi(text)
		check(t, err)
	}
	w := newWorld(t, 1)
	gateway, relay, sink := w.serve("gateway"), w.serve("relay"), w.serve("sink")
	w.Own.connect()
	events := w.flow()
	events.hire()
	kafka, doubles := w.Brokers[0], []*double{w.All, w.Own}

	both := func(behaviour receiver.Behaviour) {
		for _, one := range doubles {
			one.Behave(behaviour)
		}
	}
	are := func(state audit.SinkStatus) {
		for _, one := range doubles {
			one.is(state)
		}
	}
	// until waits until each receiver has counted so many more.
	until := func(what string, times int, count func(*double) int) {
		before := []int{count(w.All), count(w.Own)}
		for i, one := range doubles {
			w.eventually(what, func() bool { return count(one) >= before[i]+times })
		}
	}
	posts := func(d *double) int { return d.Posts() }
	// refuses has the receivers answer so until they have done that some times and the sinks say what they make of it.
	refuses := func(state audit.SinkStatus, times int, behaviour receiver.Behaviour) {
		both(behaviour)
		until("the receiver has refused", times, func(d *double) int { return d.answered(behaviour.Status) })
		are(state)
	}
	retries := func(behaviour receiver.Behaviour) func() {
		return func() {
			refuses(audit.SinkRetrying, 3, behaviour)
			both(receiver.Behaviour{})
		}
	}
	troubles := func(trouble int32, times int) func() {
		return func() {
			for _, one := range doubles {
				one.trouble.Store(trouble)
			}
			until("requests are not answered", times, func(d *double) int { return int(d.troubled.Load()) })
			are(audit.SinkRetrying)
			for _, one := range doubles {
				one.trouble.Store(answers)
			}
		}
	}
	underWay := func(delay time.Duration) {
		both(receiver.Behaviour{Delay: delay})
		until("a delivery is under way", 1, posts)
	}
	// restart has a sink that is paused look again now: it would within half a minute.
	restart := func() { sink.stop(); sink.start() }
	steps := []step{
		{"the gateway is killed", true, func() { gateway.kill(); gateway.start() }},
		{"the relay is killed", true, func() { relay.kill(); relay.start() }},
		{"the sink is killed, a delivery under way", true, func() {
			underWay(2 * time.Second)
			sink.kill()
			both(receiver.Behaviour{})
			sink.start()
		}},
		{"the broker is killed", true, func() { check(t, kafka.Kill()); check(t, kafka.Restart(t.Context())) }},
		{"PostgreSQL is killed", true, func() { check(t, w.Server.Kill()); check(t, w.Server.Restart(context.WithoutCancel(t.Context()))) }},
		{"the receiver says 429", false, retries(receiver.Behaviour{Status: http.StatusTooManyRequests, Code: 26, RetryAfter: 1})},
		{"the receiver says 500", false, retries(receiver.Behaviour{Status: http.StatusInternalServerError, Code: 8})},
		{"the receiver says 503", false, retries(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})},
		{"the receiver says 408", false, retries(receiver.Behaviour{Status: http.StatusRequestTimeout})},
		{"the receiver says 413 to more than 8 KB", false, func() {
			both(receiver.Behaviour{Most: 8 << 10, Delay: 500 * time.Millisecond})
			until("the receiver has refused", 3, func(d *double) int { return d.answered(http.StatusRequestEntityTooLarge) })
			both(receiver.Behaviour{})
		}},
		{"the receiver breaks connections", false, troubles(breaks, 3)},
		{"the receiver never answers", false, troubles(silent, 1)},
		{"the receiver refuses connections", false, func() {
			for _, one := range doubles {
				one.shut()
			}
			are(audit.SinkRetrying)
			for _, one := range doubles {
				one.open(one.authority)
			}
		}},
		{"the receiver shows a bad certificate, sink restarted", false, func() {
			for _, one := range doubles {
				one.shut()
				one.open(transporttest.NewAuthority(t))
			}
			are(audit.SinkPaused)
			for _, one := range doubles {
				one.shut()
				one.open(one.authority)
			}
			restart()
		}},
		{"the receiver says 400 to one event", false, func() {
			both(receiver.Behaviour{Poison: func(event json.RawMessage) bool { return strings.Contains(string(event), `"`+poison+`"`) }})
			events.write(1, poison)
			for _, one := range doubles {
				w.eventually("it is among the dead letters", func() bool { return len(one.dead(events.workspaces)) == 1 })
			}
			both(receiver.Behaviour{})
		}},
		{"the receiver slows to a crawl", false, func() {
			both(receiver.Behaviour{Delay: 6 * time.Second})
			until("deliveries have crawled", 3, posts)
			both(receiver.Behaviour{})
		}},
		{"the receiver says 401, 403, 400; sink restarted", false, func() {
			for _, behaviour := range []receiver.Behaviour{{Status: http.StatusUnauthorized, Code: 3}, {Status: http.StatusForbidden, Code: 4}, {Status: http.StatusBadRequest, Code: 7}} {
				refuses(audit.SinkPaused, 1, behaviour)
				both(receiver.Behaviour{})
				restart()
				are(audit.SinkRunning)
			}
		}},
		{"the gateway is restarted", false, func() { gateway.stop(); gateway.start() }},
		{"the relay is restarted", false, func() { relay.stop(); relay.start() }},
		{"the sink is restarted", false, restart},
		{"the sink is restarted, answers slow", false, func() {
			underWay(8 * time.Second) // longer than a partition that is given up has
			sink.stop()
			both(receiver.Behaviour{})
			sink.start()
		}},
		{"the broker is restarted", true, func() { check(t, kafka.Stop()); check(t, kafka.Restart(t.Context())) }},
		{"PostgreSQL is restarted", true, func() { check(t, w.Server.Stop()); check(t, w.Server.Restart(context.WithoutCancel(t.Context()))) }},
		{"the topic expires while the sink is stopped", false, func() {
			sink.stop()
			w.expire()
			sink.start()
			w.eventually("the sink finds that Kafka has forgotten", func() bool { return sink.log.says("the log does not reach back to where the group stopped") })
		}},
	}
	share := total / len(steps)
	began := time.Now()
	for number, one := range steps {
		are(audit.SinkRunning)
		before := []int{len(w.All.Events()), len(w.Own.Events())}
		done, written := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			events.while(share, done)
		}()
		until("events flow", 1, func(d *double) int { return len(d.Events()) })
		at := time.Now()
		one.do()
		took := time.Since(at)
		close(done)
		<-written
		events.hiring.Lock()
		events.settled()
		w.drained()
		counts := make([]any, 0, 6)
		for i, of := range doubles {
			all, repetitions := events.arrived(of)
			repeated := 0
			for _, place := range repetitions {
				if place >= before[i] {
					repeated++
				}
			}
			counts = append(counts, len(all)-before[i]-repeated, len(all)-before[i], repeated)
			if repeated > 0 && !one.crash {
				t.Errorf("%s: nothing died, and %d events came twice", one.name, repeated)
			}
		}
		t.Logf("%2d. %-52s %5.1fs  %6d events, %6d deliveries, %5d again; the workspace's own sink: %5d, %5d, %4d",
			append([]any{number + 1, one.name, took.Seconds()}, counts...)...)
		events.hiring.Unlock()
	}
	events.end()
	events.settled()
	w.drained()
	log := events.log()
	t.Logf("in %s: %d events in the log, of which %d writes and %d hires were confirmed (%d errors meanwhile)",
		time.Since(began).Round(time.Second), len(log), len(events.written), len(events.hired), events.refused)
	for i, of := range doubles {
		all, repeated := events.arrived(of)
		t.Logf("%s: %d arrived, 0 lost, 0 out of order, %d of them again, known by their id, %d among the dead letters",
			[]string{"the operator's sink", "the workspace's own sink"}[i], len(all), len(repeated), len(of.dead(events.workspaces)))
	}
	if len(events.hired) == 0 || events.refused == 0 {
		t.Errorf("%d people were hired, %d errors: nothing was disturbed", len(events.hired), events.refused)
	}
	for _, one := range []*server{gateway, relay, sink} {
		one.stop()
	}
}

// arrived judges what a receiver has: everything, or all events of the workspace whose sink it is.
func (f *flow) arrived(d *double) (all []came, repeated []int) {
	f.w.t.Helper()
	if d.sink.IsZero() {
		return f.judged(d.arrivals, d.dead(f.workspaces))
	}
	return f.judged(d.arrivals, d.dead(f.workspaces), f.acme())
}

// expire has Kafka forget everything, as retention does, also what the sink has not read: what that committed last is
// then older than the log.
func (w *world) expire() {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.addresses()))
	check(w.t, err)
	defer client.Close()
	published := func() (position int64) {
		check(w.t, w.DB.QueryRow(w.t.Context(), `select position from cursors where name = 'relay'`).Scan(&position))
		return position
	}
	before := published()
	w.eventually("the relay has published what the sink has not read", func() bool { return published() > before+100 })
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.TimeoutMillis = 10_000
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = "postern.audit"
	for partition := range int32(6) {
		one := kmsg.NewDeleteRecordsRequestTopicPartition()
		one.Partition, one.Offset = partition, -1 // up to the end
		topic.Partitions = append(topic.Partitions, one)
	}
	request.Topics = append(request.Topics, topic)
	for _, shard := range client.RequestSharded(w.t.Context(), request) {
		check(w.t, shard.Err)
		for _, partition := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions {
			if partition.ErrorCode != 0 {
				w.t.Fatal(fmt.Errorf("deleting records: code %d", partition.ErrorCode))
			}
		}
	}
}
