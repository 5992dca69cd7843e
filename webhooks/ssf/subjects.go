package ssf

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// A transmitter with default_subjects NONE tells of nobody it was not asked about (Shared Signals Framework 1.0
// §7.1): the people of the connection are added as they come.

const dueSubjects = `
with due as (
	select workspace_id, id from streams
	where status = 'enabled' and subjects_after <= @now and metadata->>'default_subjects' = 'NONE'
	order by subjects_after limit 8 for update skip locked)
update streams set subjects_after = @next
from due where streams.workspace_id = due.workspace_id and streams.id = due.id
returning streams.workspace_id, streams.id`

// keepSubjects looks after such streams until ctx ends. Telling twice of somebody does no harm.
func (s *Service) keepSubjects(ctx context.Context) error {
	for {
		rows, err := s.DB.Query(ctx, dueSubjects, pgx.StrictNamedArgs{"now": s.now(), "next": s.now().Add(time.Minute)})
		if err == nil {
			var found []Stream
			if found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one Stream, err error) {
				return one, row.Scan(&one.Workspace, &one.ID)
			}); err == nil {
				for _, one := range found {
					if _, failure := s.AddPeople(ctx, one.Workspace, one.ID); failure != nil && ctx.Err() == nil {
						s.log().WarnContext(ctx, "a transmitter cannot be told about whom we want to hear", "stream", one.ID.String(), "error", failure)
					}
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log().WarnContext(ctx, "streams that want subjects cannot be looked for", "error", err)
		}
		if !pause(ctx, max(s.Pace.filled().Look, time.Second)) {
			return nil
		}
	}
}

const selectUntold = `
select u.id, u.email, coalesce(i.subject, '') as subject, coalesce(i.issuer, '') as issuer
from users u
left join lateral (
	select issuer, subject from identities
	where workspace_id = u.workspace_id and user_id = u.id and connection_id = u.connection_id
	order by issuer = @issuer desc, created limit 1) i on true
where u.workspace_id = @workspace and u.connection_id = @connection and u.active and u.deleted is null
  and (u.email <> '' or i.subject <> '')
  and not exists (select from stream_subjects t where t.workspace_id = u.workspace_id and t.stream_id = @stream and t.user_id = u.id)
order by u.id limit @limit`

const insertSubject = `
insert into stream_subjects (workspace_id, stream_id, user_id, added) values (@workspace, @stream, @user, @now) on conflict do nothing`

// AddPeople tells a stream's transmitter about the active people of its connection that it was not told of, a few
// hundred at a time, by the identity they sign in with or else by e-mail. It returns how many it told of. A stream
// whose transmitter tells of everybody needs none.
func (s *Service) AddPeople(ctx context.Context, workspace, id core.ID) (int, error) {
	s.prepare()
	stream, err := s.ready(ctx, workspace, id)
	if err != nil || !stream.Metadata.mustAsk() || stream.Access.Method == MethodNone {
		return 0, err
	}
	type person struct {
		ID      core.ID
		Email   string
		Subject string
		Issuer  string
	}
	rows, err := s.DB.Query(ctx, selectUntold, pgx.StrictNamedArgs{
		"workspace": workspace, "connection": stream.Connection, "stream": stream.ID, "issuer": stream.Issuer, "limit": 500,
	})
	if err != nil {
		return 0, postgres.Classify(err)
	}
	people, err := pgx.CollectRows(rows, pgx.RowToStructByName[person])
	if err != nil {
		return 0, postgres.Classify(err)
	}
	for told, one := range people {
		subject := map[string]string{"format": "email", "email": one.Email}
		if one.Subject != "" {
			subject = map[string]string{"format": "iss_sub", "iss": one.Issuer, "sub": one.Subject}
		}
		text, err := json.Marshal(subject)
		if err != nil {
			return told, core.Internal(err)
		}
		// One the transmitter does not know is not asked about again and again; a failure of the whole is.
		if err := s.remoteSubject(ctx, stream, true, text); err != nil && core.KindOf(err) != core.KindNotFound && core.KindOf(err) != core.KindInvalid {
			s.failed(ctx, stream, "subjects", err, 0)
			return told, err
		}
		if _, err := s.DB.Exec(ctx, insertSubject, pgx.StrictNamedArgs{"workspace": workspace, "stream": stream.ID, "user": one.ID, "now": s.now()}); err != nil {
			return told, postgres.Classify(err)
		}
	}
	if len(people) > 0 {
		s.well(ctx, stream, "subjects")
	}
	return len(people), nil
}
