package sinks

import (
	"context"

	"postern/core/audit"
	"postern/siem/stream"
)

// backlog is what a lane has read of the log beyond what it sends now: the next page is read while a request is under way.
// It is used by the lane alone.
type backlog struct {
	left  []stream.Event // in order
	ahead chan page      // one is being read; nil: none is
}

// page is a part of the log.
type page struct {
	events []stream.Event
	whole  bool // there may be more after it
	err    error
}

// read gets from the log what a lane is behind, as much as a request has. Of all lanes of a process a few read at a time, in
// the order in which they asked: nobody's backlog comes before another's next event twice.
func (l *lane) read(ctx context.Context, next int64, limit int) ([]stream.Event, error) {
	l.mutex.Lock()
	behind := l.behind
	l.behind = false
	l.mutex.Unlock()
	if !behind {
		return nil, nil
	}
	log, whole := &l.backlog, true
	for len(log.left) > 0 && log.left[0].Sequence < next { // came from the stream meanwhile
		log.left = log.left[1:]
	}
	limit = min(limit, laneMemory)
	for whole && fits(log.left, limit) == len(log.left) {
		if last := len(log.left) - 1; last >= 0 {
			next = log.left[last].Sequence + 1
		}
		got := l.turn(ctx, next)
		if got.err != nil {
			l.falls()
			return nil, got.err
		}
		log.left, whole = append(log.left, got.events...), got.whole
	}
	count := fits(log.left, limit)
	events := log.left[:count:count]
	if log.left = log.left[count:]; len(log.left) == 0 {
		log.left = nil
	}
	if whole || len(log.left) > 0 {
		l.falls()
	}
	if whole && log.ahead == nil {
		after := events[count-1].Sequence
		if last := len(log.left) - 1; last >= 0 {
			after = log.left[last].Sequence
		}
		ahead := make(chan page, 1)
		log.ahead = ahead
		go func() { ahead <- l.page(ctx, after+1) }()
	}
	return events, nil
}

// turn gives the page that begins with a sequence, which may have been read ahead.
func (l *lane) turn(ctx context.Context, next int64) page {
	if ahead := l.backlog.ahead; ahead != nil {
		l.backlog.ahead = nil
		if got := <-ahead; got.err == nil && len(got.events) > 0 && got.events[0].Sequence == next {
			return got
		}
	}
	return l.page(ctx, next)
}

// falls has the lane go on reading the log.
func (l *lane) falls() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.behind = true
}

// end waits until nothing is read any more; ctx of what reads has ended.
func (b *backlog) end() {
	if b.ahead != nil {
		<-b.ahead
	}
}

// fits is how many of the events a request has, at least one if there is any.
func fits(events []stream.Event, limit int) int {
	size := 0
	for count, event := range events {
		if size += len(event.Value) + stream.Overhead; count > 0 && size > limit {
			return count
		}
	}
	return len(events)
}

// page reads a part of the log.
func (l *lane) page(ctx context.Context, next int64) page {
	if err := l.runner.reads.Acquire(ctx, 1); err != nil {
		return page{err: err}
	}
	defer l.runner.reads.Release(1)
	records, err := audit.Following(ctx, l.runner.Service.DB, l.Workspace, next-1, pageOfLog)
	if err != nil {
		return page{err: err}
	}
	events, err := l.runner.Service.events(records)
	return page{events, len(events) == pageOfLog, err}
}
