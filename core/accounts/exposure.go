package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// ListedExposure is an exposure with its id, behind which a list goes on.
type ListedExposure struct {
	ID core.ID `db:"id"`
	Exposure
}

// The levels of exposures to what somebody typed in themselves: they know it as well as who was shown it.
const (
	levelEntered       = "entered"        // a password
	levelTOTPEntered   = "totp_entered"   // a TOTP secret
	levelBackupEntered = "backup_entered" // a list of backup codes
)

// PasswordLevels is, in SQL, the list of the levels of those exposures after which somebody knows a password.
const PasswordLevels = `('entered', 'filled', 'revealed')`

// Whoever is no user, such as a service account, is nobody who knows it.
const insertEntered = `
insert into exposures (id, workspace_id, account_id, user_id, version, level, seen)
select @id, @workspace, @account, u.id, @version, @level, @seen from users u where u.workspace_id = @workspace and u.id = @by`

// recordEntered puts on record that a user knows what they have just entered.
func (a *Accounts) recordEntered(ctx context.Context, tx pgx.Tx, workspace, account, by core.ID, version int, level string) error {
	_, err := tx.Exec(ctx, insertEntered, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": workspace, "account": account, "by": by, "version": version, "level": level, "seen": a.now(),
	})
	return postgres.Classify(err)
}

const selectExposuresBefore = `
select e.id, e.user_id, e.link_id, coalesce(nullif(u.display_name, ''), u.user_name, e.recipient) as name, e.version, e.level, e.seen
from exposures e left join users u on u.workspace_id = e.workspace_id and u.id = e.user_id
where e.workspace_id = @workspace and e.account_id = @account
  and (@before::uuid is null or
       (e.seen, e.id) < (select seen, id from exposures where workspace_id = @workspace and account_id = @account and id = @before))
order by e.seen desc, e.id desc
limit @limit`

// ExposuresBefore is Exposures a page at a time: the latest ones, or those behind one of them. Behind
// one that is not the account's there is nothing.
func (a *Accounts) ExposuresBefore(ctx context.Context, q postgres.Querier, workspace, account, before core.ID, limit int) ([]ListedExposure, error) {
	return postgres.Many[ListedExposure](ctx, q, selectExposuresBefore, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "before": before, "limit": min(max(limit, 1), 500),
	})
}
