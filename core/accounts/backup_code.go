package accounts

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// backupField is the vault item's field an account's backup codes are kept in, one version each.
const backupField = "backup_code"

const (
	maxBackupCodes = 100
	maxBackupCode  = 100
)

// BackupCodes says how many codes are left of the list an app gave out for when its second factor is lost.
type BackupCodes struct {
	Stored time.Time `db:"stored"`
	Total  int       `db:"total"`
	Left   int       `db:"left"`
}

const selectBackupCodes = `
select max(stored) as stored, count(*) as total, count(*) filter (where given is null) as left from account_backup_codes
where workspace_id = @workspace and account_id = @account
	and list = (select max(list) from account_backup_codes where workspace_id = @workspace and account_id = @account)
having count(*) > 0`

// BackupCodes counts an account's backup codes: NotFound if none are stored. Like TOTP it asks nobody's leave.
func (a *Accounts) BackupCodes(ctx context.Context, q postgres.Querier, workspace, account core.ID) (BackupCodes, error) {
	return postgres.One[BackupCodes](ctx, q, "backup codes of this account", selectBackupCodes, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

// SetBackupCodes stores the codes an app gave out. They take the place of earlier ones, which apps forget when they make new
// ones. Those who may SetTOTP may.
func (a *Accounts) SetBackupCodes(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, codes []seal.Secret) (BackupCodes, error) {
	if err := a.Manager(ctx, tx, cause, workspace, account); err != nil {
		return BackupCodes{}, err
	}
	stored, list, err := a.keepBackupCodes(ctx, tx, cause, workspace, account, codes)
	if err != nil {
		return BackupCodes{}, err
	}
	return stored, a.recordEntered(ctx, tx, workspace, account, cause.Actor.ID, list, levelBackupEntered)
}

const lastBackupCode = `select coalesce(max(number), 0) from account_backup_codes where workspace_id = @workspace and account_id = @account`

const insertBackupCode = `
insert into account_backup_codes (workspace_id, account_id, number, list, stored) values (@workspace, @account, @number, @list, @now)`

// KeepBackupCodes is SetBackupCodes of what an app showed to Postern itself, and asks nobody's leave.
func (a *Accounts) KeepBackupCodes(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, codes []seal.Secret) (BackupCodes, error) {
	stored, _, err := a.keepBackupCodes(ctx, tx, cause, workspace, account, codes)
	return stored, err
}

// keepBackupCodes also returns the number of the list.
func (a *Accounts) keepBackupCodes(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, codes []seal.Secret) (BackupCodes, int, error) {
	codes, err := readBackupCodes(codes)
	if err != nil {
		return BackupCodes{}, 0, err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return BackupCodes{}, 0, err
	}
	last, now := 0, a.now()
	if err := tx.QueryRow(ctx, lastBackupCode, pgx.StrictNamedArgs{"workspace": workspace, "account": account}).Scan(&last); err != nil {
		return BackupCodes{}, 0, postgres.Classify(err)
	}
	for i, code := range codes {
		if _, err := tx.Exec(ctx, insertBackupCode, pgx.StrictNamedArgs{
			"workspace": workspace, "account": account, "number": last + 1 + i, "list": last + 1, "now": now,
		}); err != nil {
			return BackupCodes{}, 0, postgres.Classify(err)
		}
		if err := a.Vault.Put(ctx, tx, workspace, found.Vault, account, backupField, last+1+i, code); err != nil {
			return BackupCodes{}, 0, err
		}
	}
	return BackupCodes{Stored: now, Total: len(codes), Left: len(codes)}, last + 1, audit.Append(ctx, tx, core.NewEvent(core.AccountBackupCodesStored, workspace, cause, now, found.Target()).
		With("codes", strconv.Itoa(len(codes))))
}

// readBackupCodes gives codes as they are kept, each once. What is wrong with them is said without any of them.
func readBackupCodes(given []seal.Secret) ([]seal.Secret, error) {
	var texts []string
	for _, one := range given {
		text := strings.TrimSpace(one.Reveal())
		switch {
		case text == "" || slices.Contains(texts, text):
			continue
		case len(text) > maxBackupCode || core.Cut(text, len(text)) != text || strings.ContainsAny(text, "\r\n\t"):
			return nil, core.Invalid("codes", "a backup code is one line of at most %d bytes", maxBackupCode)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 || len(texts) > maxBackupCodes {
		return nil, core.Invalid("codes", "give between 1 and %d backup codes", maxBackupCodes)
	}
	codes := make([]seal.Secret, len(texts))
	for i, text := range texts {
		codes[i] = seal.NewSecret(text)
	}
	return codes, nil
}

// levelBackupCode is the level of an exposure to one backup code.
const levelBackupCode = "backup_code"

// BackupCode is one that somebody was given.
type BackupCode struct {
	Code seal.Secret
	Left int // of the list, after it
}

const takeBackupCode = `
update account_backup_codes set given = @now, given_to = @user
where workspace_id = @workspace and account_id = @account and number = (
	select number from account_backup_codes
	where workspace_id = @workspace and account_id = @account and given is null
		and list = (select max(list) from account_backup_codes where workspace_id = @workspace and account_id = @account)
	order by number limit 1)
returning number`

// UseBackupCode gives an account's next backup code to somebody the account is shared with, as Code gives a one-time code: on
// record before it is returned, and to nobody again. NotFound if none are stored; Conflict, code backup_codes_used, if none
// are left.
func (a *Accounts) UseBackupCode(ctx context.Context, cause core.Cause, workspace, user, account core.ID) (BackupCode, error) {
	var given BackupCode
	err := a.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := a.authorizeUse(ctx, tx, cause, workspace, user, account, false); err != nil {
			return err
		}
		found, err := a.lock(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		if closed := found.Closed(); closed != nil {
			return closed
		}
		left, err := a.BackupCodes(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		if left.Left == 0 {
			return core.Conflict("", "all backup codes of this account are used: have the app make new ones and store them here").WithCode("backup_codes_used")
		}
		now, number := a.now(), 0
		if err := tx.QueryRow(ctx, takeBackupCode, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "user": user, "now": now}).Scan(&number); err != nil {
			return postgres.Classify(err)
		}
		code, err := a.Vault.Open(ctx, tx, workspace, account, backupField, number)
		if err != nil {
			return err
		}
		who, err := a.Directory.User(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		given = BackupCode{Code: code, Left: left.Left - 1}
		if _, err := tx.Exec(ctx, insertExposure, pgx.StrictNamedArgs{
			"id": core.NewID(), "workspace": workspace, "account": account, "user": user, "version": number, "level": levelBackupCode, "seen": now,
		}); err != nil {
			return postgres.Classify(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.AccountBackupCodeGiven, workspace, cause, now, found.Target(), who.Target()).
			With("number", strconv.Itoa(number)).With("left", strconv.Itoa(given.Left)))
	})
	if err != nil {
		return BackupCode{}, err
	}
	return given, nil
}
