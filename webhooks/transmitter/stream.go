package transmitter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/webhooks/delivery"
)

// headerField is what the vault calls a stream's authorization_header; the item is the stream.
const headerField = "authorization_header"

// Stream is what a receiver is told through.
type Stream struct {
	ID            core.ID        `db:"id"`
	Workspace     core.ID        `db:"workspace_id"`
	Receiver      core.ID        `db:"receiver_id"`
	Delivery      string         `db:"delivery"` // push or poll
	EndpointURL   string         `db:"endpoint_url"`
	HeaderVersion int            `db:"header_version"`
	Description   string         `db:"description"`
	Requested     []string       `db:"requested"`
	Delivered     []string       `db:"delivered"`
	VerifyAsked   *time.Time     `db:"verify_asked"`
	Created       time.Time      `db:"created"`
	Updated       time.Time      `db:"updated"`
	State         delivery.State `db:"state"` // of its lane
	Reason        string         `db:"reason"`
}

// Status is the state in the framework's words.
func (s Stream) Status() string {
	if s.State == delivery.Running {
		return "enabled"
	}
	return string(s.State)
}

const streamColumns = `t.id, t.workspace_id, t.receiver_id, t.delivery, t.endpoint_url, t.header_version, t.description, t.requested, t.delivered,
	t.verify_asked, t.created, t.updated, l.state, l.reason`

const selectStreamOf = `
select ` + streamColumns + `
from transmitter_streams t join delivery_lanes l on l.workspace_id = t.workspace_id and l.id = t.id
where t.workspace_id = @workspace and t.receiver_id = @id`

const selectStream = `
select ` + streamColumns + `
from transmitter_streams t join delivery_lanes l on l.workspace_id = t.workspace_id and l.id = t.id
where t.workspace_id = @workspace and t.id = @id`

// StreamOf is a receiver's stream: NotFound while it has none.
func (s *Service) StreamOf(ctx context.Context, q postgres.Querier, workspace, receiver core.ID) (Stream, error) {
	return oneStream(ctx, q, selectStreamOf, workspace, receiver)
}

func oneStream(ctx context.Context, q postgres.Querier, statement string, workspace, id core.ID) (Stream, error) {
	rows, err := q.Query(ctx, statement, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Stream{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Stream])
	if errors.Is(err, pgx.ErrNoRows) {
		return Stream{}, core.NotFound("stream")
	}
	return found, postgres.Classify(err)
}

const lockReceiver = `select id from receivers where workspace_id = @workspace and id = @id for update`

const insertStream = `
insert into transmitter_streams (id, workspace_id, receiver_id, delivery, endpoint_url, header_version, description, requested, delivered, created, updated)
values (@id, @workspace, @receiver, @delivery, @endpoint, @header, @description, @requested, @delivered, @now, @now)`

// openStream makes a receiver's stream. A second one is a Conflict.
func (s *Service) openStream(ctx context.Context, by caller, wanted Stream, header seal.Secret) (Stream, error) {
	wanted.ID, wanted.Workspace, wanted.Receiver = core.NewID(), by.receiver.Workspace, by.receiver.ID
	err := s.changing(ctx, by.cause, by.receiver, "stream", "created", func(tx pgx.Tx) error {
		_, err := s.StreamOf(ctx, tx, wanted.Workspace, wanted.Receiver)
		if err == nil {
			return core.Conflict("", "this client has a stream already; it may have one").WithCode("stream_exists")
		}
		if core.KindOf(err) != core.KindNotFound {
			return err
		}
		if err := s.Deliveries.Open(ctx, tx, delivery.Lane{
			ID: wanted.ID, Workspace: wanted.Workspace, Kind: Kind, Name: by.receiver.Name, Ordered: true, Carried: wanted.Delivery == "push",
		}); err != nil {
			return err
		}
		if err := s.keepHeader(ctx, tx, &wanted, header); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, insertStream, pgx.StrictNamedArgs{
			"id": wanted.ID, "workspace": wanted.Workspace, "receiver": wanted.Receiver, "delivery": wanted.Delivery, "endpoint": wanted.EndpointURL,
			"header": wanted.HeaderVersion, "description": wanted.Description, "requested": list(wanted.Requested), "delivered": list(wanted.Delivered), "now": s.now(),
		})
		return err
	})
	if err != nil {
		return Stream{}, err
	}
	return s.StreamOf(ctx, s.DB, wanted.Workspace, wanted.Receiver)
}

// keepHeader seals an authorization_header as the next version. Without one none is sent, and the version says
// so by being negative: a number is never used twice.
func (s *Service) keepHeader(ctx context.Context, tx pgx.Tx, stream *Stream, header seal.Secret) error {
	used := max(stream.HeaderVersion, -stream.HeaderVersion)
	if header.IsZero() {
		stream.HeaderVersion = -used
		return nil
	}
	vault, err := s.Vault.Prepare(ctx, tx, stream.Workspace)
	if err != nil {
		return err
	}
	stream.HeaderVersion = used + 1
	return s.Vault.Put(ctx, tx, stream.Workspace, vault, stream.ID, headerField, stream.HeaderVersion, header)
}

