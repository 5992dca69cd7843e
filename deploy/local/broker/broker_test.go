package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"postern/conformance/partstest"
	"postern/deploy/local/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWhatWasAcknowledgedStays uses a client that Postern itself does not use.
func TestWhatWasAcknowledgedStays(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *broker.Broker{
		"embedded": func(t *testing.T) *broker.Broker {
			running, err := broker.Embedded(t.Context(), t.TempDir(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return running
		},
		"kafka": func(t *testing.T) *broker.Broker {
			partstest.Long(t, "Apache Kafka")
			jars, err := broker.Jars(t.Context())
			partstest.Need(t, "Apache Kafka", err)
			running, err := broker.Kafka(t.Context(), t.TempDir(), jars, 0)
			if err != nil {
				t.Fatal(err)
			}
			return running
		},
	} {
		t.Run(name, func(t *testing.T) {
			running := start(t)
			t.Cleanup(func() { _ = running.Stop() })
			client := func(options ...kgo.Opt) *kgo.Client {
				made, err := kgo.NewClient(append(options, kgo.SeedBrokers(running.Address))...)
				if err != nil {
					t.Fatal(err)
				}
				return made
			}
			writer := client()
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "kept", 1, -1
			request := kmsg.NewPtrCreateTopicsRequest()
			request.Topics = append(request.Topics, topic)
			if _, err := request.RequestWith(t.Context(), writer); err != nil {
				t.Fatal(err)
			}
			if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("hello")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			writer.Close()
			before := running.Address
			if err := running.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := running.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			reader := client(kgo.ConsumeTopics("kept"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			defer reader.Close()
			records := reader.PollFetches(t.Context()).Records()
			if running.Address != before || len(records) != 1 || string(records[0].Value) != "hello" {
				t.Fatalf("%s %v", running.Address, records)
			}
		})
	}
}
