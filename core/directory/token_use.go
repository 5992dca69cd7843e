package directory

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// Ids whose tokens have expired go in passing, a few at a time, oldest first. The token itself is
// refused by then.
const insertTokenUse = `
with gone as (
	delete from signed_token_uses where (connection_id, token_id) in (
		select connection_id, token_id from signed_token_uses
		where connection_id = @connection and expires < @now and token_id <> @token
		order by expires limit 8 for update skip locked))
insert into signed_token_uses (connection_id, token_id, body_hash, status, expires)
values (@connection, @token, @body, @status, @expires)
on conflict (connection_id, token_id) do nothing`

const selectTokenUse = `select body_hash, status from signed_token_uses where connection_id = @connection and token_id = @token`

// UseTokenID uses up the id (jti) of a connection's signed token, together with the hash of the body
// it came with and the status it is answered with. Coming again with the same body is a replay, and
// firstStatus is what the first one was answered; with another body it is Unauthenticated. expires is
// until when the token would be accepted. Two at once: one is first, the other waits for it.
func (d *Directory) UseTokenID(ctx context.Context, tx pgx.Tx, connection core.ID, tokenID string, bodyHash []byte, status int, expires time.Time) (firstStatus int, replay bool, err error) {
	if err := present("jti", tokenID); err != nil {
		return 0, false, err
	}
	done, err := tx.Exec(ctx, insertTokenUse, pgx.StrictNamedArgs{
		"connection": connection, "token": tokenID, "body": bodyHash, "status": status, "expires": expires, "now": d.now(),
	})
	if err != nil {
		return 0, false, err
	}
	if done.RowsAffected() == 1 {
		return status, false, nil
	}
	var body []byte
	err = tx.QueryRow(ctx, selectTokenUse, pgx.StrictNamedArgs{"connection": connection, "token": tokenID}).Scan(&body, &firstStatus)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, core.Unauthenticated("the token has expired")
	}
	if err != nil {
		return 0, false, err
	}
	if !bytes.Equal(body, bodyHash) {
		return 0, false, core.Unauthenticated("the token was used before, for another request")
	}
	return firstStatus, true, nil
}
