package ssf

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const insertStream = `
insert into streams (id, workspace_id, connection_id, profile, delivery, issuer, remote_id, audiences, metadata, access, secret_version,
	push_hashes, poll_url, description, requested, delivered, status, subjects_after, created, updated)
values (@id, @workspace, @connection, @profile, @delivery, @issuer, @remote, @audiences, @metadata, @access, @secret,
	@hashes, @poll, @description, @requested, @delivered, @status, @now, @now, @now)`

func insert(ctx context.Context, tx pgx.Tx, one Stream) error {
	_, err := tx.Exec(ctx, insertStream, pgx.StrictNamedArgs{
		"id": one.ID, "workspace": one.Workspace, "connection": one.Connection, "profile": one.Profile, "delivery": one.Delivery,
		"issuer": one.Issuer, "remote": one.RemoteID, "audiences": list(one.Audiences), "metadata": one.Metadata, "access": one.Access,
		"secret": one.SecretVersion, "hashes": hashes(one.PushHashes), "poll": one.PollURL, "description": one.Description,
		"requested": list(one.Requested), "delivered": list(one.Delivered), "status": one.Status, "now": one.Created,
	})
	return postgres.Classify(err)
}

// list is never NULL.
func list(texts []string) []string { return append([]string{}, texts...) }

func hashes(all [][]byte) [][]byte { return append([][]byte{}, all...) }

const columns = `id, workspace_id, connection_id, profile, delivery, issuer, remote_id, audiences, metadata, access, secret_version,
	push_hashes, poll_url, description, requested, delivered, status, reason, told, verify_interval, verify_states, verify_asked, verified,
	last_event, last_event_type, failures, last_error, last_error_stage, last_error_at, lease_until, created, updated`

const selectStream = `select ` + columns + ` from streams where workspace_id = @workspace and id = @id`

// Stream reads one stream of a workspace.
func (s *Service) Stream(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Stream, error) {
	return one(ctx, q, selectStream, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

func one(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) (Stream, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return Stream{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Stream])
	if errors.Is(err, pgx.ErrNoRows) {
		return Stream{}, core.NotFound("stream")
	}
	return found, postgres.Classify(err)
}

func many(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) ([]Stream, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Stream])
	return found, postgres.Classify(err)
}

const selectStreams = `select ` + columns + ` from streams where workspace_id = @workspace order by created, id`

// Streams lists the streams of a workspace, oldest first.
func (s *Service) Streams(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Stream, error) {
	return many(ctx, q, selectStreams, pgx.StrictNamedArgs{"workspace": workspace})
}

const selectStreamsOf = `select ` + columns + ` from streams where workspace_id = @workspace and connection_id = @connection order by created, id`

// StreamsOf lists the streams of a connection, oldest first.
func (s *Service) StreamsOf(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]Stream, error) {
	return many(ctx, q, selectStreamsOf, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
}

// What a transmitter decides about a stream, and what we ask of it.
const updateStream = `
update streams set remote_id = @remote, audiences = @audiences, metadata = @metadata, push_hashes = @hashes, poll_url = @poll,
	description = @description, requested = @requested, delivered = @delivered, status = @status, reason = @reason,
	verify_interval = @interval, updated = @now
where workspace_id = @workspace and id = @id`

func (s *Service) save(ctx context.Context, tx pgx.Tx, one Stream) error {
	done, err := tx.Exec(ctx, updateStream, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "remote": one.RemoteID, "audiences": list(one.Audiences), "metadata": one.Metadata,
		"hashes": hashes(one.PushHashes), "poll": one.PollURL, "description": one.Description, "requested": list(one.Requested),
		"delivered": list(one.Delivered), "status": one.Status, "reason": one.Reason, "interval": one.VerifyInterval, "now": s.now(),
	})
	if err == nil && done.RowsAffected() == 0 {
		return core.NotFound("stream")
	}
	return postgres.Classify(err)
}

const deleteStream = `delete from streams where workspace_id = @workspace and id = @id`

func (s *Service) drop(ctx context.Context, tx pgx.Tx, one Stream) error {
	done, err := tx.Exec(ctx, deleteStream, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID})
	if err == nil && done.RowsAffected() == 0 {
		return core.NotFound("stream")
	}
	if err != nil {
		return postgres.Classify(err)
	}
	return s.Vault.Forget(ctx, tx, one.Workspace, one.ID)
}