const updateStream = `
update transmitter_streams set delivery = @delivery, endpoint_url = @endpoint, header_version = @header, description = @description,
	requested = @requested, delivered = @delivered, updated = @now
where workspace_id = @workspace and id = @id`

// keepStream writes what a receiver changed. With anew the header is the one given, or none.
func (s *Service) keepStream(ctx context.Context, by caller, wanted Stream, header seal.Secret, anew bool) (Stream, error) {
	err := s.changing(ctx, by.cause, by.receiver, "stream", "updated", func(tx pgx.Tx) error {
		before, err := s.StreamOf(ctx, tx, wanted.Workspace, wanted.Receiver)
		if err != nil {
			return err
		}
		wanted.HeaderVersion = before.HeaderVersion
		if anew {
			if err := s.keepHeader(ctx, tx, &wanted, header); err != nil {
				return err
			}
		}
		if before.Delivery != wanted.Delivery {
			if err := s.Deliveries.Change(ctx, tx, wanted.Workspace, wanted.ID, by.receiver.Name, wanted.Delivery == "push"); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, updateStream, pgx.StrictNamedArgs{
			"id": wanted.ID, "workspace": wanted.Workspace, "delivery": wanted.Delivery, "endpoint": wanted.EndpointURL, "header": wanted.HeaderVersion,
			"description": wanted.Description, "requested": list(wanted.Requested), "delivered": list(wanted.Delivered), "now": s.now(),
		})
		return err
	})
	if err != nil {
		return Stream{}, err
	}
	return s.StreamOf(ctx, s.DB, wanted.Workspace, wanted.Receiver)
}

// changing runs a change of a receiver's stream, one at a time, and tells of it.
func (s *Service) changing(ctx context.Context, cause core.Cause, receiver Receiver, what, how string, change func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, lockReceiver, pgx.StrictNamedArgs{"workspace": receiver.Workspace, "id": receiver.ID})
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return core.NotFound("receiver")
		}
		if err := change(tx); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReceiverUpdated, receiver.Workspace, cause, s.now(), receiver.target()).With(what, how))
	})
	if err == nil {
		s.wake()
	}
	return postgres.Classify(err)
}

// SetStatus is an administrator's: enabled, paused or disabled. The receiver is told by a stream-updated event
// before it hears nothing more (Shared Signals Framework 1.0 §8.1.5).
func (s *Service) SetStatus(ctx context.Context, cause core.Cause, workspace, receiver core.ID, status, reason string) (Stream, error) {
	known, err := s.Receiver(ctx, s.DB, workspace, receiver)
	if err != nil {
		return Stream{}, err
	}
	if err := s.turn(ctx, cause, known, status, reason, true); err != nil {
		return Stream{}, err
	}
	return s.StreamOf(ctx, s.DB, workspace, receiver)
}

var states = map[string]delivery.State{"enabled": delivery.Running, "paused": delivery.Paused, "disabled": delivery.Disabled}

// turn sets a stream's status. What waits in one that is disabled is not held.
func (s *Service) turn(ctx context.Context, cause core.Cause, receiver Receiver, status, reason string, tell bool) error {
	state, known := states[status]
	if !known {
		return core.Invalid("status", "a stream is enabled, paused or disabled")
	}
	return s.changing(ctx, cause, receiver, "status", status, func(tx pgx.Tx) error {
		stream, err := s.StreamOf(ctx, tx, receiver.Workspace, receiver.ID)
		if err != nil {
			return err
		}
		if state == delivery.Disabled {
			if err := s.Deliveries.Drop(ctx, tx, stream.Workspace, stream.ID); err != nil {
				return err
			}
		}
		if tell && state != stream.State {
			body := map[string]any{"status": status}
			if reason != "" {
				body["reason"] = core.Cut(reason, 500)
			}
			if err := s.addControl(ctx, tx, receiver, stream, eventUpdated, body, true); err != nil {
				return err
			}
		}
		return s.Deliveries.SetState(ctx, tx, stream.Workspace, stream.ID, state, reason)
	})
}

// Retry has dead letters of a receiver's stream sent again: one, or with the zero id all. It returns how many.
func (s *Service) Retry(ctx context.Context, cause core.Cause, workspace, receiver, letter core.ID) (int, error) {
	count := 0
	known, err := s.Receiver(ctx, s.DB, workspace, receiver)
	if err != nil {
		return 0, err
	}
	err = s.changing(ctx, cause, known, "dead_letters", "retried", func(tx pgx.Tx) error {
		stream, err := s.StreamOf(ctx, tx, workspace, receiver)
		if err != nil {
			return err
		}
		count, err = s.Deliveries.Retry(ctx, tx, workspace, stream.ID, letter)
		return err
	})
	return count, err
}

// list is never NULL.
func list(texts []string) []string { return append([]string{}, texts...) }

// deliverable are the supported ones of the event types asked for, each once, in the order of Supported.
func deliverable(requested []string) []string {
	return slices.DeleteFunc(Supported(), func(uri string) bool { return !slices.Contains(requested, uri) })
}
