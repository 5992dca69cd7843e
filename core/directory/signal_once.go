package directory

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
)

// QueueTokenUse is UseTokenID as part of what is sent to the database together. first tells whether the token
// had not come before; if it had, UseTokenID says what it was answered.
func (d *Directory) QueueTokenUse(batch *pgx.Batch, connection core.ID, tokenID string, bodyHash []byte, status int, expires time.Time, first *bool) error {
	if err := present("jti", tokenID); err != nil {
		return err
	}
	batch.Queue(insertTokenUse, pgx.StrictNamedArgs{
		"connection": connection, "token": tokenID, "body": bodyHash, "status": status, "expires": expires, "now": d.now(),
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
