package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// passwordField is the vault item's field an account's password is kept in.
const passwordField = "password"

// Where a version came from.
const (
	OriginImported  = "imported"  // given to us; the app had it already
	OriginCandidate = "candidate" // made by us for a rotation
)

// The labels. At most one version of an account has each; they move, the versions stay.
const (
	LabelCandidate = "candidate" // to become current; the app may or may not have it
	LabelCurrent   = "current"   // what is used
	LabelPrevious  = "previous"  // what was used before
)

// Version is one password an account has had, or may get. Its value is in the vault.
type Version struct {
	Version int        `db:"version"`
	Origin  string     `db:"origin"`
	Label   string     `db:"label"` // empty: history
	Created time.Time  `db:"created"`
	Proven  *time.Time `db:"proven"`  // last time the app accepted it
	Refused *time.Time `db:"refused"` // last time the app refused it
}

const selectVersions = `
select version, origin, coalesce(label, '') as label, created, proven, refused
from credential_versions
where workspace_id = @workspace and account_id = @account and field = @field
order by version desc`

// Versions lists an account's passwords without their values, newest first.
func (a *Accounts) Versions(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Version, error) {
	return postgres.Many[Version](ctx, q, selectVersions, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "field": passwordField})
}

const selectCurrent = `
select version from credential_versions
where workspace_id = @workspace and account_id = @account and field = @field and label = 'current'`

func (a *Accounts) current(ctx context.Context, q postgres.Querier, workspace, account core.ID) (int, error) {
	var version int
	err := q.QueryRow(ctx, selectCurrent, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "field": passwordField}).Scan(&version)
	return version, postgres.Classify(err)
}

// Password opens one version. It asks nobody's leave and leaves no trace: it is for rotations, whose
// steps are on record themselves. People go through Reveal and Fill.
func (a *Accounts) Password(ctx context.Context, q postgres.Querier, workspace, account core.ID, version int) (seal.Secret, error) {
	return a.Vault.Open(ctx, q, workspace, account, passwordField, version)
}

const selectNextVersion = `
select coalesce(max(version), 0) + 1 from credential_versions
where workspace_id = @workspace and account_id = @account and field = @field`

// What is not to be used any more can be told nothing of.
const unlabel = `
update credential_versions set label = null, fingerprint = null, fingerprint_epoch = null, strength = null
where workspace_id = @workspace and account_id = @account and field = @field and label = @label`

const insertVersion = `
insert into credential_versions (workspace_id, account_id, field, version, origin, label, created, fingerprint, fingerprint_epoch, strength)
values (@workspace, @account, @field, @version, @origin, @label, @created, @fingerprint, @epoch, @strength)`

// AddCandidate stores a new password before any app sees it, labels it candidate and returns its
// version. An earlier candidate loses the label and stays in the history.
func (a *Accounts) AddCandidate(ctx context.Context, tx pgx.Tx, workspace, account core.ID, password seal.Secret) (int, error) {
	return a.add(ctx, tx, workspace, account, OriginCandidate, password)
}

// AddGiven is AddCandidate of a password that whoever acts says the app has already. They are on record as knowing it.
func (a *Accounts) AddGiven(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, password seal.Secret) (int, error) {
	version, err := a.add(ctx, tx, workspace, account, OriginImported, password)
	if err != nil {
		return 0, err
	}
	return version, a.recordEntered(ctx, tx, workspace, account, cause.Actor.ID, version, levelEntered)
}

func (a *Accounts) add(ctx context.Context, tx pgx.Tx, workspace, account core.ID, origin string, password seal.Secret) (int, error) {
	if err := checkPassword("password", password); err != nil {
		return 0, err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return 0, err
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account, "field": passwordField}
	var version int
	if err := tx.QueryRow(ctx, selectNextVersion, args).Scan(&version); err != nil {
		return 0, postgres.Classify(err)
	}
	args["label"] = LabelCandidate
	if _, err := tx.Exec(ctx, unlabel, args); err != nil {
		return 0, postgres.Classify(err)
	}
	return version, a.store(ctx, tx, found, version, origin, LabelCandidate, password)
}

