package sink

import (
	"context"
	"errors"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/siem/stream"
)

// servedEvery is how often a process says that it delivers.
const servedEvery = 20 * time.Second

// look reads what the operator wants, and says now and then that this process delivers.
func (s *Sink) look(ctx context.Context) error {
	read := func() (audit.SinkOrders, error) { return audit.OrdersOf(ctx, s.DB, s.Name) }
	served := time.Since(s.looked) >= servedEvery
	if served {
		read = func() (audit.SinkOrders, error) { return audit.ServeSink(ctx, s.DB, s.Name, s.Kind, s.now()) }
	}
	found, err := read()
	if core.KindOf(err) == core.KindNotFound {
		s.looked = time.Time{}
		return nil
	}
	if err != nil {
		return err
	}
	if served {
		s.looked = time.Now()
	}
	s.mutex.Lock()
	before := s.orders
	s.orders = found
	if found != before {
		s.told = state{} // the order has changed what is recorded
	}
	// What is under way goes on when the receiver shall merely be asked again.
	if found.Held != before.Held || found != before && found.ReplayTo > 0 || found.ReplayTo != before.ReplayTo {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mutex.Unlock()
	if found.Held != before.Held {
		s.log().InfoContext(ctx, "the operator holds the sink, or lets it go on", "held", found.Held)
	}
	if found != before {
		s.Retry()
	}
	return nil
}

// wanted is what the operator wants now, and is closed when that changes.
func (s *Sink) wanted() (audit.SinkOrders, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.orders, s.changed
}

// work waits while the sink is held, then gives a context that ends when the operator wants something else.
func (s *Sink) work(ctx context.Context) (context.Context, context.CancelFunc, audit.SinkOrders) {
	orders, changed := s.wanted()
	for orders.Held && ctx.Err() == nil {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		orders, changed = s.wanted()
	}
	working, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-changed:
			cancel()
		case <-working.Done():
		}
	}()
	return working, cancel, orders
}

// serving is one partition, for as long as it is this process's.
type serving struct {
	*partition
	assignment *stream.Assignment
	delivery   *Delivery
	left       []stream.Message // fetched, and not delivered
	gap        bool             // events are missing before left
	missing    int64            // a position: up to there events are to come from PostgreSQL first
	replayed   int64            // the revision of the orders whose replay is done
}

// serve delivers one partition.
func (s *Sink) serve(ctx context.Context, assignment *stream.Assignment) {
	s.begin()
	defer s.end(assignment.Partition)
	served := &partition{sink: s, number: assignment.Partition}
	v := &serving{partition: served, assignment: assignment, delivery: &Delivery{
		Receiver: s.Receiver, Owner: served, Pace: s.pace, Waits: Waits{Backoff: s.Backoff, Longest: s.LongestBackoff, Probe: s.ProbeEvery}, Ended: assignment.Ended,
	}}
	if served.resume(ctx, v.delivery) != nil {
		return
	}
	var err error
	if v.missing, err = s.missingEmpty(ctx, assignment); err != nil {
		return
	}
	for ctx.Err() == nil {
		working, stop, orders := s.work(ctx)
		for err == nil {
			err = v.turn(working, orders)
		}
		interrupted := working.Err() != nil && !errors.Is(err, errNotOurs)
		stop()
		if !interrupted {
			return
		}
		err = nil
	}
}

// errNotOurs ends a partition: what was delivered cannot be committed.
var errNotOurs = errors.New("the partition is not ours any more")

// turn does the next thing there is to do. An error ends the partition, unless it is because ctx ended.
func (v *serving) turn(ctx context.Context, orders audit.SinkOrders) error {
	s := v.sink
	if v.gap {
		var err error
		if v.missing, err = s.missingBefore(ctx, v.left[0]); err != nil {
			return err
		}
		v.gap = false
	}
	if v.missing > 0 {
		if err := s.refill(ctx, v.delivery, v.number, audit.SinkCursor(s.Name, v.number), v.missing); err != nil {
			return err
		}
		v.missing = 0
	}
	if orders.ReplayTo > 0 && v.replayed != orders.Revision {
		if err := v.replay(ctx, orders.ReplayTo); err != nil {
			return err
		}
		v.replayed = orders.Revision
	}
	if len(v.left) == 0 {
		batch, err := v.assignment.Fetch(ctx, s.Receiver.Limit(), linger)
		if v.left = batch.Messages; len(v.left) == 0 {
			return err
		}
		if v.gap = batch.Gap; v.gap {
			return nil
		}
	}
	return v.deliver(ctx)
}

// deliver delivers what was fetched, and commits it.
func (v *serving) deliver(ctx context.Context) error {
	s := v.sink
	again := s.again(v.number, v.left)
	done, stopped := v.messages(ctx, v.delivery, v.left[again:])
	if done += again; done == 0 {
		return stopped
	}
	last := v.left[done-1]
	if err := v.assignment.Commit(last); err != nil {
		s.log().InfoContext(ctx, "delivered events could not be committed, they are left out when they come again", "partition", v.number, "error", err)
		if done > again {
			s.uncommitted(v.number, v.left[:done])
		}
		return errNotOurs
	}
	if done > again { // and with them all that had come before
		s.uncommitted(v.number, nil)
	}
	s.delivered(audit.SinkCursor(s.Name, v.number), last.Position)
	v.left = v.left[done:]
	return stopped
}

// replay delivers once more what the operator wants, from where it stopped.
func (v *serving) replay(ctx context.Context, last int64) error {
	s, cursor := v.sink, audit.ReplayCursor(v.sink.Name, v.number)
	var there bool
	if err := s.patiently(ctx, func() error {
		found, err := audit.SinkCursors(ctx, s.DB, s.Name)
		_, there = found[cursor]
		return err
	}); err != nil || !there {
		return err
	}
	if err := s.refill(ctx, v.delivery, v.number, cursor, last); err != nil {
		return err
	}
	s.mutex.Lock()
	delete(s.done, cursor)
	s.mutex.Unlock()
	return s.patiently(ctx, func() error { return audit.DropCursor(ctx, s.DB, cursor) })
}
