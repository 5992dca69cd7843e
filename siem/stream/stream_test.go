package stream_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"postern/conformance/partstest"
	"postern/core"
	"postern/deploy/local/broker"
	"postern/siem/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokers runs a test against the embedded broker, and against Apache Kafka where it can be had.
func brokers(t *testing.T, test func(t *testing.T, running *broker.Broker)) {
	t.Run("embedded", func(t *testing.T) {
		running, err := broker.Embedded(t.Context(), t.TempDir(), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = running.Stop() })
		test(t, running)
	})
	t.Run("kafka", func(t *testing.T) {
		partstest.Long(t, "Apache Kafka")
		jars, err := broker.Jars(t.Context())
		partstest.Need(t, "Apache Kafka", err)
		running, err := broker.Kafka(t.Context(), t.TempDir(), jars, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = running.Stop() })
		test(t, running)
	})
}

func cluster(running *broker.Broker) stream.Cluster {
	return stream.Cluster{Brokers: []string{running.Address}, Topic: "audit", Partitions: 3, Replication: 1}
}

func event(workspace core.ID, sequence int64) stream.Event {
	return stream.Event{ID: core.NewID(), Workspace: workspace, Correlation: core.NewID(), Type: core.UserUpdated, Occurred: time.Now().UTC().Truncate(time.Microsecond),
		Sequence: sequence, Position: sequence, Value: fmt.Appendf(nil, `{"sequence":%d}`, sequence)}
}

// collector is a handler that keeps what it gets, in order, and commits it.
type collector struct {
	mutex sync.Mutex
	got   map[core.ID][]int64
	total int
	gaps  int
}

func (c *collector) handle(ctx context.Context, assignment *stream.Assignment) {
	for {
		batch, err := assignment.Fetch(ctx, 1<<20, time.Millisecond)
		if len(batch.Messages) > 0 {
			c.mutex.Lock()
			if c.got == nil {
				c.got = map[core.ID][]int64{}
			}
			for _, message := range batch.Messages {
				c.got[message.Workspace] = append(c.got[message.Workspace], message.Sequence)
			}
			c.total += len(batch.Messages)
			c.mutex.Unlock()
			if assignment.Commit(batch.Messages[len(batch.Messages)-1]) != nil {
				return
			}
		}
		c.mutex.Lock()
		if batch.Gap {
			c.gaps++
		}
		c.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *collector) count() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.total
}

// join runs a member of the group until stop.
func join(t *testing.T, cluster stream.Cluster, handle stream.Handler) (stop func()) {
	t.Helper()
	return joinAs(t, cluster, "sink", handle)
}

func joinAs(t *testing.T, cluster stream.Cluster, group string, handle stream.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		member := &stream.Consumer{Cluster: cluster, Group: group, SessionTimeout: 6 * time.Second}
		if err := member.Run(ctx, handle); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it never came to: %s", what)
}

func publish(t *testing.T, producer *stream.Producer, events ...stream.Event) {
	t.Helper()
	for {
		err := producer.Publish(t.Context(), events)
		if err == nil {
			return
		}
		if core.KindOf(err) != core.KindUnavailable || t.Context().Err() != nil {
			t.Fatal(err)
		}
		t.Logf("again: %v", err)
	}
}

