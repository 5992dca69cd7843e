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

	"postern/core"
	"postern/core/audit"
	"postern/deploy/local/receiver"
	"postern/siem/stream"
)

// poison is the name of what the receiver takes for no event.
const poison = "poison"

// arrivals are what the receiver holds, in the order it came.
func (w *world) arrivals() []came {
	w.t.Helper()
	held := w.Receiver.Events()
	all := make([]came, len(held))
	for i, one := range held {
		id, err := core.ParseID(one.Fields["event_id"])
		check(w.t, err)
		workspace, err := core.ParseID(one.Fields["workspace"])
		check(w.t, err)
		sequence, err := strconv.ParseInt(one.Fields["sequence"], 10, 64)
		check(w.t, err)
		all[i] = came{id, workspace, sequence}
	}
	return all
}

// is waits until the sink is in a state.
func (w *world) is(state audit.SinkStatus) {
	w.t.Helper()
	w.eventually("the sink is "+string(state), func() bool {
		all, err := audit.SinkStates(w.t.Context(), w.DB)
		for _, one := range all {
			if one.Name == "splunk" && one.State == state {
				return true
			}
		}
		return err == nil && state == audit.SinkRunning && len(all) == 0
	})
}

// drained waits until the sink is done with all that Kafka has: also with what was published once more after the
// relay died, which comes behind the rest.
func (w *world) drained() {
	w.t.Helper()
	cluster := stream.Cluster{Brokers: strings.Split(w.addresses(), ",")}
	w.eventually("the sink is done with all that Kafka has", func() bool {
		lag, err := cluster.Lag(w.t.Context(), "postern-sink-splunk")
		return err == nil && lag == 0
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
	events := w.flow()
	events.hire()
	kafka := w.Brokers[0]

	// refuses has the receiver answer so until it has done that some times and the sink says what it makes of it.
	refuses := func(state audit.SinkStatus, times int, behaviour receiver.Behaviour) {
		before := w.Receiver.Posts()
		w.Receiver.Behave(behaviour)
		w.eventually("the receiver has refused", func() bool { return w.Receiver.Posts() >= before+times })
		w.is(state)
	}
	retries := func(behaviour receiver.Behaviour) func() {
		return func() {
			refuses(audit.SinkRetrying, 3, behaviour)
			w.Receiver.Behave(receiver.Behaviour{})
		}
	}
	underWay := func() {
		before := w.Receiver.Posts()
		w.Receiver.Behave(receiver.Behaviour{Delay: 2 * time.Second})
		w.eventually("a delivery is under way", func() bool { return w.Receiver.Posts() > before })
	}
	steps := []step{
		{"the gateway is killed", true, func() { gateway.kill(); gateway.start() }},
		{"the relay is killed", true, func() { relay.kill(); relay.start() }},
		{"the sink is killed, a delivery under way", true, func() {
			underWay()
			sink.kill()
			w.Receiver.Behave(receiver.Behaviour{})
			sink.start()
		}},
		{"the broker is killed", true, func() { check(t, kafka.Kill()); check(t, kafka.Restart(t.Context())) }},
		{"PostgreSQL is killed", true, func() { check(t, w.Server.Kill()); check(t, w.Server.Restart(context.WithoutCancel(t.Context()))) }},
		{"the receiver says 429", false, retries(receiver.Behaviour{Status: http.StatusTooManyRequests, Code: 26, RetryAfter: 1})},
		{"the receiver says 500", false, retries(receiver.Behaviour{Status: http.StatusInternalServerError, Code: 8})},
		{"the receiver says 503", false, retries(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})},
		{"the receiver breaks connections", false, func() {
			before := w.reset.Load()
			w.resetting.Store(true)
			w.eventually("connections are broken", func() bool { return w.reset.Load() >= before+3 })
			w.is(audit.SinkRetrying)
			w.resetting.Store(false)
		}},
		{"the receiver says 400 to one event", false, func() {
			w.Receiver.Behave(receiver.Behaviour{Poison: func(event json.RawMessage) bool { return strings.Contains(string(event), `"`+poison+`"`) }})
			events.write(1, poison)
			w.eventually("it is among the dead letters", func() bool { return len(events.dead()) == 1 })
			w.Receiver.Behave(receiver.Behaviour{})
		}},
		{"the receiver slows to a crawl", false, func() {
			before := w.Receiver.Posts()
			w.Receiver.Behave(receiver.Behaviour{Delay: 6 * time.Second})
			w.eventually("deliveries have crawled", func() bool { return w.Receiver.Posts() > before+7 }) // there are six partitions
			w.Receiver.Behave(receiver.Behaviour{})
		}},
		{"the receiver says 401 and 403, sink restarted", false, func() {
			for _, behaviour := range []receiver.Behaviour{{Status: http.StatusUnauthorized, Code: 3}, {Status: http.StatusForbidden, Code: 4}, {}} {
				if behaviour.Status != 0 {
					refuses(audit.SinkPaused, 1, behaviour)
				} else {
					w.Receiver.Behave(behaviour)
				}
				sink.stop() // it would look again by itself within half a minute
				sink.start()
			}
		}},
		{"the gateway is restarted", false, func() { gateway.stop(); gateway.start() }},
		{"the relay is restarted", false, func() { relay.stop(); relay.start() }},
		{"the sink is restarted", false, func() { sink.stop(); sink.start() }},
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
		w.is(audit.SinkRunning)
		before := len(w.Receiver.Events())
		done, written := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			events.while(share, done)
		}()
		w.eventually("events flow", func() bool { return len(w.Receiver.Events()) > before })
		at := time.Now()
		one.do()
		took := time.Since(at)
		close(done)
		<-written
		events.hiring.Lock()
		events.settled()
		w.drained()
		all, repetitions := events.judged(w.arrivals, events.dead())
		repeated := 0
		for _, i := range repetitions {
			if i >= before {
				repeated++
			}
		}
		t.Logf("%2d. %-48s %5.1fs  %6d events, %6d deliveries, %5d again", number+1, one.name, took.Seconds(), len(all)-before-repeated, len(all)-before, repeated)
		events.hiring.Unlock()
		if repeated > 0 && !one.crash {
			t.Errorf("%s: nothing died, and %d events came twice", one.name, repeated)
		}
	}
	events.end()
	events.settled()
	w.drained()
	log := events.log()
	all, repeated := events.judged(w.arrivals, events.dead())
	t.Logf("in %s: %d events in the log, of which %d writes and %d hires were confirmed (%d errors meanwhile); %d arrived, 0 lost, 0 out of order, %d of them again, known by their id, %d among the dead letters",
		time.Since(began).Round(time.Second), len(log), len(events.written), len(events.hired), events.refused, len(all), len(repeated), len(events.dead()))
	if len(events.hired) == 0 || events.refused == 0 {
		t.Errorf("%d people were hired, %d errors: nothing was disturbed", len(events.hired), events.refused)
	}
	for _, one := range []*server{gateway, relay, sink} {
		one.stop()
	}
}

// dead are the events among the sink's dead letters.
func (f *flow) dead() map[core.ID]bool {
	all := map[core.ID]bool{}
	for _, workspace := range f.workspaces {
		letters, err := audit.DeadLetters(f.w.t.Context(), f.w.DB, workspace, 10)
		if err != nil {
			return nil
		}
		for _, one := range letters {
			all[one.Event] = true
		}
	}
	return all
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
