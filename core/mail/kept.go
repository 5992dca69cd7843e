package mail

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// Kept is a mail that was not sent but can be read here.
type Kept struct {
	ID      core.ID   `db:"id"`
	To      string    `db:"recipient"`
	Subject string    `db:"subject"`
	Queued  time.Time `db:"queued"`
}

const selectKept = `
select id, recipient, subject, queued from mails
where workspace_id = @workspace and state = 'kept' and not decoy
order by id desc limit @limit`

// Kept lists the latest mails of a workspace that were kept, latest first.
func (m *Mail) Kept(ctx context.Context, q postgres.Querier, workspace core.ID, limit int) ([]Kept, error) {
	rows, err := q.Query(ctx, selectKept, pgx.StrictNamedArgs{"workspace": workspace, "limit": min(max(limit, 1), 200)})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Kept])
	return found, postgres.Classify(err)
}

const selectText = `select sealed from mails where workspace_id = @workspace and id = @id and state = 'kept' and not decoy`

// Text opens a kept mail. Where mails are sent there is none to open: NotFound.
func (m *Mail) Text(ctx context.Context, q postgres.Querier, workspace, mail core.ID) (seal.Secret, error) {
	if !m.Keep {
		return seal.Secret{}, core.NotFound("mail")
	}
	var sealed []byte
	err := q.QueryRow(ctx, selectText, pgx.StrictNamedArgs{"workspace": workspace, "id": mail}).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, core.NotFound("mail")
	}
	if err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	return m.open(ctx, q, workspace, mail, sealed)
}
