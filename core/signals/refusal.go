package signals

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
)

// Refusal is a signal that was not believed, or not understood.
type Refusal struct {
	Connection directory.Connection
	Door       Door
	Stage      string // the check that failed: type, signature, issuer, audience, id, subject …
	Err        error
	Subject    string // as said, if it got so far
	Origin     core.Origin
	// Known says that the caller was proven: what failed came after that.
	Known bool
}

// lastFailures is how many failures are kept for each door of a connection.
const lastFailures = 10

// How many refusals leave a trace: of strangers few, of whom was proven more.
const (
	strangersBurst, strangersEvery = 5, 10 * time.Second
	provenBurst, provenEvery       = 60, time.Second
)

// The ring's next place is the one written longest ago.
const keepRefusal = `
with place as (
	select p.place from generate_series(0, @last::integer - 1) as p (place)
	left join signal_refusals r on r.workspace_id = @workspace and r.connection_id = @connection and r.door = @door and r.place = p.place
	order by r.at nulls first, p.place limit 1
)
insert into signal_refusals as r (workspace_id, connection_id, door, place, at, stage, message, subject, address, suppressed)
select @workspace::uuid, @connection::uuid, @door, place, @now, @stage, @message, @subject, @address, @suppressed from place
on conflict (workspace_id, connection_id, door, place) do update set at = excluded.at, stage = excluded.stage, message = excluded.message,
	subject = excluded.subject, address = excluded.address, suppressed = excluded.suppressed`

// Refused keeps what was refused and why: as an event and among the last failures of the connection's door. A
// stranger who knocks without end leaves a trace only now and then. It never fails: what could not be kept is
// logged, and nothing was done for the request either way.
func (s *Signals) Refused(ctx context.Context, refusal Refusal) {
	stage := refusal.stage()
	if s.Meter != nil {
		s.Meter.Refused(refusal.Door, stage)
	}
	if refusal.Connection.ID.IsZero() {
		return
	}
	s.once.Do(func() {
		s.strangers.Burst, s.strangers.Every = strangersBurst, strangersEvery
		s.proven.Burst, s.proven.Every = provenBurst, provenEvery
	})
	throttle := &s.strangers
	if refusal.Known {
		throttle = &s.proven
	}
	now := s.now()
	suppressed, ok := throttle.Allow(now, refusal.Connection.ID)
	if !ok {
		return
	}
	// It is kept even if the caller has hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.keepRefusal(ctx, refusal, stage, now, suppressed); err != nil && s.Log != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "a refused signal could not be kept",
			slog.String("connection", refusal.Connection.ID.String()), slog.String("error", err.Error()))
		return
	}
	s.wake()
}

func (s *Signals) keepRefusal(ctx context.Context, refusal Refusal, stage string, now time.Time, suppressed int) error {
	connection := refusal.Connection
	actor := core.System
	if refusal.Known {
		actor = connection.Actor()
	}
	cause := core.NewCause(actor, now)
	cause.Origin = refusal.Origin
	message := core.Cut(core.AsError(refusal.Err).Message, 500)
	event := core.NewEvent(core.SignalRefused, connection.Workspace, cause, now, connection.Target()).
		Failed(message).With("signal", string(refusal.Door)).With("code", stage)
	if refusal.Subject != "" {
		event = event.With("subject", core.Cut(refusal.Subject, 400))
	}
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	return s.DB.Batch(ctx, nil, func(batch *pgx.Batch) error {
		batch.Queue(keepRefusal, pgx.StrictNamedArgs{
			"workspace": connection.Workspace, "connection": connection.ID, "door": string(refusal.Door), "last": lastFailures, "now": now,
			"stage": stage, "message": message, "subject": core.Cut(refusal.Subject, 400), "address": core.Cut(refusal.Origin.Address, 100), "suppressed": suppressed,
		})
		return audit.Queue(batch, event)
	})
}

// stage is where it failed, in one of few words: it becomes a label.
func (r Refusal) stage() string {
	stage := r.Stage
	if classified := core.AsError(r.Err); stage == "" && classified != nil {
		if stage = classified.Code; stage == "" {
			stage = classified.Kind.String()
		}
	}
	if stage == "" {
		stage = "unknown"
	}
	return core.Cut(stage, 40)
}

// Failure is one of the last failures of a door.
type Failure struct {
	Door       Door      `db:"door"`
	At         time.Time `db:"at"`
	Stage      string    `db:"stage"`
	Message    string    `db:"message"`
	Subject    string    `db:"subject"`
	Address    string    `db:"address"`
	Suppressed int       `db:"suppressed"` // more of them since the one before
}

const selectFailures = `
select door, at, stage, message, subject, address, suppressed from signal_refusals
where workspace_id = @workspace and connection_id = @connection
order by at desc, door, place`

// Failures are the last failures at a connection's doors, the latest first.
func (s *Signals) Failures(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]Failure, error) {
	rows, err := q.Query(ctx, selectFailures, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Failure])
	return found, postgres.Classify(err)
}
