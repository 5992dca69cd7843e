package signals

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Policy is what is done about a case in a workspace, or for one of its connections.
type Policy struct {
	Case       Case
	Connection core.ID // zero: for every connection
	Commands   []Command
	Why        string    // of the default
	Default    bool      // nobody said otherwise
	Updated    time.Time // zero with Default
	UpdatedBy  string
}

const selectPolicies = `
select signal_case, connection_id, commands, updated, updated_by
from signal_policies where workspace_id = @workspace and (connection_id is null or connection_id = @connection)
order by signal_case, connection_id nulls last`

// Policies is the whole table as it holds for a connection, or with the zero id for every connection that has
// none of its own: each case once, in the order of Defaults, cases only somebody here named last.
func (s *Signals) Policies(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]Policy, error) {
	rows, err := q.Query(ctx, selectPolicies, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	said := map[Case]Policy{}
	var one Policy
	_, err = pgx.ForEachRow(rows, []any{&one.Case, &one.Connection, &one.Commands, &one.Updated, &one.UpdatedBy}, func() error {
		if _, narrower := said[one.Case]; !narrower {
			said[one.Case] = one
		}
		one.Commands = nil
		return nil
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var table []Policy
	for _, rule := range Defaults {
		policy, ok := said[rule.Case]
		if !ok {
			policy = Policy{Case: rule.Case, Commands: rule.Commands, Default: true}
		}
		policy.Why = rule.Why
		table = append(table, policy)
		delete(said, rule.Case)
	}
	var own []Policy
	for _, policy := range said {
		own = append(own, policy)
	}
	slices.SortFunc(own, func(one, other Policy) int { return strings.Compare(string(one.Case), string(other.Case)) })
	return append(table, own...), nil
}

const upsertPolicy = `
insert into signal_policies (workspace_id, connection_id, signal_case, commands, updated, updated_by)
values (@workspace, @connection, @case, @commands, @now, @by)
on conflict on constraint signal_policy do update set commands = excluded.commands, updated = excluded.updated, updated_by = excluded.updated_by`

// SetPolicy says what is done about a case, for one connection or with the zero id for all of the workspace.
// Administrators may, service accounts and the system. That a logout ends sessions cannot be taken away.
func (s *Signals) SetPolicy(ctx context.Context, cause core.Cause, workspace, connection core.ID, about Case, commands []Command) error {
	if !about.Known() {
		return core.Invalid("case", "there is no kind of signal %q", core.Cut(string(about), 80))
	}
	ordered, err := checkCommands(commands)
	if err != nil {
		return err
	}
	if about.mustEnd() && !slices.Contains(ordered, EndSessions) {
		return core.Invalid("commands", "a logout always ends sessions: add end_sessions")
	}
	return s.changePolicy(ctx, cause, workspace, connection, about, words(ordered), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, upsertPolicy, pgx.StrictNamedArgs{
			"workspace": workspace, "connection": connection, "case": string(about), "commands": words(ordered), "now": s.now(), "by": cause.Actor.Name,
		})
		return err
	})
}

const deletePolicy = `
delete from signal_policies where workspace_id = @workspace and connection_id is not distinct from @connection::uuid and signal_case = @case`

// ResetPolicy goes back to the next wider answer: the workspace's, or the default. Who may is as with SetPolicy.
func (s *Signals) ResetPolicy(ctx context.Context, cause core.Cause, workspace, connection core.ID, about Case) error {
	return s.changePolicy(ctx, cause, workspace, connection, about, nil, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, deletePolicy, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "case": string(about)})
		if err == nil && done.RowsAffected() == 0 {
			return core.NotFound("policy of its own for this")
		}
		return err
	})
}

func (s *Signals) changePolicy(ctx context.Context, cause core.Cause, workspace, connection core.ID, about Case, commands []string, change func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		target := core.Target{Kind: "workspace", ID: workspace}
		if !connection.IsZero() {
			found, err := s.Directory.Connection(ctx, tx, workspace, connection)
			if err != nil {
				return err
			}
			target = found.Target()
		}
		if err := change(tx); err != nil {
			return err
		}
		event := core.NewEvent(core.SignalPolicyChanged, workspace, cause, s.now(), target).With("case", string(about))
		if commands != nil {
			event = event.With("commands", strings.Join(commands, ","))
		}
		return audit.Append(ctx, tx, event)
	})
	if err == nil {
		s.wake()
	}
	return err
}

// words are commands as they are kept.
func words(commands []Command) []string {
	texts := make([]string, len(commands))
	for i, command := range commands {
		texts[i] = string(command)
	}
	return texts
}
