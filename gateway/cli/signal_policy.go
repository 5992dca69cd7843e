package cli

import (
	"context"
	"strings"

	"postern/core"
	"postern/core/signals"
)

type signalPolicyCommands struct {
	List  listSignalPolicies `cmd:"" help:"Show the table: what is done about each kind of signal, and why."`
	Set   setSignalPolicy    `cmd:"" help:"Say what is done about a kind of signal."`
	Reset resetSignalPolicy  `cmd:"" help:"Go back to the workspace's policy, or the default."`
}

// ofSignalPolicy is part of every command about the policy.
type ofSignalPolicy struct {
	inWorkspace `embed:""`
	Connection  string `help:"For this connection alone: its name or id." placeholder:"NAME"`
}

// begin opens the database and finds the connection, if one is named.
func (o ofSignalPolicy) begin(ctx context.Context) (*setup, core.ID, error) {
	s, err := o.open(ctx)
	if err != nil || o.Connection == "" {
		return s, core.ID{}, err
	}
	connection, err := s.connection(ctx, o.Connection)
	if err != nil {
		s.close()
		return nil, core.ID{}, err
	}
	return s, connection.ID, nil
}

// policyRow is a row of the table.
type policyRow struct {
	Case      signals.Case      `json:"case"`
	Commands  []signals.Command `json:"commands"`
	Default   bool              `json:"default"`
	Own       bool              `json:"connection,omitempty"`
	Why       string            `json:"why,omitempty"`
	UpdatedBy string            `json:"updated_by,omitempty"`
}

// listSignalPolicies shows the table.
type listSignalPolicies struct {
	ofSignalPolicy `embed:""`
}

func (l listSignalPolicies) Run(ctx context.Context, terminal terminal) error {
	s, connection, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	table, err := s.signals().Policies(ctx, s.db, s.workspace.ID, connection)
	if err != nil {
		return err
	}
	rows := make([]policyRow, 0, len(table))
	for _, one := range table {
		rows = append(rows, policyRow{one.Case, one.Commands, one.Default, !one.Connection.IsZero(), one.Why, one.UpdatedBy})
	}
	return l.show(terminal, map[string]any{"policies": rows}, func(sheet sheet) {
		sheet.say("%-42s  %-10s  %s", "CASE", "SAID BY", "COMMANDS")
		for _, one := range rows {
			by := "default"
			switch {
			case one.Own:
				by = "connection"
			case !one.Default:
				by = "workspace"
			}
			sheet.say("%-42s  %-10s  %s", one.Case, by, joined(one.Commands))
		}
	})
}

// setSignalPolicy changes a row.
type setSignalPolicy struct {
	ofSignalPolicy `embed:""`
	Case           string   `arg:"" help:"Kind of signal, or a kind and what it says, such as risk_changed.high."`
	Commands       []string `arg:"" help:"end_sessions, step_up, restrict, lift, rotate_seen, rotate, deprovision, unlink, relink, reactivate_proposal, or record alone."`
}

// Help is shown by 'postern signal policy set --help'.
func (setSignalPolicy) Help() string {
	return `Rotate only what a logged-out person really saw:

  postern signal policy set logout end_sessions rotate_seen --workspace acme

That a logout ends sessions cannot be taken away.`
}

func (p setSignalPolicy) Run(ctx context.Context, terminal terminal) error {
	s, connection, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var commands []signals.Command
	for _, one := range p.Commands {
		commands = append(commands, signals.Command(one))
	}
	if err := s.signals().SetPolicy(ctx, s.cause, s.workspace.ID, connection, signals.Case(p.Case), commands); err != nil {
		return err
	}
	return p.show(terminal, map[string]any{"case": p.Case, "commands": p.Commands}, func(sheet sheet) {
		sheet.say("From now on %s means: %s.", p.Case, strings.Join(p.Commands, ", "))
	})
}

// resetSignalPolicy removes a row.
type resetSignalPolicy struct {
	ofSignalPolicy `embed:""`
	Case           string `arg:"" help:"Kind of signal, or a kind and what it says."`
}

func (r resetSignalPolicy) Run(ctx context.Context, terminal terminal) error {
	s, connection, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.signals().ResetPolicy(ctx, s.cause, s.workspace.ID, connection, signals.Case(r.Case)); err != nil {
		return err
	}
	return r.show(terminal, map[string]any{"case": r.Case}, func(sheet sheet) { sheet.say("%s has no policy of its own any more.", r.Case) })
}
