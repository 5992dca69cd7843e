package outgoing

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
)

// maxReplay bounds how much is sent again at a time.
const maxReplay = 10_000

const selectDelivery = `select id from deliveries where workspace_id = @workspace and lane_id = @id and event_id = @message`

// Resend sends one message again, under the same id: one that was delivered or given up, or one whose event is
// in the audit log though the message is not kept any more. The zero id means every message that was given up.
func (s *Service) Resend(ctx context.Context, cause core.Cause, workspace, id, message core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Webhook(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if message.IsZero() {
			_, err = s.Deliveries.Retry(ctx, tx, workspace, id, message)
		} else {
			err = s.again(ctx, tx, one, message)
		}
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookUpdated, workspace, cause, s.now(), one.target()).With("resent", message.String()))
	})
}

const selectEvent = `select event from audit_log where workspace_id = @workspace and event_id = @message`

func (s *Service) again(ctx context.Context, tx pgx.Tx, one Webhook, message core.ID) error {
	var there core.ID
	err := tx.QueryRow(ctx, selectDelivery, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "message": message}).Scan(&there)
	if err == nil {
		if _, err = s.Deliveries.Retry(ctx, tx, one.Workspace, one.ID, there); core.KindOf(err) == core.KindNotFound {
			err = nil // it waits anyway
		}
		return err
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var text []byte
	err = tx.QueryRow(ctx, selectEvent, pgx.StrictNamedArgs{"workspace": one.Workspace, "message": message}).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return core.NotFound("message")
	}
	if err != nil {
		return err
	}
	var event core.Event
	if err := json.Unmarshal(text, &event); err != nil {
		return core.Internal(err)
	}
	return s.add(ctx, tx, one, event)
}

const selectSince = `
select event_id, type from audit_log where workspace_id = @workspace and occurred >= @since order by sequence limit @limit`

// Replay sends again all that happened since a time and is of the webhook's types, oldest first, each under the
// id it had: at most 10 000 at a time. It returns how many.
func (s *Service) Replay(ctx context.Context, cause core.Cause, workspace, id core.ID, since time.Time) (int, error) {
	count := 0
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Webhook(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectSince, pgx.StrictNamedArgs{"workspace": workspace, "since": since, "limit": maxReplay + 1})
		if err != nil {
			return err
		}
		type entry struct {
			ID   core.ID        `db:"event_id"`
			Type core.EventType `db:"type"`
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[entry])
		if err != nil {
			return err
		}
		if len(all) > maxReplay {
			return core.Invalid("since", "more than %d events happened since then: choose a later time", maxReplay)
		}
		for _, event := range all {
			if !one.wants(event.Type) {
				continue
			}
			if err := s.again(ctx, tx, one, event.ID); err != nil {
				return err
			}
			count++
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookUpdated, workspace, cause, s.now(), one.target()).
			With("replayed_since", since.UTC().Format(time.RFC3339)).With("messages", strconv.Itoa(count)))
	})
	return count, err
}
