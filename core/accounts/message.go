package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// levelMessage is the level of an exposure of what a message says.
const levelMessage = "message"

// MayFill lets a user have what Fill gives, asked for by themselves or by whom Postern trusts, and keeps it so until the
// transaction ends. Unlike Fill it lets them have it of a closed account.
func (a *Accounts) MayFill(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, account core.ID) (Account, error) {
	if err := a.authorizeUse(ctx, tx, cause, workspace, user, account, false); err != nil {
		return Account{}, err
	}
	return a.Account(ctx, tx, workspace, account)
}

// RecordRead puts on record that a user, whom MayFill let, is shown one of the account's messages.
func (a *Accounts) RecordRead(ctx context.Context, tx pgx.Tx, workspace, user, account core.ID, number int) error {
	_, err := tx.Exec(ctx, insertExposure, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": workspace, "account": account, "user": user, "version": number, "level": levelMessage, "seen": a.now(),
	})
	return postgres.Classify(err)
}
