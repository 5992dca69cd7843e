package sink

import (
	"cmp"
	"context"

	"postern/core/audit"
	"postern/siem/stream"
)

// refillEmpty delivers what is missing from a partition in which there is nothing at all. How far the relay has
// published is read before Kafka is asked: what it publishes meanwhile is found there.
func (s *Sink) refillEmpty(ctx context.Context, delivery *Delivery, assignment *stream.Assignment) error {
	var published int64
	var empty bool
	err := s.patiently(ctx, func() (err error) {
		if published, err = audit.Cursor(ctx, s.DB, audit.CursorRelay); err != nil {
			return err
		}
		empty, err = assignment.Empty(ctx)
		return err
	})
	if err != nil || !empty {
		return err
	}
	return s.refill(ctx, delivery, assignment.Partition, published)
}

// refillBefore delivers what is missing before the first message that Kafka has. A record that Postern did not
// write has no place: then it is what the relay has published, and some of it may come again.
func (s *Sink) refillBefore(ctx context.Context, delivery *Delivery, number int, first stream.Message) error {
	if first.Fault == nil {
		return s.refill(ctx, delivery, number, first.Position-1)
	}
	var published int64
	if err := s.patiently(ctx, func() (err error) {
		published, err = audit.Cursor(ctx, s.DB, audit.CursorRelay)
		return err
	}); err != nil {
		return err
	}
	return s.refill(ctx, delivery, number, published)
}

// refill delivers from PostgreSQL what Kafka does not have (any more): everything of the partition after the
// last delivered position, up to and with last.
func (s *Sink) refill(ctx context.Context, delivery *Delivery, number int, last int64) error {
	s.flush(ctx)
	partitions := cmp.Or(s.Cluster.Partitions, stream.DefaultPartitions)
	count := 0
	var after int64
	// Reads are tried until they succeed: going on without them would be a loss.
	err := s.patiently(ctx, func() (err error) {
		after, err = audit.Cursor(ctx, s.DB, s.cursor(number))
		return err
	})
	for err == nil && after < last {
		var records []audit.Record
		if err = s.patiently(ctx, func() error {
			var err error
			records, err = audit.After(ctx, s.DB, after, 500)
			return err
		}); err != nil || len(records) == 0 {
			break
		}
		var events []stream.Event
		for _, record := range records {
			if record.Position > last {
				break
			}
			after = record.Position
			if stream.Partition(record.Event.Workspace, partitions) != number {
				continue
			}
			value, err := s.Mapper.Map(record)
			if err != nil {
				return err
			}
			events = append(events, stream.NewEvent(record, value))
		}
		rest, stopped := delivery.Deliver(ctx, events)
		if err = stopped; err != nil {
			s.delivered(number, rest[0].Position-1)
			break
		}
		count += len(events)
		s.delivered(number, after)
		if records[len(records)-1].Position >= last {
			break
		}
	}
	if count > 0 {
		s.log().WarnContext(ctx, "Kafka no longer had events, they were delivered from PostgreSQL", "partition", number, "events", count)
	}
	return err
}
