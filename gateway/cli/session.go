package cli

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

type sessionCommands struct {
	List     listSessions    `cmd:"" help:"List where somebody is signed in."`
	End      endSessions     `cmd:"" help:"Sign somebody out, of one session or of all."`
	Settings sessionSettings `cmd:"" help:"Show or change how long sessions last, and how fresh proofs must be."`
	Quirks   logoutQuirks    `cmd:"" help:"Show or change what an identity provider is allowed in its logout tokens."`
}

// sessionRow is a session in a list.
type sessionRow struct {
	ID            core.ID   `json:"id"`
	Connection    core.ID   `json:"connection"`
	Address       string    `json:"address,omitempty"`
	Agent         string    `json:"agent,omitempty"`
	Created       time.Time `json:"created"`
	LastSeen      time.Time `json:"last_seen"`
	Expires       time.Time `json:"expires"`
	Authenticated time.Time `json:"authenticated"`
	ACR           string    `json:"acr,omitempty"`
	AMR           []string  `json:"amr"`
}

// listSessions shows where somebody is signed in.
type listSessions struct {
	oneUser `embed:""`
}

func (l listSessions) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	user, err := l.find(ctx, s)
	if err != nil {
		return err
	}
	found, err := s.people.Sessions(ctx, s.db, s.workspace.ID, user.ID)
	if err != nil {
		return err
	}
	rows := make([]sessionRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, sessionRow{
			one.ID, one.Connection, one.Address, one.Agent, one.Created, one.LastSeen, one.Expires, one.Authenticated, one.ACR, one.AMR,
		})
	}
	return l.show(terminal, map[string]any{"sessions": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("%s is not signed in.", user.Name())
			return
		}
		sheet.say("%-36s  %-16s  %-16s  %-16s  %s", "SESSION", "SINCE (UTC)", "LAST SEEN", "PROVEN", "FROM")
		for _, one := range rows {
			sheet.say("%s  %-16s  %-16s  %-16s  %s", one.ID, minute(one.Created), minute(one.LastSeen), minute(one.Authenticated), one.Address)
		}
	})
}

func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }

// endSessions signs somebody out.
type endSessions struct {
	oneUser `embed:""`
	Session string `help:"Only this session; all of them when left out." placeholder:"ID"`
}

// Help is shown by 'postern session end --help'.
func (endSessions) Help() string {
	return `Without --session every session ends, and no sign-in under way survives. Nothing else is taken: they can sign in again, and no password is rotated. To take everything, use 'postern user deprovision'.`
}

func (e endSessions) Run(ctx context.Context, terminal terminal) error {
	s, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	user, err := e.find(ctx, s)
	if err != nil {
		return err
	}
	ended := 1
	err = s.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		if e.Session == "" {
			ended, err = s.people.EndSessions(ctx, tx, s.cause, s.workspace.ID, user.ID, "ended by an administrator")
			return err
		}
		id, err := core.ParseID(e.Session)
		if err != nil {
			return core.Invalid("--session", "this is not an id")
		}
		holder, err := s.people.SessionHolder(ctx, tx, s.workspace.ID, id)
		if err == nil && holder != user.ID {
			err = core.NotFound("session of this user")
		}
		if err != nil {
			return err
		}
		return s.people.EndSession(ctx, tx, s.cause, s.workspace.ID, id, "ended by an administrator")
	})
	if err != nil {
		return err
	}
	return e.show(terminal, map[string]int{"sessions_ended": ended}, func(sheet sheet) {
		sheet.say("Ended %d of %s's sessions.", ended, user.Name())
	})
}

// logoutQuirks shows or sets what an identity provider is allowed.
type logoutQuirks struct {
	inWorkspace `embed:""`
	Connection  string   `arg:"" help:"Name or id of the connection."`
	Allow       []string `help:"untyped (typ may be absent or JWT), no_expiry (exp may be absent); replaces what is allowed now." enum:"untyped,no_expiry" placeholder:"QUIRK,…"`
	None        bool     `help:"Allow none." xor:"quirks"`
}

// Help is shown by 'postern session quirks --help'.
func (logoutQuirks) Help() string {
	return `Back-channel logout tokens have typ logout+jwt and exp. Some identity providers leave one out: the connection's last failures then say type or expired. Allow only what yours needs, for each quirk takes a check away.

  postern session quirks Keycloak --workspace acme --allow no_expiry
  postern session quirks Keycloak --workspace acme --none`
}

func (l logoutQuirks) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, l.Connection)
	if err != nil {
		return err
	}
	var quirks []directory.LogoutQuirk
	err = s.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		if l.None || len(l.Allow) > 0 {
			var wanted []directory.LogoutQuirk
			for _, one := range l.Allow {
				wanted = append(wanted, directory.LogoutQuirk(one))
			}
			if err := s.people.AllowLogoutQuirks(ctx, tx, s.cause, s.workspace.ID, connection.ID, wanted); err != nil {
				return err
			}
		}
		quirks, err = s.people.LogoutQuirks(ctx, tx, s.workspace.ID, connection.ID)
		return err
	})
	if err != nil {
		return err
	}
	return l.show(terminal, map[string]any{"quirks": append([]directory.LogoutQuirk{}, quirks...)}, func(sheet sheet) {
		if len(quirks) == 0 {
			sheet.say("%s's logout tokens are held to the specification.", connection.Name)
			return
		}
		for _, quirk := range quirks {
			sheet.row("allowed", string(quirk))
		}
	})
}
