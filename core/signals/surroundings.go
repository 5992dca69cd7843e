package signals

import (
	"cmp"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// surroundings are what a signal is judged by: its connection's name and guard, and the policy.
type surroundings struct {
	found    bool
	name     string
	window   time.Duration
	policies []narrowed

	guarded bool
	share   int
	floor   int
	open    core.ID // the hold that waits for a decision; zero: none
	active  int     // of the connection's users
	people  int     // whom its signals meant lately
}

// narrowed is a row of the policy that may hold.
type narrowed struct {
	about    Case
	own      bool // of the connection itself
	commands []Command
}

const selectSurroundings = `
select c.name, c.provisioning, coalesce(t.gap, @gap::interval), h.id,
	(select coalesce(sum(n.active), 0)::bigint from directory_counts n where n.workspace_id = c.workspace_id and n.connection_id = c.id),
	(select coalesce(sum(n.people), 0)::bigint from signal_counts n
	 where n.workspace_id = c.workspace_id and n.connection_id = c.id and n.bucket > @since)
from connections c
left join signal_settings t on t.workspace_id = c.workspace_id
left join signal_holds h on h.workspace_id = c.workspace_id and h.connection_id = c.id and h.decided is null
where c.workspace_id = @workspace and c.id = @connection`

const selectRows = `
select signal_case, connection_id is not null, commands from signal_policies
where workspace_id = @workspace and signal_case = any(@cases) and (connection_id is null or connection_id = @connection)`

// queueSurroundings reads them as part of what is sent to the database together.
func (t *telling) queueSurroundings(batch *pgx.Batch) {
	t.around.window = DefaultWindow
	t.queueGuard(batch, &t.around)
	cases := t.signal.cases()
	texts := make([]string, len(cases))
	for i, one := range cases {
		texts[i] = string(one)
	}
	batch.Queue(selectRows, pgx.StrictNamedArgs{"workspace": t.signal.Workspace, "connection": t.signal.Connection, "cases": texts}).
		Query(func(rows pgx.Rows) error {
			var one narrowed
			_, err := pgx.ForEachRow(rows, []any{&one.about, &one.own, &one.commands}, func() error {
				t.around.policies = append(t.around.policies, one)
				one.commands = nil
				return nil
			})
			return err
		})
}

// queueGuard reads what the guard goes by.
func (t *telling) queueGuard(batch *pgx.Batch, into *surroundings) {
	if t.signal.Connection.IsZero() {
		return
	}
	batch.Queue(selectSurroundings, pgx.StrictNamedArgs{
		"workspace": t.signal.Workspace, "connection": t.signal.Connection, "gap": DefaultWindow, "since": t.now().Add(-directory.GuardWindow - bucket),
	}).Query(func(rows pgx.Rows) error {
		var settings directory.Provisioning
		_, err := pgx.ForEachRow(rows, []any{&into.name, &settings, &into.window, &into.open, &into.active, &into.people}, func() error {
			into.found, into.guarded = true, settings.GuardFloor >= 0 && t.cause.Actor.Kind == core.ActorConnection
			into.share = cmp.Or(settings.GuardShare, directory.DefaultGuardShare)
			into.floor = cmp.Or(settings.GuardFloor, directory.DefaultGuardFloor)
			return nil
		})
		return err
	})
}

// commands are what the policy wants: of the narrowest case somebody or the defaults name, the connection's own
// word before the workspace's.
func (a surroundings) commands(signal Signal) []Command {
	for _, about := range signal.cases() {
		var workspace []Command
		for _, row := range a.policies {
			switch {
			case row.about != about:
			case row.own:
				return row.commands
			default:
				workspace = row.commands
			}
		}
		if workspace != nil {
			return workspace
		}
		for _, rule := range Defaults {
			if rule.Case == about {
				return rule.Commands
			}
		}
	}
	return []Command{Record}
}
