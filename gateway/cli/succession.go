package cli

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

type successionCommands struct {
	Show showSuccession `cmd:"" help:"Show who accounts pass to when their last owner goes."`
	Set  setSuccession  `cmd:"" help:"Say who accounts pass to when their last owner goes."`
}

// ofSuccession is part of every command about a succession list.
type ofSuccession struct {
	inWorkspace `embed:""`
	Account     string `help:"Of this account: its id. The workspace's list when left out." placeholder:"ID"`
}

func (o ofSuccession) account(ctx context.Context, s *setup) (core.ID, error) {
	if o.Account == "" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(o.Account)
	if err != nil {
		return core.ID{}, core.Invalid("--account", "this is not an id")
	}
	_, err = s.logins().Account(ctx, s.db, s.workspace.ID, id)
	return id, err
}

func (s *setup) logins() *accounts.Accounts {
	return &accounts.Accounts{DB: s.db, Directory: s.people}
}

// manager stands for the manager of whoever goes.
const manager = "@manager"

func (o ofSuccession) tell(ctx context.Context, terminal terminal, s *setup, account core.ID) error {
	list, err := s.logins().Succession(ctx, s.db, s.workspace.ID, account)
	if err != nil {
		return err
	}
	type row struct {
		User    core.ID `json:"user,omitzero"`
		Team    core.ID `json:"team,omitzero"`
		Manager bool    `json:"manager,omitempty"`
		Name    string  `json:"name,omitempty"`
	}
	rows := make([]row, 0, len(list))
	for _, one := range list {
		rows = append(rows, row{one.User, one.Team, one.Manager, one.Name})
	}
	return o.show(terminal, map[string]any{"successors": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("The list is empty.")
		}
		for i, one := range rows {
			switch {
			case one.Manager:
				sheet.say("%2d. the manager of whoever goes", i+1)
			case one.Team.IsZero():
				sheet.say("%2d. %s", i+1, one.Name)
			default:
				sheet.say("%2d. the team %s", i+1, one.Name)
			}
		}
	})
}

// showSuccession shows a list.
type showSuccession struct {
	ofSuccession `embed:""`
}

func (o showSuccession) Run(ctx context.Context, terminal terminal) error {
	return o.with(ctx, func(s *setup) error {
		account, err := o.account(ctx, s)
		if err != nil {
			return err
		}
		return o.tell(ctx, terminal, s, account)
	})
}

// setSuccession replaces a list.
type setSuccession struct {
	ofSuccession `embed:""`
	Successors   []string `arg:"" optional:"" help:"In order: userName of a user, team:NAME of a team, or @manager. None empties the list."`
}

// Help is shown by 'postern succession set --help'.
func (setSuccession) Help() string {
	return `The first of the list who is alive owns an account when its last owner leaves, loses the role, or the grant expires. After an account's own list comes the workspace's:

  postern succession set @manager team:IT-Operations --workspace acme
  postern succession set dana@acme.example --account ID --workspace acme`
}

func (o setSuccession) Run(ctx context.Context, terminal terminal) error {
	return o.with(ctx, func(s *setup) error {
		account, err := o.account(ctx, s)
		if err != nil {
			return err
		}
		var list []accounts.Successor
		for _, name := range o.Successors {
			one, err := o.successor(ctx, s, name)
			if err != nil {
				return err
			}
			list = append(list, one)
		}
		err = s.db.Tx(ctx, func(tx pgx.Tx) error {
			return s.departures().SetSuccession(ctx, tx, s.cause, s.workspace.ID, account, list)
		})
		if err != nil {
			return err
		}
		return o.tell(ctx, terminal, s, account)
	})
}

func (o setSuccession) successor(ctx context.Context, s *setup, name string) (accounts.Successor, error) {
	if name == manager {
		return accounts.Successor{Manager: true}, nil
	}
	if team, ok := strings.CutPrefix(name, "team:"); ok {
		found, _, err := s.people.Teams(ctx, s.db, s.workspace.ID, directory.TeamQuery{DisplayName: team, Limit: 2})
		if err != nil {
			return accounts.Successor{}, err
		}
		if len(found) != 1 {
			return accounts.Successor{}, core.Invalid("successors", "%d teams are called %q", len(found), team)
		}
		return accounts.Successor{Team: found[0].ID}, nil
	}
	user, err := oneUser{inWorkspace: o.inWorkspace, UserName: name}.find(ctx, s)
	return accounts.Successor{User: user.ID}, err
}
