package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// overlap is how far back of its last look one goes again: a log tells some things late. What was told is
// known by its uuid.
const overlap = 5 * time.Minute

// lease is how long a hook stays with a process that is silent.
const lease = 5 * time.Minute

// Run does what is due for hooks until ctx ends, then returns nil: it reads the System Log of Okta again, renews
// subscriptions at Microsoft Graph and looks at who changed there. It may run in many processes.
func (s *Service) Run(ctx context.Context) error {
	look := s.Look
	if look <= 0 {
		look = 250 * time.Millisecond
	}
	for ctx.Err() == nil {
		more, err := s.Work(ctx)
		if err != nil && ctx.Err() == nil {
			s.warn(ctx, "it cannot be seen which hooks are due", core.ID{}, err)
		}
		wait := look
		if more && err == nil {
			wait = 0
		}
		core.Rest(ctx, wait)
	}
	return nil
}

// Over all workspaces: whoever works serves them all. What is due is put off as long as the work may take, so
// that another process takes it up again if this one dies.
const claimHook = `
update hooks h set due = @until
from (select workspace_id, id from hooks where due <= @now order by due limit 1 for update skip locked) d
where h.workspace_id = d.workspace_id and h.id = d.id
returning h.workspace_id, h.id`

const putOff = `
update hooks set due = case when due = @until then @next else least(due, @next) end
where workspace_id = @workspace and id = @id`

// Work does what is due of one hook, and reports whether there was one.
func (s *Service) Work(ctx context.Context) (bool, error) {
	now := s.now()
	until := now.Add(lease)
	var workspace, id core.ID
	err := s.DB.QueryRow(ctx, claimHook, pgx.StrictNamedArgs{"now": now, "until": until}).Scan(&workspace, &id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, postgres.Classify(err)
	}
	hook, err := s.Hook(ctx, s.DB, workspace, id)
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return true, nil //nolint:nilerr // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	wait := s.Every
	if wait <= 0 {
		wait = 15 * time.Minute
	}
	const stage = "api"
	if hook.Kind == Graph {
		err = s.tend(ctx, hook)
	} else {
		err = s.fill(ctx, hook)
	}
	switch {
	case err == nil:
		s.well(ctx, hook, stage)
	case ctx.Err() != nil:
		return false, ctx.Err()
	default:
		wait = min(wait, max(time.Minute, core.AsError(err).RetryAfter))
		if after := core.AsError(err).RetryAfter; after > wait {
			wait = after
		}
		if hook.LastErrorStage != stage {
			s.tellFailing(ctx, hook, err)
		}
		s.failed(ctx, hook, stage, err)
	}
	_, err = s.DB.Exec(ctx, putOff, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "until": until, "next": s.now().Add(wait)})
	return true, postgres.Classify(err)
}

// tellFailing records that a sender's API cannot be used: subscriptions end and gaps stay.
func (s *Service) tellFailing(ctx context.Context, hook Hook, cause error) {
	event := core.NewEvent(core.HookFailing, hook.Workspace, core.NewCause(core.System, s.now()), s.now(), hook.Target()).Failed(core.Cut(visible(cause), 300))
	if err := s.change(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) }); err != nil {
		s.warn(ctx, "an event of a hook could not be kept", hook.ID, err)
	}
}

const soon = `update hooks set due = least(due, @at::timestamptz) where workspace_id = @workspace and id = @id and due is not null`

// missed has a hook looked at soon: something it was told could not be kept.
func (s *Service) missed(ctx context.Context, hook Hook) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.DB.Exec(ctx, soon, pgx.StrictNamedArgs{"workspace": hook.Workspace, "id": hook.ID, "at": s.now().Add(10 * time.Second)}); err != nil {
		s.warn(ctx, "that a hook missed something could not be kept", hook.ID, err)
	}
}

const askFill = `
update hooks set due = @now, filled = case when kind = 'okta' then @since::timestamptz else filled end, resync = kind = 'graph'
where workspace_id = @workspace and id = @id and due is not null`

// Fill has the worker read again everything since a time, as far as the sender keeps it; of Microsoft Graph,
// everybody who changed since the last look. A hook without access to its sender's API is a Conflict.
func (s *Service) Fill(ctx context.Context, workspace, id core.ID, since time.Time) error {
	if _, err := s.Hook(ctx, s.DB, workspace, id); err != nil {
		return err
	}
	now := s.now()
	if since.After(now) || since.Before(now.AddDate(0, 0, -90)) {
		return core.Invalid("since", "a time within the last 90 days: as long as Okta keeps its log")
	}
	done, err := s.DB.Exec(ctx, askFill, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": now, "since": since})
	if err == nil && done.RowsAffected() == 0 {
		return core.Conflict("", "this hook has no access to its sender's API: give it an address and a credential")
	}
	return postgres.Classify(err)
}

const updateFilled = `update hooks set filled = greatest(filled, @at) where workspace_id = @workspace and id = @id`

// fill reads the System Log again from where it was left.
func (s *Service) fill(ctx context.Context, hook Hook) error {
	since, until := hook.Created, s.now()
	if hook.Filled != nil {
		since = hook.Filled.Add(-overlap)
	}
	connection, err := s.Directory.Connection(ctx, s.DB, hook.Workspace, hook.Connection)
	if err != nil {
		return err
	}
	reached := func(at time.Time) error {
		_, err := s.DB.Exec(ctx, updateFilled, pgx.StrictNamedArgs{"workspace": hook.Workspace, "id": hook.ID, "at": at})
		return postgres.Classify(err)
	}
	in := &arrival{connection: connection, hook: hook, known: true, received: until}
	err = s.BackFill(hook).Events(ctx, since, until, func(texts []json.RawMessage) error {
		events, err := readLog(texts)
		if err != nil {
			return err
		}
		for _, one := range events {
			in.received = s.now()
			if err := s.tell(ctx, in, one.happening(connection, "")); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			return nil
		}
		return reached(events[len(events)-1].Published)
	})
	if err != nil {
		return err
	}
	return reached(until)
}
