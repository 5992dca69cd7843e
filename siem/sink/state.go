package sink

import (
	"context"
	"time"

	"postern/core"
	"postern/core/audit"
)

// state is how deliveries go, of one partition or of the whole sink.
type state struct {
	status audit.SinkStatus
	reason string
}

// begin forgets what was told last: with a partition from another process comes a state that this
// process does not know.
func (s *Sink) begin() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.told = state{}
}

func (s *Sink) end(partition int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.states, partition)
}

// tell notes how a partition goes and records it when the sink as a whole goes another way than it
// was last told: as its worst partition does. The record is for people; when the database is away,
// delivery goes on and the next word is told a few seconds later.
func (s *Sink) tell(ctx context.Context, partition int, now state, waiting []core.ID) {
	s.mutex.Lock()
	s.states[partition] = now
	worst := now
	for _, other := range s.states {
		if rank(other) > rank(worst) {
			worst = other
		}
	}
	changed := worst != s.told
	before := s.told
	if changed && time.Since(s.failed) < 3*time.Second {
		changed = false
	}
	s.mutex.Unlock()
	if !changed {
		return
	}
	switch worst.status {
	case audit.SinkRunning:
		if before.status != audit.SinkRunning && before.status != "" || worst.reason != "" {
			s.log().InfoContext(ctx, "the sink delivers", "warning", worst.reason)
		}
	case audit.SinkRetrying:
		s.log().WarnContext(ctx, "the sink waits for its receiver", "reason", worst.reason)
	case audit.SinkPaused:
		s.log().ErrorContext(ctx, "the sink is paused until somebody acts", "reason", worst.reason)
	}
	patience, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := audit.SetSinkState(patience, s.DB, s.Name, worst.status, worst.reason, waiting, s.now())
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err != nil {
		s.failed = time.Now()
		return
	}
	s.told = worst
}

func rank(state state) int {
	switch state.status {
	case audit.SinkPaused:
		return 2
	case audit.SinkRetrying:
		return 1
	}
	return 0
}
