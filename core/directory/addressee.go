package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Addressee is a person by every name others may know them by. Those who were deleted are known too.
type Addressee struct {
	ID         core.ID    `db:"id"`
	UserName   string     `db:"user_name"`
	Email      string     `db:"email"`
	ExternalID string     `db:"external_id"`
	Issuers    []string   `db:"issuers"`  // of the identity providers that know them, the latest link first
	Subjects   []string   `db:"subjects"` // what each of them calls the person
	Deleted    *time.Time `db:"deleted"`
}

const selectAddressees = `
select u.id, u.user_name, u.email, u.external_id, u.deleted,
	coalesce(array_agg(i.issuer order by i.created desc, i.issuer) filter (where i.issuer is not null), '{}') as issuers,
	coalesce(array_agg(i.subject order by i.created desc, i.issuer) filter (where i.issuer is not null), '{}') as subjects
from users u left join identities i on i.workspace_id = u.workspace_id and i.user_id = u.id
where u.workspace_id = @workspace and u.id = any(@ids::uuid[])
group by u.workspace_id, u.id`

// Addressees finds people of a workspace by their ids. Who is not there is not in the answer.
func (d *Directory) Addressees(ctx context.Context, q postgres.Querier, workspace core.ID, ids []core.ID) (map[core.ID]Addressee, error) {
	rows, err := q.Query(ctx, selectAddressees, pgx.StrictNamedArgs{"workspace": workspace, "ids": ids})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Addressee])
	if err != nil {
		return nil, postgres.Classify(err)
	}
	people := make(map[core.ID]Addressee, len(found))
	for _, one := range found {
		people[one.ID] = one
	}
	return people, nil
}
