package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

type grantCommands struct {
	List   listGrants  `cmd:"" help:"List who may use an account and through what, or what somebody can use."`
	Add    addGrant    `cmd:"" help:"Share an account with a user, a guest or a team."`
	Remove removeGrant `cmd:"" help:"Take a grant back."`
}

// listGrants answers both questions.
type listGrants struct {
	inWorkspace `embed:""`
	Account     string `help:"Id of the account: who may use it." placeholder:"ID" xor:"of" required:""`
	User        string `help:"userName or id: what they can use." placeholder:"NAME" xor:"of" required:""`
	Search      string `help:"With --user: how the app's name or the username begins." placeholder:"TEXT"`
	After       string `help:"The last id of the page before." placeholder:"ID"`
	Limit       int    `help:"How many rows." default:"100" placeholder:"N"`
}

// Help is shown by 'postern grant list --help'.
func (listGrants) Help() string {
	return `  postern grant list --workspace acme --account 0198c7e2-…     who may use it, and through what
  postern grant list --workspace acme --user dana@acme.example what dana can use`
}

// grantRow is somebody's access to an account, in a list.
type grantRow struct {
	ID      core.ID    `json:"id"` // of the user, or of the account
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Direct  bool       `json:"direct"`
	Teams   []string   `json:"teams"`
	Expires *time.Time `json:"expires,omitempty"`
}

func (r grantRow) through() string {
	ways := r.Teams
	if r.Direct {
		ways = append([]string{"own grant"}, ways...)
	}
	return strings.Join(ways, ", ")
}

func (r grantRow) until() string {
	if r.Expires == nil {
		return "-"
	}
	return r.Expires.UTC().Format("2006-01-02 15:04")
}

func namesOf(teams []accounts.Via) []string {
	names := make([]string, 0, len(teams))
	for _, team := range teams {
		names = append(names, team.Name)
	}
	return names
}

func (l listGrants) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	after, err := optionalID("--after", l.After)
	if err != nil {
		return err
	}
	if l.User != "" {
		return l.used(ctx, terminal, s, after)
	}
	account, err := s.account(ctx, l.Account)
	if err != nil {
		return err
	}
	people, err := s.departures().Accounts.Access(ctx, s.db, s.workspace.ID, account.ID, accounts.AccessQuery{Limit: l.Limit, After: after})
	if err != nil {
		return err
	}
	grants, err := s.departures().Accounts.Grants(ctx, s.db, s.workspace.ID, account.ID)
	if err != nil {
		return err
	}
	rows, given := make([]grantRow, 0, len(people)), make([]givenRow, 0, len(grants))
	for _, one := range people {
		rows = append(rows, grantRow{one.User, one.UserName, string(one.Role), one.Direct(), namesOf(one.Teams), one.Expires})
	}
	for _, one := range grants {
		given = append(given, givenRowOf(one))
	}
	return l.show(terminal, map[string]any{"grants": given, "people": rows}, func(sheet sheet) {
		sheet.say("Grants of %s", account.Name())
		sheet.say("%-36s  %-28s  %-12s  %-16s  %s", "GRANT", "TO", "ROLE", "UNTIL (UTC)", "FOR")
		for _, one := range given {
			sheet.say("%s  %-28s  %-12s  %-16s  %s", one.ID, one.Kind+" "+one.Name, one.Role, grantRow{Expires: one.Expires}.until(), one.Purpose)
		}
		sheet.say("\nWho may use it now")
		sheet.access("USER", rows)
	})
}

func (l listGrants) used(ctx context.Context, terminal terminal, s *setup, after core.ID) error {
	user, err := oneUser{inWorkspace: l.inWorkspace, UserName: l.User}.find(ctx, s)
	if err != nil {
		return err
	}
	found, err := s.departures().Accounts.Usable(ctx, s.db, s.workspace.ID, user.ID, accounts.UsableQuery{Search: l.Search, Limit: l.Limit, After: after})
	if err != nil {
		return err
	}
	rows := make([]grantRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, grantRow{one.ID, one.Name(), string(one.Role), one.Direct, namesOf(one.Teams), one.Expires})
	}
	return l.show(terminal, map[string]any{"accounts": rows}, func(sheet sheet) { sheet.access("ACCOUNT", rows) })
}

func (s sheet) access(noun string, rows []grantRow) {
	if len(rows) == 0 {
		s.say("nobody and nothing")
		return
	}
	s.say("%-36s  %-36s  %-12s  %-16s  %s", "ID", noun, "ROLE", "UNTIL (UTC)", "THROUGH")
	for _, one := range rows {
		s.say("%s  %-36s  %-12s  %-16s  %s", one.ID, one.Name, one.Role, one.until(), one.through())
	}
}

