package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// A connection's counts are spread over 64 rows. Each command writes to one that no other wants at the
// same time: count_slot() finds it.
const selectCounts = `
select coalesce(sum(users), 0)::bigint, coalesce(sum(active), 0)::bigint, coalesce(sum(teams), 0)::bigint
from directory_counts where workspace_id = @workspace and connection_id = @connection`

// CountUsers is how many users a connection has, and how many of them are active. It costs the same
// however many they are: the counts are kept by the statements that change them.
func (d *Directory) CountUsers(ctx context.Context, q postgres.Querier, workspace, connection core.ID) (total, active int, err error) {
	total, active, _, err = d.counts(ctx, q, workspace, connection)
	return total, active, err
}

// CountTeams is how many teams a connection has, at the same price.
func (d *Directory) CountTeams(ctx context.Context, q postgres.Querier, workspace, connection core.ID) (int, error) {
	_, _, teams, err := d.counts(ctx, q, workspace, connection)
	return teams, err
}

func (d *Directory) counts(ctx context.Context, q postgres.Querier, workspace, connection core.ID) (users, active, teams int, err error) {
	err = q.QueryRow(ctx, selectCounts, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}).Scan(&users, &active, &teams)
	return users, active, teams, postgres.Classify(err)
}

const deleteCounts = `delete from directory_counts where workspace_id = @workspace and connection_id = @connection`

const insertCounts = `
insert into directory_counts (workspace_id, connection_id, slot, users, active, teams)
select @workspace::uuid, @connection::uuid, 0,
       (select count(*) from users where workspace_id = @workspace and connection_id = @connection and deleted is null),
       (select count(*) from users where workspace_id = @workspace and connection_id = @connection and deleted is null and active),
       (select count(*) from teams where workspace_id = @workspace and connection_id = @connection and deleted is null)`

// Recount counts a connection's users and teams anew. Only somebody who wrote them by other means than
// this package needs it, and nobody else may be writing them meanwhile.
func (d *Directory) Recount(ctx context.Context, tx pgx.Tx, workspace, connection core.ID) error {
	args := pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}
	if _, err := tx.Exec(ctx, deleteCounts, args); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertCounts, args)
	return err
}
