package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Login names an account by what makes it one: its app and what one signs in with.
type Login struct {
	App      core.ID
	Username string
}

const selectExisting = `
select wanted.app_id, wanted.username, a.id
from unnest(@apps::uuid[], @usernames::text[]) as wanted (app_id, username)
join accounts a on a.workspace_id = @workspace and a.app_id = wanted.app_id and a.username = wanted.username`

// Existing gives those of some logins that are accounts already, with their ids.
func (a *Accounts) Existing(ctx context.Context, q postgres.Querier, workspace core.ID, logins []Login) (map[Login]core.ID, error) {
	there := map[Login]core.ID{}
	if len(logins) == 0 {
		return there, nil
	}
	apps, usernames := make([]core.ID, len(logins)), make([]string, len(logins))
	for i, login := range logins {
		apps[i], usernames[i] = login.App, login.Username
	}
	rows, err := q.Query(ctx, selectExisting, pgx.StrictNamedArgs{"workspace": workspace, "apps": apps, "usernames": usernames})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var login Login
	var id core.ID
	_, err = pgx.ForEachRow(rows, []any{&login.App, &login.Username, &id}, func() error {
		there[login] = id
		return nil
	})
	return there, postgres.Classify(err)
}

// Check says what CreateAccount would refuse about the username or the password, whoever asks.
func (n NewAccount) Check() error {
	if err := checkText("username", n.Username, MaxUsername); err != nil {
		return err
	}
	return checkPassword("password", n.Password)
}
