package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/core"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// Limits of one request: under what brokers accept (about 1 MiB) even if nothing compresses.
const (
	requestEvents = 1000
	requestBytes  = 900 << 10
)

// Producer publishes events. It is safe for use by one goroutine at a time; the order of calls is
// the order of events. It speaks to the brokers without the client's batching writer, which may
// send a later batch after an earlier one has failed.
type Producer struct {
	cluster Cluster
	client  *kafka.Client
	release func()
	ensured bool
}

// NewProducer connects on first use.
func NewProducer(cluster Cluster) (*Producer, error) {
	client, release, err := cluster.client()
	if err != nil {
		return nil, err
	}
	return &Producer{cluster: cluster, client: client, release: release}, nil
}

// Close gives the connections back.
func (p *Producer) Close() { p.release() }

// PartlyPublished is the error of a Publish of which some events are certainly there.
type PartlyPublished struct {
	Left []Event // those that may or may not be there, in their order
	Err  error   // why
}

func (e PartlyPublished) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e PartlyPublished) Unwrap() error { return e.Err }

// Publish returns nil once all in-sync replicas have all events. After an error any of them may or
// may not be there, but for those a PartlyPublished leaves out: publish the same ones again before any
// later one. The topic is made and checked before the first event, and again when the brokers have
// forgotten it (see Cluster.Ensure).
func (p *Producer) Publish(ctx context.Context, events []Event) error {
	if !p.ensured {
		if err := p.cluster.Ensure(ctx); err != nil {
			return err
		}
		p.ensured = true
	}
	partitions := make([][]Event, p.cluster.partitions())
	where := map[[16]byte]int{}
	for _, event := range events {
		partition, known := where[event.Workspace]
		if !known {
			partition = Partition(event.Workspace, len(partitions))
			where[event.Workspace] = partition
		}
		partitions[partition] = append(partitions[partition], event)
	}
	var group errgroup.Group
	for partition, events := range partitions {
		if len(events) > 0 {
			group.Go(func() (err error) {
				partitions[partition], err = p.publish(ctx, partition, events)
				return err
			})
		}
	}
	err := group.Wait()
	if err == nil {
		return nil
	}
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		p.ensured = false
	}
	left := slices.Concat(partitions...)
	slices.SortFunc(left, func(a, b Event) int { return cmp.Compare(a.Position, b.Position) })
	return PartlyPublished{Left: left, Err: unavailable(err)}
}

// publish sends one partition's events, one request after the other, and returns those that may not be there.
func (p *Producer) publish(ctx context.Context, partition int, events []Event) ([]Event, error) {
	for len(events) > 0 {
		count, size := 0, 0
		for count < len(events) && count < requestEvents && (count == 0 || size+len(events[count].Value) <= requestBytes) {
			size += len(events[count].Value) + 400 // headers and framing
			count++
		}
		if err := p.request(ctx, partition, events[:count]); err != nil {
			return events, err
		}
		events = events[count:]
	}
	return nil, nil
}

// request sends one request, again for a short while when a broker is changing hands.
func (p *Producer) request(ctx context.Context, partition int, events []Event) error {
	var err error
	for attempt := range 4 {
		if attempt > 0 {
			core.Rest(ctx, 100*time.Millisecond<<attempt)
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err = p.once(ctx, partition, events); err == nil {
			return nil
		}
	}
	return fmt.Errorf("partition %d: %w", partition, err)
}

func (p *Producer) once(ctx context.Context, partition int, events []Event) error {
	records := make([]kafka.Record, len(events))
	for i, event := range events {
		records[i] = kafka.Record{Time: event.Occurred, Key: kafka.NewBytes([]byte(event.Workspace.String())), Value: kafka.NewBytes(event.Value), Headers: event.headers()}
	}
	response, err := p.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: p.cluster.topic(), Partition: partition, RequiredAcks: kafka.RequireAll, Compression: kafka.Snappy, Records: kafka.NewRecordReader(records...),
	})
	if err != nil {
		return p.cluster.lacking("Write", "publish", err)
	}
	if response.Error != nil {
		return p.cluster.lacking("Write", "publish", response.Error)
	}
	for i, err := range response.RecordErrors {
		return fmt.Errorf("event %d of the request: %w", i, err)
	}
	return nil
}