// store seals a password as a new version with a label nobody has, and keeps beside it what Judge would.
func (a *Accounts) store(ctx context.Context, tx pgx.Tx, account Account, version int, origin, label string, password seal.Secret) error {
	made, err := a.judge(ctx, tx, account, origin, password)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertVersion, pgx.StrictNamedArgs{
		"workspace": account.Workspace, "account": account.ID, "field": passwordField, "version": version,
		"origin": origin, "label": label, "created": a.now(), "fingerprint": made.fingerprint, "epoch": made.epoch, "strength": made.strength,
	}); err != nil {
		return postgres.Classify(err)
	}
	return a.Vault.Put(ctx, tx, account.Workspace, account.Vault, account.ID, passwordField, version, password)
}

const selectLabel = `
select coalesce(label, '') from credential_versions
where workspace_id = @workspace and account_id = @account and field = @field and version = @version`

const relabel = `
update credential_versions set label = @label
where workspace_id = @workspace and account_id = @account and field = @field and version = @version`

const currentToPrevious = `
update credential_versions set label = 'previous', fingerprint = null, fingerprint_epoch = null, strength = null
where workspace_id = @workspace and account_id = @account and field = @field and label = 'current'`

const updatePromoted = `
update accounts a set
	validated = greatest(a.validated, v.proven),
	rotated = case when @rotated and v.origin = 'candidate' then @now else a.rotated end
from credential_versions v
where a.workspace_id = @workspace and a.id = @account
	and v.workspace_id = a.workspace_id and v.account_id = a.id and v.field = @field and v.version = @version`

// Promote makes a version the current one: the candidate after the app accepted it, or a password
// from the history that turned out to be the one the app has. What was current becomes previous.
// Promoting the current version changes nothing.
func (a *Accounts) Promote(ctx context.Context, tx pgx.Tx, workspace, account core.ID, version int) error {
	if _, err := a.lock(ctx, tx, workspace, account); err != nil {
		return err
	}
	key := func(more pgx.StrictNamedArgs) pgx.StrictNamedArgs {
		args := pgx.StrictNamedArgs{"workspace": workspace, "account": account, "field": passwordField}
		for name, value := range more {
			args[name] = value
		}
		return args
	}
	var label string
	err := tx.QueryRow(ctx, selectLabel, key(pgx.StrictNamedArgs{"version": version})).Scan(&label)
	if errors.Is(err, pgx.ErrNoRows) {
		return core.NotFound("version of the account's password")
	}
	if err != nil {
		return postgres.Classify(err)
	}
	if label == LabelCurrent {
		return nil
	}
	batch := &pgx.Batch{}
	batch.Queue(unlabel, key(pgx.StrictNamedArgs{"label": LabelPrevious}))
	batch.Queue(currentToPrevious, key(nil))
	batch.Queue(relabel, key(pgx.StrictNamedArgs{"version": version, "label": LabelCurrent}))
	batch.Queue(updatePromoted, key(pgx.StrictNamedArgs{"version": version, "rotated": label == LabelCandidate, "now": a.now()}))
	return postgres.Classify(tx.SendBatch(ctx, batch).Close())
}

const markProven = `
with marked as (
	update credential_versions set proven = greatest(proven, @at)
	where workspace_id = @workspace and account_id = @account and field = @field and version = @version
	returning workspace_id, account_id, label
), validated as (
	update accounts a set validated = greatest(a.validated, @at) from marked m
	where a.workspace_id = m.workspace_id and a.id = m.account_id and m.label = 'current'
)
select count(*) from marked`

const markRefused = `
with marked as (
	update credential_versions set refused = greatest(refused, @at)
	where workspace_id = @workspace and account_id = @account and field = @field and version = @version
	returning version
)
select count(*) from marked`

// MarkProven records that the app accepted a version at a time.
func (a *Accounts) MarkProven(ctx context.Context, tx pgx.Tx, workspace, account core.ID, version int, at time.Time) error {
	return a.mark(ctx, tx, markProven, workspace, account, version, at)
}

// MarkRefused records that the app refused a version at a time.
func (a *Accounts) MarkRefused(ctx context.Context, tx pgx.Tx, workspace, account core.ID, version int, at time.Time) error {
	return a.mark(ctx, tx, markRefused, workspace, account, version, at)
}

func (a *Accounts) mark(ctx context.Context, tx pgx.Tx, query string, workspace, account core.ID, version int, at time.Time) error {
	var marked int
	err := tx.QueryRow(ctx, query, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "field": passwordField, "version": version, "at": at,
	}).Scan(&marked)
	if err != nil {
		return postgres.Classify(err)
	}
	if marked == 0 {
		return core.NotFound("version of the account's password")
	}
	return nil
}
