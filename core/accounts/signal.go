package accounts

import (
	"github.com/jackc/pgx/v5"

	"postern/core"
)

// QueueExposed is Exposed as part of what is sent to the database together.
func (a *Accounts) QueueExposed(batch *pgx.Batch, workspace, user core.ID, exposed *[]Exposed) {
	batch.Queue(selectExposed, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "since": a.now()}).Query(func(rows pgx.Rows) error {
		*exposed = nil
		var found Exposed
		_, err := pgx.ForEachRow(rows, []any{
			&found.Account, &found.AppName, &found.Username, &found.Saw, &found.SawVersionCurrent, &found.Direct,
		}, func() error {
			*exposed = append(*exposed, found)
			return nil
		})
		return err
	})
}
