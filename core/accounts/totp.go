package accounts

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// totpField is the vault item's field an account's TOTP secret is kept in.
const totpField = "totp"

// TOTP says of an account that one-time codes are made for it. The secret they are made from is never given out.
type TOTP struct {
	Version int        `db:"version"`
	Stored  time.Time  `db:"stored"`
	Given   *time.Time `db:"given"` // until when the last code was good that somebody was given
	Spent   *time.Time `db:"spent"` // and the last one that Postern itself used
}

const selectTOTP = `
select version, stored, given, spent from account_totps
where workspace_id = @workspace and account_id = @account and removed is null`

// TOTP finds out whether one-time codes are made for an account: NotFound if not.
func (a *Accounts) TOTP(ctx context.Context, q postgres.Querier, workspace, account core.ID) (TOTP, error) {
	return postgres.One[TOTP](ctx, q, "TOTP secret of this account", selectTOTP, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

const upsertTOTP = `
insert into account_totps as t (workspace_id, account_id, version, stored)
values (@workspace, @account, 1, @now)
on conflict (workspace_id, account_id) do update set version = greatest(t.version, t.candidate) + 1, stored = excluded.stored, removed = null
returning t.version, t.stored, t.given, t.spent`

// SetTOTP stores what an account's one-time codes are made from: an otpauth:// address, or a secret in base32. It takes
// the place of an earlier one. The account's owners may, administrators, service accounts and the system.
func (a *Accounts) SetTOTP(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, given seal.Secret) (TOTP, error) {
	if err := CheckTOTP(given); err != nil {
		return TOTP{}, err
	}
	if err := a.Manager(ctx, tx, cause, workspace, account); err != nil {
		return TOTP{}, err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return TOTP{}, err
	}
	return a.keepTOTP(ctx, tx, cause, found, cause.Actor.ID, given)
}

// keepTOTP stores what a locked account's one-time codes are made from, which somebody has entered.
func (a *Accounts) keepTOTP(ctx context.Context, tx pgx.Tx, cause core.Cause, of Account, by core.ID, given seal.Secret) (TOTP, error) {
	kept, err := readTOTP(given)
	if err != nil {
		return TOTP{}, err
	}
	stored, err := postgres.One[TOTP](ctx, tx, "TOTP secret", upsertTOTP, pgx.StrictNamedArgs{"workspace": of.Workspace, "account": of.ID, "now": a.now()})
	if err != nil {
		return TOTP{}, err
	}
	if err := a.Vault.Put(ctx, tx, of.Workspace, of.Vault, of.ID, totpField, stored.Version, kept); err != nil {
		return TOTP{}, err
	}
	if err := a.recordEntered(ctx, tx, of.Workspace, of.ID, by, stored.Version, levelTOTPEntered); err != nil {
		return TOTP{}, err
	}
	return stored, audit.Append(ctx, tx, core.NewEvent(core.AccountTOTPStored, of.Workspace, cause, stored.Stored, of.Target()).
		With("version", strconv.Itoa(stored.Version)))
}

const removeTOTP = `
update account_totps set removed = @now
where workspace_id = @workspace and account_id = @account and removed is null`

// RemoveTOTP has no more codes made for an account: NotFound if none were. Those who may SetTOTP may.
func (a *Accounts) RemoveTOTP(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if err := a.Manager(ctx, tx, cause, workspace, account); err != nil {
		return err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	now := a.now()
	done, err := tx.Exec(ctx, removeTOTP, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": now})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return core.NotFound("TOTP secret of this account")
	}
	return audit.Append(ctx, tx, core.NewEvent(core.AccountTOTPRemoved, workspace, cause, now, found.Target()))
}

// Code gives the account's one-time code of this moment to anybody the account is shared with, as Fill gives the
// password: the same rules, on record with its event before it is returned. Who was given a code alone does not know the
// password. NotFound when no codes are made for the account.
func (a *Accounts) Code(ctx context.Context, cause core.Cause, workspace, user, account core.ID) (Code, error) {
	var given Code
	err := a.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := a.authorizeUse(ctx, tx, cause, workspace, user, account, false); err != nil {
			return err
		}
		found, err := a.Account(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		if closed := found.Closed(); closed != nil {
			return closed
		}
		made, version, err := a.giveCode(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		now := a.now()
		if _, err := tx.Exec(ctx, insertExposure, pgx.StrictNamedArgs{
			"id": core.NewID(), "workspace": workspace, "account": account, "user": user, "version": version, "level": levelCode, "seen": now,
		}); err != nil {
			return postgres.Classify(err)
		}
		who, err := a.Directory.User(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		given = made
		return audit.Append(ctx, tx, core.NewEvent(core.AccountCodeGiven, workspace, cause, now, found.Target(), who.Target()).
			With("version", strconv.Itoa(version)))
	})
	if err != nil {
		return Code{}, err
	}
	return given, nil
}

// levelCode is the level of an exposure of a one-time code.
const levelCode = "code"

const lockTOTP = selectTOTP + ` for no key update`

const markGiven = `
update account_totps set given = greatest(given, @until)
where workspace_id = @workspace and account_id = @account`

// giveCode makes the code of this moment for a person, and notes that they have it.
func (a *Accounts) giveCode(ctx context.Context, tx pgx.Tx, workspace, account core.ID) (made Code, version int, err error) {
	found, made, err := a.makeCode(ctx, tx, lockTOTP, pgx.StrictNamedArgs{"workspace": workspace, "account": account}, a.now())
	if err != nil {
		return Code{}, 0, err
	}
	made.Spent = found.Spent != nil && made.From.Before(*found.Spent)
	_, err = tx.Exec(ctx, markGiven, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "until": made.Until})
	return made, found.Version, postgres.Classify(err)
}

// makeCode makes the code of a moment from the secret that a statement finds and locks.
func (a *Accounts) makeCode(ctx context.Context, tx pgx.Tx, lock string, of pgx.StrictNamedArgs, at time.Time) (TOTP, Code, error) {
	found, err := postgres.One[TOTP](ctx, tx, "TOTP secret of this account", lock, of)
	if err != nil {
		return TOTP{}, Code{}, err
	}
	kept, err := a.Vault.Open(ctx, tx, of["workspace"].(core.ID), of["account"].(core.ID), totpField, found.Version)
	if err != nil {
		return TOTP{}, Code{}, err
	}
	made, err := codeAt(kept, at)
	return found, made, err
}

// codeLeft is how long a code must be good still for Postern to sign in with it.
const codeLeft = 3 * time.Second

const markSpent = `
update account_totps set spent = greatest(spent, @until)
where workspace_id = @workspace and account_id = @account`

// SpendCode gives a code for Postern itself to sign in with, at most one per time step of an account and none that
// somebody was given: an app takes each once (RFC 6238 5.2). While there is none it says how long to wait before asking
// again. Like Password it asks nobody's leave: it is for rotations, whose steps are on record themselves.
func (a *Accounts) SpendCode(ctx context.Context, workspace, account core.ID) (code seal.Secret, wait time.Duration, err error) {
	return a.spend(ctx, lockTOTP, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

func (a *Accounts) spend(ctx context.Context, lock string, of pgx.StrictNamedArgs) (code seal.Secret, wait time.Duration, err error) {
	err = a.DB.Tx(ctx, func(tx pgx.Tx) error {
		code, wait = seal.Secret{}, 0
		now := a.now()
		found, made, err := a.makeCode(ctx, tx, lock, of, now)
		if err != nil {
			return err
		}
		for _, taken := range []*time.Time{found.Given, found.Spent} {
			if taken != nil && made.From.Before(*taken) {
				wait = max(wait, taken.Sub(now))
			}
		}
		if left := made.Until.Sub(now); left < codeLeft {
			wait = max(wait, left)
		}
		if wait > 0 {
			return nil
		}
		code = made.Code
		_, err = tx.Exec(ctx, markSpent, pgx.StrictNamedArgs{"workspace": of["workspace"], "account": of["account"], "until": made.Until})
		return postgres.Classify(err)
	})
	if err != nil {
		return seal.Secret{}, 0, err
	}
	return code, wait, nil
}