func TestEventsKeepOrderOverRestartsAndRebalances(t *testing.T) {
	partstest.Long(t, "a broker and its restarts")
	brokers(t, func(t *testing.T, running *broker.Broker) {
		cluster := cluster(running)
		for range 2 {
			if err := cluster.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		producer, err := stream.NewProducer(cluster)
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		workspaces := []core.ID{core.NewID(), core.NewID(), core.NewID(), core.NewID()}
		sequence := int64(0)
		produce := func(rounds int) {
			var events []stream.Event
			for range rounds {
				sequence++
				for _, workspace := range workspaces {
					events = append(events, event(workspace, sequence))
				}
			}
			publish(t, producer, events...)
		}
		all := &collector{}
		leave := join(t, cluster, all.handle)
		produce(1200) // more than one request
		eventually(t, "all is read", func() bool { return all.count() == int(sequence)*4 })

		// A second member comes while the first keeps going, and one leaves: nothing comes twice.
		join(t, cluster, all.handle)
		for range 20 {
			produce(10)
			time.Sleep(100 * time.Millisecond)
		}
		leave()
		produce(10)
		eventually(t, "all is read after the change of members", func() bool { return all.count() >= int(sequence)*4 })

		// The broker is away for a while.
		if err := running.Stop(); err != nil {
			t.Fatal(err)
		}
		back := make(chan error)
		go func() { time.Sleep(2 * time.Second); back <- running.Restart(context.Background()) }()
		produce(10)
		if err := <-back; err != nil {
			t.Fatal(err)
		}
		distinct := func() int {
			all.mutex.Lock()
			defer all.mutex.Unlock()
			seen := 0
			for _, sequences := range all.got {
				highest := int64(0)
				for _, sequence := range sequences {
					if sequence == highest+1 {
						highest = sequence
					}
				}
				seen += int(highest)
			}
			return seen
		}
		eventually(t, "all is read after the broker came back", func() bool { return distinct() == int(sequence)*4 })
		eventually(t, "nothing is uncommitted", func() bool {
			lag, err := cluster.Lag(t.Context(), "sink")
			return err == nil && lag == 0
		})
		if repeated := all.count() - int(sequence)*4; repeated > 0 {
			t.Logf("%d of %d came twice", repeated, all.count())
		}
	})
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	running, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	cluster := cluster(running)
	if err := cluster.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	cluster.Partitions = 4
	if err := cluster.Ensure(t.Context()); core.KindOf(err) != core.KindConflict {
		t.Fatalf("got %v", err)
	}
}

// alter makes a topic, which nobody keeps from being wrong.
func alter(t *testing.T, running *broker.Broker, topic string, partitions int32, settings map[string]string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(running.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = topic, partitions, -1
	for name, value := range settings {
		one.Configs = append(one.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	request.Topics = append(request.Topics, one)
	response, err := request.RequestWith(t.Context(), client)
	if err != nil || response.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", response, err)
	}
}

func TestATopicThatIsNotAsItShouldBe(t *testing.T) {
	brokers(t, func(t *testing.T, running *broker.Broker) {
		for name, test := range map[string]struct {
			partitions int32
			settings   map[string]string
			found      []string
			refused    bool
		}{
			"as-it-should-be": {3, map[string]string{"retention.ms": "604800000"}, nil, false},
			"kept-longer":     {3, map[string]string{"retention.ms": "-1"}, nil, false},
			"others":          {4, nil, []string{"the number of partitions is 4, should be 3"}, true},
			"compacted":       {3, map[string]string{"cleanup.policy": "compact"}, []string{"cleanup.policy is compact, should be delete"}, true},
			"short": {3, map[string]string{"retention.ms": "3600000", "retention.bytes": "1000000"},
				[]string{"retention.ms is 3600000, should be 604800000", "retention.bytes is 1000000, should be -1"}, false},
		} {
			alter(t, running, name, test.partitions, test.settings)
			cluster := cluster(running)
			cluster.Topic = name
			topic, made, err := cluster.Make(t.Context())
			if err != nil || made {
				t.Fatalf("%s: %t, %v", name, made, err)
			}
			differences := cluster.Compare(topic)
			if len(differences) != len(test.found) {
				t.Errorf("%s: %v", name, differences)
				continue
			}
			for i, one := range differences {
				if !strings.HasPrefix(one.String(), test.found[i]) || one.Means == "" || one.Advice == "" || one.Grave != test.refused {
					t.Errorf("%s: %s", name, one)
				}
			}
			if err := cluster.Ensure(t.Context()); (core.KindOf(err) == core.KindConflict) != test.refused {
				t.Errorf("%s: %v", name, err)
			}
		}
		cluster := cluster(running)
		cluster.Topic, cluster.Replication = "absent", 0
		if topic, err := cluster.Describe(t.Context()); core.KindOf(err) != core.KindNotFound || topic.Brokers != 1 {
			t.Errorf("%+v, %v", topic, err)
		}
		cluster.Brokers = []string{running.Address, "127.0.0.1:1", "127.0.0.1:2"}
		if _, made, err := cluster.Make(t.Context()); made || core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "of the 3 brokers given 1 answer") {
			t.Errorf("with brokers away it was made: %t, %v", made, err)
		}
		cluster.Brokers = cluster.Brokers[:1]
		topic, made, err := cluster.Make(t.Context())
		if err != nil || !made || topic.Partitions != 3 || topic.Replication != 1 || topic.InSync != 1 || topic.Settings["min.insync.replicas"] != "1" || len(cluster.Compare(topic)) != 0 {
			t.Errorf("%+v, %t, %v", topic, made, err)
		}
	})
}

func TestABrokerThatIsAwayIsUnavailable(t *testing.T) {
	cluster := stream.Cluster{Brokers: []string{"127.0.0.1:1"}}
	if err := cluster.Ensure(t.Context()); core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	producer, err := stream.NewProducer(cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Publish(t.Context(), []stream.Event{event(core.NewID(), 1)}); core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := producer.Publish(ctx, []stream.Event{event(core.NewID(), 1)}); err == nil {
		t.Fatal("events were published to nobody")
	}
}