const updateStatus = `
update streams set status = @status, reason = @reason, told = coalesce(@told, told), updated = @now
where workspace_id = @workspace and id = @id and (@told::timestamptz is null or told is null or told <= @told)
returning id`

// setStatus keeps a stream's status. told is when the transmitter said so, nil for an answer to us; what it
// said before something newer is passed over, and changed is false.
func (s *Service) setStatus(ctx context.Context, tx pgx.Tx, one Stream, status Status, reason string, told *time.Time) (changed bool, err error) {
	done, err := tx.Exec(ctx, updateStatus, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "status": status, "reason": cut(reason, 500), "told": told, "now": s.now(),
	})
	return err == nil && done.RowsAffected() == 1, postgres.Classify(err)
}

// The states of the last few requests stay good: events may overtake each other.
const updateAsked = `
update streams set verify_states = (array_append(verify_states, @state))[greatest(1, cardinality(verify_states) - 1):], verify_asked = @now
where workspace_id = @workspace and id = @id`

func (s *Service) asked(ctx context.Context, one Stream, state string) error {
	_, err := s.DB.Exec(ctx, updateAsked, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "state": state, "now": s.now()})
	return postgres.Classify(err)
}

const updateVerified = `
update streams set verified = @now,
	last_error = case when last_error_stage = 'verify' then '' else last_error end,
	last_error_stage = case when last_error_stage = 'verify' then '' else last_error_stage end
where workspace_id = @workspace and id = @id and (@state = '' or @state = any(verify_states))`

// verifiedBy marks a stream verified by an event with a state, unless it is none of those we sent.
func (s *Service) verifiedBy(ctx context.Context, tx pgx.Tx, one Stream, state string) (ours bool, err error) {
	done, err := tx.Exec(ctx, updateVerified, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "state": state, "now": s.now()})
	return err == nil && done.RowsAffected() == 1, postgres.Classify(err)
}

// Tokens come many at a time: the row is written at most once in a few seconds.
const updateHeard = `
update streams set last_event = @now, last_event_type = @type
where workspace_id = @workspace and id = @id and (last_event is null or last_event < @before)`

func (s *Service) heard(ctx context.Context, one Stream, kind string) {
	now := s.now()
	_, err := s.DB.Exec(ctx, updateHeard, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "type": cut(kind, 300), "now": now, "before": now.Add(-2 * time.Second),
	})
	if err != nil {
		s.log().WarnContext(ctx, "when a stream was last heard could not be kept", "stream", one.ID.String(), "error", err)
	}
}

const updateFailed = `
update streams set last_error = @error, last_error_stage = @stage, last_error_at = @now, failures = failures + @count
where workspace_id = @workspace and id = @id
  and (@count > 0 or last_error_stage <> @stage or last_error_at is null or last_error_at < @before)
returning failures`

// failed keeps what went wrong last, and at what stage. counted failures are those of poll, in a row.
func (s *Service) failed(ctx context.Context, one Stream, stage string, cause error, count int) (failures int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now := s.now()
	err := s.DB.QueryRow(ctx, updateFailed, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "id": one.ID, "stage": stage, "error": cut(visible(cause), 500), "count": count, "now": now, "before": now.Add(-2 * time.Second),
	}).Scan(&failures)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		s.log().WarnContext(ctx, "what keeps a stream from working could not be kept", "stream", one.ID.String(), "error", err)
	}
	return failures
}

const updateWell = `
update streams set last_error = '', last_error_stage = '', failures = 0
where workspace_id = @workspace and id = @id and (last_error_stage = any(@stages) or failures > 0)`

// well forgets what was wrong at some stages.
func (s *Service) well(ctx context.Context, one Stream, stages ...string) {
	if _, err := s.DB.Exec(ctx, updateWell, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "stages": stages}); err != nil {
		s.log().WarnContext(ctx, "that a stream works again could not be kept", "stream", one.ID.String(), "error", err)
	}
}

// visible is what a person is told of an error: never more than a client would be.
func visible(err error) string {
	classified := core.AsError(err)
	if classified.Message == "" {
		return classified.Kind.String()
	}
	return classified.Message
}
