package cli

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/vault"
	"postern/gateway"
)

type workspaceCommands struct {
	Create createWorkspace `cmd:"" help:"Create a workspace: its name, its keys, its default vault."`
}

// createWorkspace makes one customer organisation.
type createWorkspace struct {
	onDatabase `embed:""`
	Slug       string `arg:"" help:"Short name for commands and addresses: a-z, 0-9 and -."`
	Name       string `help:"What people call the organisation." required:"" placeholder:"NAME"`
	Key        string `help:"Reference to the key that wraps every workspace key: the one 'postern serve' gets." env:"POSTERN_KEY" required:"" placeholder:"REF"`
}

// Help is shown by 'postern workspace create --help'.
func (createWorkspace) Help() string {
	return `A workspace is one customer organisation. Nothing crosses its border: people, accounts, passwords and events of one are invisible to every other.

Its vault is sealed under the key of --key, which must be the one 'postern serve' runs with: with another key its passwords could not be opened.

  postern workspace create acme --name "Acme" --database file:database-url --key file:key

Then connect its identity provider: postern connection create --help`
}

func (c createWorkspace) Run(ctx context.Context, terminal terminal) error {
	keys, err := gateway.OpenKeys(c.Key)
	if err != nil {
		return flag("--key", err)
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var made directory.Workspace
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		if made, err = s.people.CreateWorkspace(ctx, tx, s.cause, c.Slug, c.Name); err != nil {
			return err
		}
		_, err = (&vault.Vault{DB: s.db, Keys: keys}).Prepare(ctx, tx, made.ID)
		return err
	})
	if err != nil {
		return err
	}
	return c.show(terminal, struct {
		ID   core.ID `json:"id"`
		Slug string  `json:"slug"`
		Name string  `json:"name"`
	}{made.ID, made.Slug, made.Name}, func(sheet sheet) {
		sheet.say("Created the workspace %s (%s).\n", made.Slug, made.Name)
		sheet.row("workspace id", made.ID.String())
		sheet.say("\nNext: connect its identity provider.\n")
		sheet.say("  postern connection create okta --workspace %s --name Okta --public-url https://postern.example.com", made.Slug)
	})
}

// flag names the flag an error is about, where the error names something else.
func flag(name string, err error) error {
	classified := *core.AsError(err)
	classified.Field = name
	return &classified
}
