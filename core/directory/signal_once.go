package directory

import (
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
)

const insertUse = `
insert into signed_token_uses (connection_id, token_id, body_hash, status, expires)
values (@connection, @token, @body, @status, @expires)
on conflict (connection_id, token_id) do nothing`

// What has expired is looked for along its index alone, whatever the statistics say.
const deleteUses = `
delete from signed_token_uses where ctid = any(array(
	select ctid from signed_token_uses
	where connection_id = @connection and expires < @now and token_id <> @token
	order by connection_id, expires limit @limit for update skip locked))`

// Of so many uses one takes expired ones with it, twice as many as came in the meantime.
const sweepEvery = 64

// QueueSweepUses forgets, now and then, uses of a connection's tokens that have expired.
func (d *Directory) QueueSweepUses(batch *pgx.Batch, connection core.ID, tokenID string) {
	if rand.IntN(sweepEvery) == 0 {
		batch.Queue(deleteUses, pgx.StrictNamedArgs{"connection": connection, "token": tokenID, "now": d.now(), "limit": 2 * sweepEvery})
	}
}

// QueueTokenUse is UseTokenID as part of what is sent to the database together. first tells whether the token
// had not come before; if it had, UseTokenID says what it was answered.
func (d *Directory) QueueTokenUse(batch *pgx.Batch, connection core.ID, tokenID string, bodyHash []byte, status int, expires time.Time, first *bool) error {
	if err := present("jti", tokenID); err != nil {
		return err
	}
	d.QueueSweepUses(batch, connection, tokenID)
	batch.Queue(insertUse, pgx.StrictNamedArgs{
		"connection": connection, "token": tokenID, "body": bodyHash, "status": status, "expires": expires,
	}).Exec(func(done pgconn.CommandTag) error {
		*first = done.RowsAffected() == 1
		return nil
	})
	return nil
}

const updateTokenUse = `update signed_token_uses set status = @status where connection_id = @connection and token_id = @token`

// QueueTokenAnswer notes that a token just used is answered otherwise than was expected.
func (d *Directory) QueueTokenAnswer(batch *pgx.Batch, connection core.ID, tokenID string, status int) {
	batch.Queue(updateTokenUse, pgx.StrictNamedArgs{"connection": connection, "token": tokenID, "status": status})
}
