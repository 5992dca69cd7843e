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

// A candidate is a TOTP secret that an app has shown and that nobody knows to be in force yet: it is stored before the app
// is given its first code. None is ever removed.

const insertTOTPCandidate = `
insert into account_totps as t (workspace_id, account_id, version, stored, removed, candidate)
values (@workspace, @account, 0, @now, @now, 1)
on conflict (workspace_id, account_id) do update set candidate = greatest(t.version, t.candidate) + 1
where t.removed is not null
returning t.candidate`

// AddTOTPCandidate stores what an app shows as the secret of an account's one-time codes (an otpauth:// address, or
// base32), and returns its version. Nobody is given codes of it. Conflict, code totp_stored, if codes are made for the
// account already; Invalid if none can be made of the secret.
func (a *Accounts) AddTOTPCandidate(ctx context.Context, tx pgx.Tx, workspace, account core.ID, shown seal.Secret) (version int, err error) {
	kept, err := readTOTP(shown)
	if err != nil {
		return 0, err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, insertTOTPCandidate, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": a.now()}).Scan(&version)
	if core.KindOf(postgres.Classify(err)) == core.KindNotFound {
		return 0, hasTOTP()
	} else if err != nil {
		return 0, postgres.Classify(err)
	}
	return version, a.Vault.Put(ctx, tx, workspace, found.Vault, account, totpField, version, kept)
}

func hasTOTP() error {
	return core.Conflict("", "one-time codes are made for this account already: its owner can remove their secret first").WithCode("totp_stored")
}

const lockCandidate = `
select @version::integer as version, stored, given, spent from account_totps
where workspace_id = @workspace and account_id = @account and @version <= candidate for no key update`

// SpendCandidateCode is SpendCode of a candidate.
func (a *Accounts) SpendCandidateCode(ctx context.Context, workspace, account core.ID, version int) (code seal.Secret, wait time.Duration, err error) {
	return a.spend(ctx, lockCandidate, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "version": version})
}

const promoteTOTP = `
update account_totps set version = @version, candidate = greatest(version, candidate), stored = @now, removed = null
where workspace_id = @workspace and account_id = @account and @version <= candidate and removed is not null
returning version, stored, given, spent`

// PromoteTOTP has the account's codes made of a candidate from now on, since the app has taken one of it. Conflict, code
// totp_stored, if they are made of another secret.
func (a *Accounts) PromoteTOTP(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, version int) error {
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	stored, err := postgres.One[TOTP](ctx, tx, "TOTP secret", promoteTOTP, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "version": version, "now": a.now()})
	if core.KindOf(err) == core.KindNotFound {
		return hasTOTP()
	} else if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.AccountTOTPStored, workspace, cause, stored.Stored, found.Target()).
		With("version", strconv.Itoa(stored.Version)).With("enrolled", "true"))
}
