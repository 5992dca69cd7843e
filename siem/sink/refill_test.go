package sink_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"postern/core/audit"
	"postern/deploy/local/broker"
	"postern/siem/stream"
)

func TestWhatKafkaForgotIsRefilledFromPostgreSQL(t *testing.T) {
	onBrokers(t, func(t *testing.T, running *broker.Broker) {
		l := start(t, nil, running)
		stop := l.run(t, l.splunk(t).Run)
		l.append(t, 30)
		l.all(t, "splunk")
		stop()
		l.append(t, 50)
		eventually(t, "the relay has published", func() bool {
			backlog, err := audit.ReadBacklog(t.Context(), l.db, time.Now())
			return err == nil && backlog.Unsequenced == 0 && backlog.Unpublished == 0
		})
		forget(t, running)
		l.run(t, l.splunk(t).Run)
		l.all(t, "splunk") // though nothing new comes
		l.append(t, 10)
		l.all(t, "splunk")
		if again := l.duplicates("splunk"); again > 0 {
			t.Errorf("%d events came twice", again)
		}
		if !strings.Contains(l.logs.String(), "delivered from PostgreSQL") {
			t.Fatal("nothing was refilled")
		}
	})
}

// What is published while a sink finds its partition empty comes from Kafka, once.
func TestWhatIsPublishedWhileASinkBeginsComesOnce(t *testing.T) {
	l := lay(t, nil, embedded(t))
	ctx := t.Context()
	l.append(t, 10)
	eventually(t, "everything is in the log", func() bool {
		backlog, err := audit.ReadBacklog(ctx, l.db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
	// The sink has begun, and is held up where it reads how far it and the relay are.
	tx, err := l.db.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(ctx, `lock table cursors in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	l.run(t, l.splunk(t).Run)
	eventually(t, "the sink waits with every partition", func() bool {
		var waiting int
		err := l.db.QueryRow(ctx, `
			select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%(select position from cursors where name =%'`).Scan(&waiting)
		return err == nil && waiting == l.cluster.Partitions
	})
	// Meanwhile a relay publishes, and says so.
	records, err := audit.After(ctx, l.db, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var events []stream.Event
	for _, record := range records {
		value, err := l.relay.Mapper.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, stream.NewEvent(record, value))
	}
	if err := l.relay.Publisher.Publish(ctx, events); err != nil {
		t.Fatal(err)
	}
	if err := audit.MoveCursor(ctx, tx, audit.CursorRelay, events[len(events)-1].Position); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	l.all(t, "splunk")
	l.run(t, l.relay.Run)
	l.append(t, 10)
	l.all(t, "splunk")
	if again := l.duplicates("splunk"); again > 0 || strings.Contains(l.logs.String(), "delivered from PostgreSQL") {
		t.Errorf("%d events came twice", again)
	}
}

// forget deletes everything that is in the topic.
func forget(t *testing.T, running *broker.Broker) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(running.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = "postern.audit"
	for partition := range int32(3) {
		all := kmsg.NewDeleteRecordsRequestTopicPartition()
		all.Partition, all.Offset = partition, -1
		topic.Partitions = append(topic.Partitions, all)
	}
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, topic)
	for _, shard := range client.RequestSharded(t.Context(), request) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, partition := range topic.Partitions {
				if partition.ErrorCode != 0 {
					t.Fatalf("partition %d: error %d", partition.Partition, partition.ErrorCode)
				}
			}
		}
	}
}

func TestABrokerThatLostEverythingLosesNothing(t *testing.T) {
	first := embedded(t)
	l := start(t, nil, first)
	stop := l.run(t, l.splunk(t).Run)
	l.append(t, 30)
	l.all(t, "splunk")
	stop()
	l.append(t, 30)
	eventually(t, "the relay has published", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), l.db, time.Now())
		return err == nil && backlog.Unsequenced == 0 && backlog.Unpublished == 0
	})
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(first.Address, ":")
	second, err := broker.Embedded(t.Context(), t.TempDir(), number(t, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Stop() })
	l.append(t, 1) // the relay makes the topic again
	l.run(t, l.splunk(t).Run)
	l.all(t, "splunk")
}
