package sink

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/ocsf"
	"postern/siem/stream"
)

// How a sink works when nothing else is said.
const (
	linger          = 5 * time.Millisecond
	shortestBackoff = 500 * time.Millisecond
	longestBackoff  = time.Minute
	probeEvery      = 30 * time.Second
)

// LastWait is how long a request that is under way may take once its partition is given up.
const LastWait = 5 * time.Second

// Sink delivers to one receiver. Any number of processes may run the same sink: they share the
// partitions.
type Sink struct {
	Name     string // names the consumer group and the state: letters, digits and dashes
	Kind     string // of its receiver, for people
	DB       *postgres.DB
	Cluster  stream.Cluster
	Receiver Receiver
	Mapper   ocsf.Mapper      // for what is refilled from PostgreSQL: the relay's
	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger     // nil logs nothing

	// Waits between attempts. A busy receiver is asked again after a random part of Backoff, doubled
	// each time up to LongestBackoff; a paused one every ProbeEvery. Defaults 500 ms, 1 min, 30 s.
	Backoff, LongestBackoff, ProbeEvery time.Duration

	// Drain is how long requests that are under way may take when Run's ctx ends: as long as the receiver may need for an answer,
	// if nothing else bounds it. When a partition goes to another process, and in the end, it is LastWait.
	Drain time.Duration

	once    sync.Once
	retries chan struct{} // closed and made anew by Retry
	pace    *Pace
	mutex   sync.Mutex
	states  map[int]state
	told    state
	failed  time.Time
	done    map[string]int64  // cursors that moved, not yet written
	came    map[int][]core.ID // events of a partition that were delivered and could not be committed
	orders  audit.SinkOrders  // the operator's, as they were a moment ago
	changed chan struct{}     // closed and made anew when they change
	looked  time.Time         // when this process last said that it delivers
}

// Group is the name of the consumer group.
func (s *Sink) Group() string { return "postern-sink-" + s.Name }

// Run delivers until ctx ends, then finishes what is under way within Drain and a few seconds, and returns nil. What an
// indexer has not acknowledged by then is asked for by whoever delivers next.
func (s *Sink) Run(ctx context.Context) error {
	s.prepare()
	if s.patiently(ctx, func() error { return s.look(ctx) }) != nil {
		return nil
	}
	consumer := &stream.Consumer{Cluster: s.Cluster, Group: s.Group(), Log: s.log(), Drain: s.Drain}
	flushing, stop := context.WithCancel(ctx)
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for flushing.Err() == nil {
			core.Rest(flushing, time.Second)
			s.flush(flushing)
			if err := s.look(flushing); err != nil && flushing.Err() == nil {
				s.log().WarnContext(ctx, "what the operator wants of the sink cannot be read, trying again", "error", err)
			}
		}
	})
	err := consumer.Run(ctx, s.serve)
	stop()
	flusher.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.flush(last)
	return err
}

// Retry asks a receiver that is paused or busy again now: after its configuration was changed.
func (s *Sink) Retry() {
	s.prepare()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	close(s.retries)
	s.retries = make(chan struct{})
}

// Lag is how many events wait in Kafka for this sink.
func (s *Sink) Lag(ctx context.Context) (int64, error) { return s.Cluster.Lag(ctx, s.Group()) }

func (s *Sink) prepare() {
	s.once.Do(func() {
		s.retries, s.states, s.done, s.came = make(chan struct{}), map[int]state{}, map[string]int64{}, map[int][]core.ID{}
		s.changed = make(chan struct{})
		s.pace = &Pace{AtOnce: cmp.Or(s.Cluster.Partitions, stream.DefaultPartitions)}
	})
}

func (s *Sink) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log.With("sink", s.Name)
}

func (s *Sink) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// uncommitted notes what was delivered of a partition since the last commit: a batch at most. Known by their ids, for a
// topic that is made anew counts from the beginning.
func (s *Sink) uncommitted(partition int, messages []stream.Message) {
	var ids []core.ID
	for _, message := range messages {
		ids = append(ids, message.ID)
	}
	s.remember(partition, ids)
}

func (s *Sink) remember(partition int, ids []core.ID) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.came[partition] = ids
}

// again is how many messages at the beginning were delivered already, by this process.
func (s *Sink) again(partition int, messages []stream.Message) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, message := range messages {
		if message.ID.IsZero() || !slices.Contains(s.came[partition], message.ID) {
			return i
		}
	}
	return len(messages)
}

// delivered notes that a cursor has moved.
func (s *Sink) delivered(cursor string, position int64) {
	if position == 0 {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.done[cursor] = max(s.done[cursor], position)
}

// flush writes the cursors that moved. What cannot be written is written later.
func (s *Sink) flush(ctx context.Context) {
	s.mutex.Lock()
	done := s.done
	s.done = map[string]int64{}
	s.mutex.Unlock()
	for cursor, position := range done {
		move := audit.MoveCursor
		if audit.IsReplay(cursor) {
			move = audit.AdvanceCursor
		}
		if err := move(ctx, s.DB, cursor, position); err != nil {
			s.delivered(cursor, position)
		}
	}
}

// patiently tries work until it succeeds or ctx ends.
func (s *Sink) patiently(ctx context.Context, work func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := work()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log().WarnContext(ctx, "the sink cannot go on, trying again", "in", wait, "error", err)
		core.Rest(ctx, wait)
	}
}

// workspacesOf lists whose events these are, each once.
func workspacesOf(events []stream.Event) []core.ID {
	seen := map[core.ID]bool{}
	var workspaces []core.ID
	for _, event := range events {
		if !event.Workspace.IsZero() && !seen[event.Workspace] {
			seen[event.Workspace] = true
			workspaces = append(workspaces, event.Workspace)
		}
	}
	return workspaces
}
