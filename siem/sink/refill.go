package sink

import (
	"cmp"
	"context"

	"postern/core/audit"
	"postern/siem/stream"
)

// missingEmpty is up to which position events are to come from PostgreSQL because in the partition there is nothing at
// all; 0: it is not so. How far the relay has published is read before Kafka is asked: what it publishes meanwhile is found
// there.
func (s *Sink) missingEmpty(ctx context.Context, assignment *stream.Assignment) (int64, error) {
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
		return 0, err
	}
	return published, nil
}

// missingBefore is the same before the first message that Kafka has. A record that Postern did not write has no place:
// then it is what the relay has published, and some of it may come again.
func (s *Sink) missingBefore(ctx context.Context, first stream.Message) (int64, error) {
	if first.Fault == nil {
		return first.Position - 1, nil
	}
	var published int64
	err := s.patiently(ctx, func() (err error) {
		published, err = audit.Cursor(ctx, s.DB, audit.CursorRelay)
		return err
	})
	return published, err
}

// refill delivers from PostgreSQL everything of the partition that is not delivered by a cursor, up to and with last.
func (s *Sink) refill(ctx context.Context, delivery *Delivery, number int, cursor string, last int64) error {
	s.flush(ctx)
	partitions := cmp.Or(s.Cluster.Partitions, stream.DefaultPartitions)
	count := 0
	var after int64
	// Reads are tried until they succeed: going on without them would be a loss.
	err := s.patiently(ctx, func() (err error) {
		after, err = audit.Cursor(ctx, s.DB, cursor)
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
			s.delivered(cursor, rest[0].Position-1)
			break
		}
		count += len(events)
		s.delivered(cursor, after)
		if records[len(records)-1].Position >= last {
			break
		}
	}
	if count > 0 {
		s.log().WarnContext(ctx, "events were delivered from PostgreSQL: Kafka no longer had them, or somebody wants them once more", "cursor", cursor, "partition", number, "events", count)
	}
	return err
}
