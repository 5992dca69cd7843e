package signals

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Kept is a receipt as it is read: what was said and done, and how the rotations it caused went.
type Kept struct {
	ID             core.ID
	Connection     core.ID
	ConnectionName string
	Door           Door
	Kind           Kind
	Subject        string // as an event tells it
	SID            string
	Evidence       Evidence
	Transaction    string
	Actor          string
	Correlation    core.ID
	Occurred       time.Time
	Received       time.Time
	Committed      time.Time
	Outcome        Outcome
	Note           string
	Users          []core.ID
	Names          []string // of Users, in their order; empty for who is gone
	Sessions       int
	Commands       []Command
	Waiting        []Command
	Rotations      []core.ID
	Duplicate      core.ID
	Hold           core.ID

	Open    int        // rotations that are not done yet
	Rotated *time.Time // when the last of them was done; nil while some are open, or if there are none
}

// ToEffect is how long it took from the receipt of the signal until its sessions were dead.
func (k Kept) ToEffect() time.Duration { return max(0, k.Committed.Sub(k.Received)) }

// ToRotated is how long it took until the last rotation was done; zero while it is not.
func (k Kept) ToRotated() time.Duration {
	if k.Rotated == nil {
		return 0
	}
	return max(0, k.Rotated.Sub(k.Received))
}

// Query selects receipts; a zero field does not narrow.
type Query struct {
	Connection core.ID
	User       core.ID
	Hold       core.ID
	Door       Door
	Kind       Kind
	Outcome    Outcome
	Before     core.ID // only older ones: the last of the page before
	Limit      int     // 0 is 100, at most 500
}

const selectKept = `
select s.id, s.connection_id, coalesce(c.name, ''), s.door, s.kind, s.subject, s.sid, s.evidence, s.digest, s.transaction, s.actor, s.correlation,
	s.occurred, s.received, s.committed, s.outcome, s.note, s.users,
	array(select coalesce(nullif(u.display_name, ''), u.user_name, '') from unnest(s.users) with ordinality g (id, place)
		left join users u on u.workspace_id = s.workspace_id and u.id = g.id order by g.place),
	s.sessions, s.commands, s.waiting, s.rotations, s.duplicate_of, s.hold_id, coalesce(r.open, 0), r.finished
from signals s
left join connections c on c.workspace_id = s.workspace_id and c.id = s.connection_id
left join lateral (
	select count(*) filter (where r.finished is null) as open, case when bool_and(r.finished is not null) then max(r.finished) end as finished
	from rotations r where r.workspace_id = s.workspace_id and r.id = any(s.rotations)
) r on s.rotations <> '{}'
where s.workspace_id = @workspace`

const keptNewest = ` order by s.id desc limit @limit`

// List reads receipts, the newest first.
func (s *Signals) List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Kept, error) {
	statement, args := selectKept, pgx.StrictNamedArgs{"workspace": workspace, "limit": postgres.Page(query.Limit)}
	narrow := func(given bool, condition, name string, value any) {
		if given {
			statement, args[name] = statement+" and "+condition, value
		}
	}
	narrow(!query.Connection.IsZero(), "s.connection_id = @connection", "connection", query.Connection)
	narrow(!query.User.IsZero(), "((s.users[1] = @user and s.users <> '{}') or (cardinality(s.users) > 1 and s.users @> array[@user::uuid]))", "user", query.User)
	narrow(!query.Hold.IsZero(), "s.hold_id = @hold and s.hold_id is not null", "hold", query.Hold)
	narrow(query.Door != "", "s.door = @door", "door", string(query.Door))
	narrow(query.Kind != "", "s.kind = @kind", "kind", string(query.Kind))
	narrow(query.Outcome != "", "s.outcome = @outcome", "outcome", string(query.Outcome))
	narrow(!query.Before.IsZero(), "s.id < @before", "before", query.Before)
	rows, err := q.Query(ctx, statement+keptNewest, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, scanKept)
	return found, postgres.Classify(err)
}

const keptByID = ` and s.id = @id`

// Read is one receipt.
func (s *Signals) Read(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Kept, error) {
	rows, err := q.Query(ctx, selectKept+keptByID, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Kept{}, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, scanKept)
	if err == nil && len(found) == 0 {
		err = core.NotFound("signal")
	}
	if err != nil {
		return Kept{}, postgres.Classify(err)
	}
	return found[0], nil
}

func scanKept(row pgx.CollectableRow) (Kept, error) {
	var k Kept
	var evidence, digest []byte
	err := row.Scan(&k.ID, &k.Connection, &k.ConnectionName, &k.Door, &k.Kind, &k.Subject, &k.SID, &evidence, &digest, &k.Transaction, &k.Actor,
		&k.Correlation, &k.Occurred, &k.Received, &k.Committed, &k.Outcome, &k.Note, &k.Users, &k.Names, &k.Sessions, &k.Commands, &k.Waiting,
		&k.Rotations, &k.Duplicate, &k.Hold, &k.Open, &k.Rotated)
	if err != nil {
		return Kept{}, err
	}
	err = json.Unmarshal(evidence, &k.Evidence)
	k.Evidence.Digest = digest
	return k, err
}