// givenRow is a grant as it is printed.
type givenRow struct {
	ID      core.ID    `json:"id"`
	Account core.ID    `json:"account"`
	Kind    string     `json:"kind"`
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Purpose string     `json:"purpose,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

func givenRowOf(grant accounts.Grant) givenRow {
	return givenRow{grant.ID, grant.Account, grant.Target().Kind, grant.Name, string(grant.Role), grant.Purpose, grant.Expires}
}

// account finds an account by its id.
func (s *setup) account(ctx context.Context, given string) (accounts.Account, error) {
	id, err := core.ParseID(given)
	if err != nil {
		return accounts.Account{}, core.Invalid("account", "give the account's id")
	}
	return s.departures().Accounts.Account(ctx, s.db, s.workspace.ID, id)
}

func optionalID(flag, given string) (core.ID, error) {
	if given == "" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(given)
	if err != nil {
		return core.ID{}, core.Invalid(flag, "this is no id")
	}
	return id, nil
}

// addGrant shares an account.
type addGrant struct {
	inWorkspace `embed:""`
	Account     string `arg:"" help:"Id of the account."`
	User        string `help:"userName or id of a user or guest." placeholder:"NAME" xor:"to" required:""`
	Team        string `help:"Name or id of a team." placeholder:"NAME" xor:"to" required:""`
	Role        string `help:"owner or collaborator." enum:"owner,collaborator" default:"collaborator"`
	Days        int    `help:"Days until it ends by itself; it never does when 0." default:"0" placeholder:"N"`
	Purpose     string `help:"What for, for people to read." placeholder:"TEXT"`
}

// Help is shown by 'postern grant add --help'.
func (addGrant) Help() string {
	return `Sharing again replaces role, end and purpose. Guests and login-only users are collaborators at most, through a team too.

  postern grant add 0198c7e2-… --workspace acme --user dana@acme.example --days 7 --purpose "on call"`
}

func (a addGrant) Run(ctx context.Context, terminal terminal) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	account, err := s.account(ctx, a.Account)
	if err != nil {
		return err
	}
	sharing := accounts.Sharing{Role: accounts.Role(a.Role), Purpose: a.Purpose}
	if sharing.Expires, err = (lifetime{Days: a.Days}).expires(); err != nil {
		return err
	}
	if a.User != "" {
		user, err := oneUser{inWorkspace: a.inWorkspace, UserName: a.User}.find(ctx, s)
		if err != nil {
			return err
		}
		sharing.Subject.User = user.ID
	} else if sharing.Subject.Team, err = s.team(ctx, a.Team); err != nil {
		return err
	}
	var grant accounts.Grant
	err = s.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		grant, err = s.departures().Share(ctx, tx, s.cause, s.workspace.ID, account.ID, sharing)
		return err
	})
	if err != nil {
		return err
	}
	return a.show(terminal, givenRowOf(grant), func(sheet sheet) {
		sheet.say("%s is %s of %s now.", grant.Name, grant.Role, account.Name())
		sheet.row("grant", grant.ID.String())
	})
}

// team finds a team by its id or its name.
func (s *setup) team(ctx context.Context, given string) (core.ID, error) {
	if id, err := core.ParseID(given); err == nil {
		return id, nil
	}
	found, _, err := s.people.Teams(ctx, s.db, s.workspace.ID, directory.TeamQuery{DisplayName: given, Limit: 2})
	switch {
	case err != nil:
		return core.ID{}, err
	case len(found) == 0:
		return core.ID{}, &core.Error{Kind: core.KindNotFound, Message: "no team is called " + strconv.Quote(given)}
	case len(found) > 1:
		return core.ID{}, core.Invalid("--team", "several teams are called %q; give the id", given)
	}
	return found[0].ID, nil
}

// removeGrant takes a grant back.
type removeGrant struct {
	inWorkspace `embed:""`
	Grant       string `arg:"" help:"Id of the grant ('postern grant list' shows it)."`
}

func (r removeGrant) Run(ctx context.Context, terminal terminal) error {
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	id, err := core.ParseID(r.Grant)
	if err != nil {
		return core.Invalid("grant", "give the grant's id")
	}
	if err := s.db.Tx(ctx, func(tx pgx.Tx) error { return s.departures().Unshare(ctx, tx, s.cause, s.workspace.ID, id) }); err != nil {
		return err
	}
	return r.show(terminal, map[string]any{"removed": id}, func(sheet sheet) { sheet.say("Taken back.") })
}
