package signals

import (
	"cmp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// surroundings are what a signal is judged by: its connection's name and guard, and the policy.
type surroundings struct {
	found    bool
	name     string
	row      uint32 // the version of the connection's row
	window   time.Duration
	policies []narrowed

	guarded bool
	share   int
	floor   int
	counted bool    // what follows was read
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

// What the policy says comes with it, a row as "case,own,command,command".
const selectSurroundings = `
select c.name, c.provisioning, c.xmin, coalesce(t.gap, @gap::interval), array(
	select concat_ws(',', p.signal_case, p.connection_id is not null, array_to_string(p.commands, ',')) from signal_policies p
	where p.workspace_id = @workspace and p.signal_case = any(@cases) and (p.connection_id is null or p.connection_id = @connection))
from (select @workspace::uuid as workspace_id) w
left join connections c on c.workspace_id = w.workspace_id and c.id = @connection
left join signal_settings t on t.workspace_id = c.workspace_id`

// queueSurroundings reads them as part of what is sent to the database together.
func (t *telling) queueSurroundings(batch *pgx.Batch) {
	cases := t.signal.cases()
	texts := make([]string, len(cases))
	for i, one := range cases {
		texts[i] = string(one)
	}
	into := &t.around
	into.window = DefaultWindow
	batch.Queue(selectSurroundings, pgx.StrictNamedArgs{
		"workspace": t.signal.Workspace, "connection": t.signal.Connection, "gap": DefaultWindow, "cases": texts,
	}).Query(func(rows pgx.Rows) error {
		var name *string
		var settings *directory.Provisioning
		var row *uint32
		var policies []string
		_, err := pgx.ForEachRow(rows, []any{&name, &settings, &row, &into.window, &policies}, func() error {
			for _, one := range policies {
				fields := strings.Split(one, ",")
				rule := narrowed{about: Case(fields[0]), own: fields[1] == "t"}
				for _, command := range fields[2:] {
					rule.commands = append(rule.commands, Command(command))
				}
				into.policies = append(into.policies, rule)
			}
			if row != nil {
				into.found, into.name, into.row = true, *name, *row
				into.guarded = settings.GuardFloor >= 0 && t.cause.Actor.Kind == core.ActorConnection
				into.share = cmp.Or(settings.GuardShare, directory.DefaultGuardShare)
				into.floor = cmp.Or(settings.GuardFloor, directory.DefaultGuardFloor)
			}
			return nil
		})
		return err
	})
}

const selectGuard = `
select (select h.id from signal_holds h where h.workspace_id = @workspace and h.connection_id = @connection and h.decided is null),
	(select coalesce(sum(n.active), 0)::bigint from directory_counts n where n.workspace_id = @workspace and n.connection_id = @connection),
	(select coalesce(sum(n.people), 0)::bigint from signal_counts n
	 where n.workspace_id = @workspace and n.connection_id = @connection and n.bucket > @since)`

// queueGuard reads what the guard goes by, when somebody would lose something.
func (t *telling) queueGuard(batch *pgx.Batch) {
	into := &t.around
	batch.Queue(selectGuard, pgx.StrictNamedArgs{
		"workspace": t.signal.Workspace, "connection": t.signal.Connection, "since": t.now().Add(-directory.GuardWindow - bucket),
	}).QueryRow(func(row pgx.Row) error {
		into.counted = true
		return row.Scan(&into.open, &into.active, &into.people)
	})
}

// guardAlone is queueGuard as all that is sent.
func (t *telling) guardAlone() *pgx.Batch {
	batch := &pgx.Batch{}
	t.queueGuard(batch)
	return batch
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
