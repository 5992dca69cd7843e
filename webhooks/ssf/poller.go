package ssf

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// maxHeld bounds the streams one process polls; others are for other processes.
const maxHeld = 256

// failing is after how many failed polls in a row an event tells of it.
const failing = 3

// Run polls the streams that nobody else polls, and keeps the subjects of those that ask for it, until ctx ends.
// Any number of processes may run it: each stream is one's at a time, by a lease on its row.
func (s *Service) Run(ctx context.Context) error {
	s.prepare()
	group, ctx := errgroup.WithContext(ctx)
	owner := core.NewID()
	held := make(chan struct{}, maxHeld)
	group.Go(func() error { return s.keepSubjects(ctx) })
	group.Go(func() error {
		for {
			found, err := s.claim(ctx, owner, cap(held)-len(held))
			if err != nil && ctx.Err() == nil {
				s.log().WarnContext(ctx, "streams cannot be looked for", "error", err)
			}
			for _, stream := range found {
				held <- struct{}{}
				group.Go(func() error {
					defer func() { <-held }()
					s.hold(ctx, owner, stream)
					return nil
				})
			}
			if !pause(ctx, s.Pace.filled().Look) {
				return nil
			}
		}
	})
	return group.Wait()
}

// pause waits for about a while and reports whether ctx goes on.
func pause(ctx context.Context, wait time.Duration) bool {
	core.Rest(ctx, wait*3/4+rand.N(wait/2+1))
	return ctx.Err() == nil
}

// The database's clock decides, which all processes share.
const claimStreams = `
with free as (
	select workspace_id, id from streams
	where delivery = 'poll' and status <> 'creating' and (lease_until is null or lease_until < now())
	order by lease_until nulls first, id
	limit @limit for update skip locked)
update streams set lease_owner = @owner, lease_until = now() + @lease
from free where streams.workspace_id = free.workspace_id and streams.id = free.id
returning streams.workspace_id, streams.id`

// claim takes streams whose lease has ended.
func (s *Service) claim(ctx context.Context, owner core.ID, limit int) ([]Stream, error) {
	if limit <= 0 {
		return nil, nil
	}
	rows, err := s.DB.Query(ctx, claimStreams, pgx.StrictNamedArgs{"owner": owner, "lease": s.Pace.filled().Lease, "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one Stream, err error) {
		return one, row.Scan(&one.Workspace, &one.ID)
	})
	return found, postgres.Classify(err)
}

const renewLease = `
update streams set lease_until = now() + @lease
where workspace_id = @workspace and id = @id and lease_owner = @owner and lease_until > now() and delivery = 'poll'
returning ` + columns

const releaseLease = `
update streams set lease_until = null, lease_owner = null
where workspace_id = @workspace and id = @id and lease_owner = @owner`

// hold polls a stream as long as it is ours.
func (s *Service) hold(ctx context.Context, owner core.ID, stream Stream) {
	pace := s.Pace.filled()
	state := &polling{stream: stream, refusals: map[string]fault{}, waiting: map[string]time.Time{}}
	var renewed time.Time
	renew := func(ctx context.Context) error {
		if time.Since(renewed) < pace.Lease/3 {
			return nil
		}
		fresh, err := one(ctx, s.DB, renewLease, pgx.StrictNamedArgs{"workspace": stream.Workspace, "id": stream.ID, "owner": owner, "lease": pace.Lease})
		if err != nil {
			return err
		}
		state.stream, renewed = fresh, time.Now()
		return nil
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_, _ = s.DB.Exec(closing, releaseLease, pgx.StrictNamedArgs{"workspace": stream.Workspace, "id": stream.ID, "owner": owner})
	}()
	for failures := 0; ; {
		err := renew(ctx)
		if err == nil && state.connection.ID.IsZero() {
			state.connection, err = s.Directory.Connection(ctx, s.DB, stream.Workspace, state.stream.Connection)
			failures = state.stream.Failures
		}
		if err != nil {
			return // deleted, somebody else's by now, or the database is away: whoever finds it free goes on
		}
		made, err := s.poll(ctx, state, renew)
		if ctx.Err() != nil {
			return
		}
		wait := pace.Every
		if state.stream.Status != Enabled {
			wait = pace.Slow
		}
		switch {
		case err != nil:
			failures++
			s.struggle(ctx, state, err)
			wait = max(min(pace.Every<<min(failures-1, 10), pace.Longest), min(core.AsError(err).RetryAfter, time.Hour))
		case failures > 0:
			failures = 0
			s.recover(ctx, state)
			fallthrough
		default:
			if made.again {
				continue
			}
		}
		for until := time.Now().Add(wait); time.Now().Before(until); {
			if !pause(ctx, min(time.Until(until), pace.Lease/4)) {
				return
			}
			if renew(ctx) != nil {
				return
			}
		}
	}
}

// struggle keeps why polling fails, and tells of it when it goes on.
func (s *Service) struggle(ctx context.Context, state *polling, cause error) {
	stage := core.AsError(cause).Code
	if stage == "" {
		stage = "poll"
	}
	s.log().WarnContext(ctx, "a stream cannot be polled", "stream", state.stream.ID.String(), "stage", stage, "error", cause)
	if s.failed(ctx, state.stream, stage, cause, 1) == failing {
		s.tellOf(ctx, state, core.StreamFailing, func(event core.Event) core.Event { return event.Failed(cut(visible(cause), 300)).With("stage", stage) })
	}
}

// recover forgets why polling failed.
func (s *Service) recover(ctx context.Context, state *polling) {
	before, err := s.Stream(ctx, s.DB, state.stream.Workspace, state.stream.ID)
	s.well(ctx, state.stream, "poll", "token")
	if err == nil && before.Failures >= failing {
		s.tellOf(ctx, state, core.StreamRecovered, func(event core.Event) core.Event { return event })
	}
}

func (s *Service) tellOf(ctx context.Context, state *polling, kind core.EventType, more func(core.Event) core.Event) {
	event := more(core.NewEvent(kind, state.stream.Workspace, core.NewCause(core.System, s.now()), s.now(), state.stream.Target(), state.connection.Target()))
	if err := s.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) }); err != nil {
		s.log().WarnContext(ctx, "an event of a stream could not be kept", "stream", state.stream.ID.String(), "error", err)
		return
	}
	s.wake()
}
