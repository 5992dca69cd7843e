package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
)

const updateState = `
update workspace_sinks set state = @state, reason = @reason, held = @held, revision = revision + @raise
where workspace_id = @workspace and id = @id`

func (s *Service) setState(ctx context.Context, tx pgx.Tx, one Sink, raise int) error {
	_, err := tx.Exec(ctx, updateState, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "state": one.State, "reason": one.Reason, "held": one.Held, "raise": raise,
	})
	return err
}

// Pause holds a sink until a person resumes it: what happens waits in the log. A request that is under way may
// finish: until then the sink is draining. Pausing a paused sink changes who ends the pause, and why.
func (s *Service) Pause(ctx context.Context, cause core.Cause, workspace, id core.ID, reason string) (Sink, error) {
	if len(reason) > 200 {
		return Sink{}, core.Invalid("reason", "a reason has at most 200 bytes")
	}
	var one Sink
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		if one, err = s.locked(ctx, tx, workspace, id); err != nil || one.Held {
			return err
		}
		told := one.State != audit.SinkPaused
		if one.Enabled && told {
			one.State = audit.SinkDraining
		} else {
			one.State = audit.SinkPaused
		}
		one.Held, one.Reason = true, "paused by "+cause.Actor.Name
		if reason != "" {
			one.Reason += ": " + reason
		}
		if err := s.setState(ctx, tx, one, 1); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SinkPaused, workspace, cause, s.now(), one.target()).Because(one.Reason))
	})
	return one, err
}

// Resume has a sink go on where it stopped. One that paused by itself asks its receiver again now, and runs once
// that has taken something.
func (s *Service) Resume(ctx context.Context, cause core.Cause, workspace, id core.ID) (Sink, error) {
	var one Sink
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		if one, err = s.locked(ctx, tx, workspace, id); err != nil {
			return err
		}
		held := one.Held
		if held {
			one.Held, one.State, one.Reason = false, audit.SinkRunning, ""
		}
		if err := s.setState(ctx, tx, one, 1); err != nil || !held {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SinkResumed, workspace, cause, s.now(), one.target()))
	})
	return one, err
}

// note records how deliveries of a lane go. A pause and its end are told as events; what a person holds stays as
// it is.
func (s *Service) note(ctx context.Context, workspace, id core.ID, status audit.SinkStatus, reason string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.locked(ctx, tx, workspace, id)
		if err != nil && core.KindOf(err) == core.KindNotFound {
			return nil // it was deleted meanwhile
		}
		if err != nil || one.Held || one.State == status && one.Reason == reason {
			return err
		}
		kind := core.EventType("")
		switch {
		case status == audit.SinkPaused && one.State != audit.SinkPaused:
			kind = core.SinkPaused
		case one.State == audit.SinkPaused && status == audit.SinkRetrying: // a receiver that is down has accepted nothing yet
			return nil
		case one.State == audit.SinkPaused && status == audit.SinkRunning:
			kind = core.SinkResumed
		}
		one.State, one.Reason = status, reason
		if err := s.setState(ctx, tx, one, 0); err != nil || kind == "" {
			return err
		}
		now := s.now()
		return audit.Append(ctx, tx, core.NewEvent(kind, workspace, core.NewCause(core.System, now), now, one.target()).Because(reason))
	})
}

const updateDrained = `
update workspace_sinks set state = 'paused'
where workspace_id = @workspace and id = @id and held and state = 'draining'`

// drained says that nothing of a sink that a person holds is under way any more.
func (s *Service) drained(ctx context.Context, workspace, id core.ID) error {
	_, err := s.DB.Exec(ctx, updateDrained, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	return err
}

const updatePending = `
update workspace_sinks set pending = @pending, pending_to = @last
where workspace_id = @workspace and id = @id`

// keep records what the receiver has taken, up to a sequence, and not yet acknowledged: for the lane after this one.
func (s *Service) keep(ctx context.Context, one Sink, last int64, pending json.RawMessage) error {
	_, err := s.DB.Exec(ctx, updatePending, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "last": last, "pending": pending})
	return err
}

const takePending = `
with before as (
	select pending, pending_to from workspace_sinks
	where workspace_id = @workspace and id = @id and pending is not null
	for update
), taken as (
	update workspace_sinks set pending = null, pending_to = null
	where workspace_id = @workspace and id = @id and pending is not null
)
select pending, pending_to from before`

// pending gives what was kept, once; nil is nothing.
func (s *Service) pending(ctx context.Context, one Sink) (pending json.RawMessage, last int64, err error) {
	err = s.DB.QueryRow(ctx, takePending, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID}).Scan(&pending, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, nil
	}
	return pending, last, err
}

const updateDelivered = `
update workspace_sinks set delivered = greatest(delivered, @sequence), delivered_at = coalesce(@at, delivered_at), served = @now
where workspace_id = @workspace and id = @id`

// progress records how far a lane has come. at is when the receiver took something; nil if nothing was meant for it.
func (s *Service) progress(ctx context.Context, one Sink, sequence int64, at *time.Time) error {
	_, err := s.DB.Exec(ctx, updateDelivered, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "sequence": sequence, "at": at, "now": s.now()})
	return err
}
