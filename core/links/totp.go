package links

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/seal"
)

// passToken begins what one-time codes of the account are asked with.
const passToken = "pst_view"

const selectPass = `
select id, recipient, coded from link_views
where workspace_id = @workspace and link_id = @link and pass = @pass`

const updateCoded = `update link_views set coded = @until where workspace_id = @workspace and id = @id`

// Code gives the account's one-time code of this moment to somebody who was given its password by a link, as long as that
// is good: pass is what they were given with it. That they have it has committed before it is returned. NotFound (code
// "no_link") when the link has ended, or no view of it has this pass.
func (l *Links) Code(ctx context.Context, origin core.Origin, token, pass seal.Secret) (accounts.Code, error) {
	if !tokenOf(token, linkToken) || !tokenOf(pass, passToken) {
		return accounts.Code{}, noLink()
	}
	var given accounts.Code
	err := l.change(ctx, func(tx pgx.Tx) error {
		link, err := postgres.One[Link](ctx, tx, "link", lockLink, pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal())})
		if err != nil {
			return err
		}
		if link.State(l.now()) == Ended {
			return noLink()
		}
		view, err := postgres.One[struct {
			ID        core.ID    `db:"id"`
			Recipient string     `db:"recipient"`
			Coded     *time.Time `db:"coded"`
		}](ctx, tx, "view", selectPass, pgx.StrictNamedArgs{"workspace": link.Workspace, "link": link.ID, "pass": seal.HashToken(pass.Reveal())})
		if err != nil {
			return err
		}
		if given, err = l.Accounts.ShowCode(ctx, tx, link.Workspace, link.Account, link.outsider(origin, view.Recipient), view.Coded); err != nil {
			return notNow(err)
		}
		_, err = tx.Exec(ctx, updateCoded, pgx.StrictNamedArgs{"workspace": link.Workspace, "id": view.ID, "until": given.Until})
		return postgres.Classify(err)
	})
	if core.KindOf(err) == core.KindNotFound {
		return accounts.Code{}, noLink()
	}
	if err != nil {
		return accounts.Code{}, err
	}
	return given, nil
}
