package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/ocsf"
	"postern/siem/stream"
)

// How the relay works when nothing else is said.
const (
	smallestBatch = 500
	batchSize     = 5000
	batchBytes    = 4 << 20 // of events: three batches are in memory at once
	shortestWait  = 5 * time.Millisecond
	longestWait   = 250 * time.Millisecond
	longestPause  = 5 * time.Second
	drain         = 5 * time.Second
)

// Publisher is where the relay publishes: a stream.Producer.
type Publisher interface {
	Publish(ctx context.Context, events []stream.Event) error
}

// Relay publishes the log.
type Relay struct {
	DB        *postgres.DB
	Publisher Publisher
	Mapper    ocsf.Mapper
	Log       *slog.Logger // nil logs nothing

	bell         core.Bell
	acknowledged stream.Event // the last one of a batch that Kafka has whole
}

// Run publishes until ctx ends, then returns nil.
func (r *Relay) Run(ctx context.Context) error {
	leader := audit.Leader{DB: r.DB, Lock: audit.LockRelay, Name: "relay", Log: r.Log}
	return leader.Run(ctx, r.lead)
}

// Wake says that the log has grown, so that it need not wait for the next look. It fits
// audit.Sequencer's Moved.
func (r *Relay) Wake() { r.bell.Ring() }

// lead reads and translates the next batch while the one before is being published.
func (r *Relay) lead(ctx context.Context, connection *pgx.Conn) error {
	position, err := audit.Cursor(ctx, connection, audit.CursorRelay)
	if err != nil {
		return err
	}
	if position, err = r.resume(ctx, connection, position); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []stream.Event)
	group.Go(func() error {
		defer close(batches)
		return audit.Walk(ctx, r.DB, func(reading *pgx.Conn) error { return r.read(ctx, reading, position, batches) })
	})
	group.Go(func() error {
		for batch := range batches {
			if err := r.publish(ctx, connection, batch); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// resume is where to go on from. What Kafka has acknowledged to this process is not published again, even if the database
// was away by then and the cursor stayed where it was.
func (r *Relay) resume(ctx context.Context, connection *pgx.Conn, cursor int64) (int64, error) {
	if r.acknowledged.Position <= cursor {
		return cursor, nil
	}
	there, err := audit.Follow(ctx, connection, r.acknowledged.Position-1, 1, 1)
	// In a database that was set back to an earlier moment the place is another event's by now.
	if err != nil || len(there) == 0 || there[0].ID != r.acknowledged.ID {
		return cursor, err
	}
	return r.acknowledged.Position, audit.MoveCursor(ctx, connection, audit.CursorRelay, r.acknowledged.Position)
}

func (r *Relay) read(ctx context.Context, reading *pgx.Conn, position int64, batches chan<- []stream.Event) error {
	wait, limit := shortestWait, smallestBatch
	for {
		records, err := audit.Follow(ctx, reading, position, limit, batchBytes)
		if err != nil {
			return err
		}
		if len(records) > 0 {
			size, events := 0, make([]stream.Event, len(records))
			for i, record := range records {
				size += len(record.Canonical)
				if events[i], err = r.event(ctx, record); err != nil {
					return err
				}
			}
			// What is asked for and does not fit would be read in vain.
			limit = min(max(batchBytes/(size/len(records)+1), smallestBatch), batchSize)
			position = records[len(records)-1].Position
			select {
			case batches <- events:
			case <-ctx.Done():
				return ctx.Err()
			}
			wait = shortestWait
			if len(records) > 1 {
				continue // there may be more
			}
		} else {
			wait = min(wait*2, longestWait)
		}
		if r.bell.Rest(ctx, wait) {
			wait = shortestWait
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// event is what the stream tells of a record. One that was damaged in the log, or that cannot be told of, is kept as a
// dead letter and told to its workspace, and a tombstone with its id and its place goes out instead: nobody waits for it
// for ever, and no sequence is missing.
func (r *Relay) event(ctx context.Context, record audit.Followed) (stream.Event, error) {
	fault := record.Fault
	if fault == nil {
		value, err := r.Mapper.Map(record.Record)
		if err == nil {
			return stream.NewEvent(record.Record, value), nil
		}
		fault = err
	}
	if r.Log != nil {
		r.Log.ErrorContext(ctx, "a record of the log is damaged: a tombstone takes its place in the stream", "workspace", record.Workspace.String(),
			"sequence", record.Sequence, "position", record.Position, "event", record.ID.String(), "error", fault)
	}
	if err := audit.KeepUnreadable(ctx, r.DB, record, fault, time.Now()); err != nil {
		return stream.Event{}, err
	}
	tombstone := record.Tombstone()
	value, err := r.Mapper.Map(tombstone)
	return stream.NewEvent(tombstone, value), err
}

// publish tries until Kafka has the batch, then moves the cursor. What is under way when ctx ends is
// given a few seconds: events that Kafka has and the cursor has not passed would be published again.
func (r *Relay) publish(ctx context.Context, connection *pgx.Conn, batch []stream.Event) error {
	log := r.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	last := batch[len(batch)-1]
	finishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-finishing.Done():
		}
	})
	defer stop()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		// A leader that lost its connection is none any more, and must not publish beside the next.
		if err := connection.Ping(ctx); err != nil {
			return err
		}
		err := r.Publisher.Publish(finishing, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if partly, ok := errors.AsType[stream.PartlyPublished](err); ok {
			batch = partly.Left
		}
		log.WarnContext(ctx, "events cannot be published, trying again", "position", batch[0].Position, "events", len(batch), "in", pause, "error", err)
		core.Rest(ctx, pause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.acknowledged = stream.Event{ID: last.ID, Position: last.Position}
	return audit.MoveCursor(finishing, connection, audit.CursorRelay, last.Position)
}
