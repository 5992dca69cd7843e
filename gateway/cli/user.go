package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

type userCommands struct {
	List        listUsers       `cmd:"" help:"List people."`
	Show        showUser        `cmd:"" help:"Show somebody, with their teams."`
	Deprovision deprovisionUser `cmd:"" help:"Take everything from somebody, whatever the identity provider says."`
	Reactivate  reactivateUser  `cmd:"" help:"Let somebody in again, whatever the identity provider says."`
	Assign      assignRole      `cmd:"" help:"Give somebody a role in the workspace."`
	Role        userRole        `cmd:"" help:"Give somebody a role in the workspace, on the database: this is how the first owner is made."`
}

// oneUser is part of every command about one user.
type oneUser struct {
	inWorkspace `embed:""`
	UserName    string `arg:"" help:"userName at the identity provider, or the user's id."`
	Connection  string `help:"Name or id of the connection, where the userName is in several." placeholder:"NAME"`
}

// userRole changes what a user may do in the workspace as a whole.
type userRole struct {
	oneUser `embed:""`
	Role    string `help:"owner, super_admin, admin, user, login_only or guest." required:"" enum:"owner,super_admin,admin,user,login_only,guest" placeholder:"ROLE"`
}

// Help is shown by 'postern user role --help'.
func (userRole) Help() string {
	return `People come from the identity provider, as plain users. A workspace needs an owner before anybody can manage it, so once the identity provider has pushed you:

  postern user role dana@acme.example --workspace acme --role owner

Owners and admins manage every account; users own and share their own; login-only users and guests use what is shared with them.

A workspace keeps its last owner: make somebody else an owner first.`
}

func (u userRole) Run(ctx context.Context, terminal terminal) error {
	s, err := u.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := u.find(ctx, s)
	if err != nil {
		return err
	}
	after, others, err := u.give(ctx, s, found.ID)
	if err != nil {
		return err
	}
	return u.show(terminal, struct {
		ID       core.ID        `json:"id"`
		UserName string         `json:"user_name"`
		Role     directory.Role `json:"role"`
		Was      directory.Role `json:"was"`
		Active   bool           `json:"active"`
	}{after.ID, after.UserName, after.Role, found.Role, after.Active}, func(sheet sheet) {
		if after.Role == found.Role {
			sheet.say("%s is %s already.", after.Name(), after.Role)
		} else {
			sheet.say("%s is %s now (was %s).", after.Name(), after.Role, found.Role)
		}
		if !after.Active {
			sheet.say("Note: %s is inactive at the identity provider and cannot sign in.", after.Name())
		}
		if others == 0 && (after.Role != directory.RoleOwner || !after.Active) {
			sheet.say("Note: the workspace has no active owner.")
		}
	})
}

// give changes the role and tells how many other owners there are then.
func (u userRole) give(ctx context.Context, s *setup, id core.ID) (after directory.User, others int, err error) {
	after, err = s.departures().Change(ctx, s.cause, s.workspace.ID, id, func(user *directory.User) error {
		user.Role = directory.Role(u.Role)
		return nil
	})
	if err != nil {
		return directory.User{}, 0, err
	}
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		others, err = s.people.OtherOwners(ctx, tx, s.workspace.ID, id)
		return err
	})
	return after, others, err
}

// find gives the one user that is meant.
func (u oneUser) find(ctx context.Context, s *setup) (directory.User, error) {
	if id, err := core.ParseID(u.UserName); err == nil {
		return s.people.User(ctx, s.db, s.workspace.ID, id)
	}
	query := directory.UserQuery{UserName: u.UserName}
	if u.Connection != "" {
		connection, err := s.connection(ctx, u.Connection)
		if err != nil {
			return directory.User{}, err
		}
		query.Connection = connection.ID
	}
	found, _, err := s.people.Users(ctx, s.db, s.workspace.ID, query)
	switch {
	case err != nil:
		return directory.User{}, err
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return directory.User{}, &core.Error{Kind: core.KindNotFound, Message: "nobody is called " + strconv.Quote(u.UserName) + " here yet: have the identity provider push them first"}
	}
	var names []string
	for _, one := range found {
		if one.Connection.IsZero() {
			names = append(names, "none (a guest; give the id "+one.ID.String()+")")
			continue
		}
		connection, err := s.people.Connection(ctx, s.db, s.workspace.ID, one.Connection)
		if err != nil {
			return directory.User{}, err
		}
		names = append(names, connection.Name)
	}
	return directory.User{}, core.Invalid("--connection", "%s is a user of %s: say which", u.UserName, strings.Join(names, " and of "))
}
