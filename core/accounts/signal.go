package accounts

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// selectMeantExposed is selectExposed of everybody a signal means.
var selectMeantExposed = `
select meant.id, e.account_id, e.app_name, e.username, e.saw, e.saw_current, e.could, e.direct
from ` + directory.MeantUsers + ` meant cross join lateral (` + strings.ReplaceAll(selectExposed, "@user", "meant.id") + `) e
order by e.saw_current desc, e.saw desc, e.account_id`

// MeantHasAnything asks, of one of directory.MeantUsers called meant, whether there may be anything QueueMeantExposed
// would find.
const MeantHasAnything = `(exists (select from grants g where g.workspace_id = @workspace and g.user_id = meant.id)
	or exists (select from team_members m where m.workspace_id = @workspace and m.user_id = meant.id)
	or exists (select from exposures e where e.workspace_id = @workspace and e.user_id = meant.id))`

// QueueMeantExposed is Exposed of whom directory.QueueLockMeant locked before it in the same transaction.
func (a *Accounts) QueueMeantExposed(batch *pgx.Batch, workspace core.ID, exposed *map[core.ID][]Exposed) {
	batch.Queue(selectMeantExposed, pgx.StrictNamedArgs{"workspace": workspace, "since": a.now()}).Query(func(rows pgx.Rows) error {
		*exposed = map[core.ID][]Exposed{}
		var user core.ID
		var found Exposed
		_, err := pgx.ForEachRow(rows, []any{
			&user, &found.Account, &found.AppName, &found.Username, &found.Saw, &found.SawVersionCurrent, &found.Could, &found.Direct,
		}, func() error {
			(*exposed)[user] = append((*exposed)[user], found)
			return nil
		})
		return err
	})
}
