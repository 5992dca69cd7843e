package cli

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

type tagAccount struct {
	inWorkspace `embed:""`
	Account     string   `arg:"" help:"Id of the account."`
	Tags        []string `arg:"" optional:"" help:"Its tags from now on; none when left out."`
}

func (c tagAccount) Run(ctx context.Context, terminal terminal) error {
	account, err := core.ParseID(c.Account)
	if err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var tagged accounts.Account
	err = s.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		tagged, err = s.policies().Accounts.SetTags(ctx, tx, s.cause, s.workspace.ID, account, c.Tags)
		return err
	})
	if err != nil {
		return err
	}
	return c.show(terminal, map[string]any{"account": tagged.ID, "tags": tagged.Tags}, func(sheet sheet) {
		sheet.say("%s is tagged: %s", tagged.Name(), strings.Join(tagged.Tags, ", "))
	})
}
