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

// Outsider is somebody without a user who is given an account's password by a link.
type Outsider struct {
	Link      core.ID
	Owner     core.ID     // in whose name: an owner of the account
	Recipient string      // their e-mail address
	Level     string      // filled or revealed
	Origin    core.Origin // where they are
}

// MayLink lets a user give an account's password to outsiders, asked for by themselves or by whom Postern trusts: whoever
// may see it. Everybody else is Denied, with the code of the rule.
func (a *Accounts) MayLink(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, account core.ID) error {
	return a.authorizeUse(ctx, tx, cause, workspace, user, account, true)
}

const insertOutsiderExposure = `
insert into exposures (id, workspace_id, account_id, link_id, recipient, version, level, seen)
values (@id, @workspace, @account, @link, @recipient, @version, @level, @seen)`

// showable is an account that an owner may show to outsiders now. A closed account refuses (see Account.Closed).
func (a *Accounts) showable(ctx context.Context, tx pgx.Tx, workspace, account, owner core.ID) (Account, error) {
	held, err := a.mayUse(ctx, tx, lockMayUse, workspace, owner, account)
	if err == nil {
		err = held.owns("whoever made the link does not own the account any more")
	}
	if err != nil {
		return Account{}, err
	}
	standing, err := a.Directory.Standing(ctx, tx, workspace, owner)
	if err == nil {
		err = standing.Refusal(false, core.NewCause(core.System, a.now()))
	}
	if err != nil {
		return Account{}, err
	}
	found, err := a.Account(ctx, tx, workspace, account)
	if err != nil {
		return Account{}, err
	}
	if closed := found.Closed(); closed != nil {
		return Account{}, closed
	}
	return found, nil
}

func (a *Accounts) exposeOutside(ctx context.Context, tx pgx.Tx, workspace, account core.ID, to Outsider, version int, level string) error {
	_, err := tx.Exec(ctx, insertOutsiderExposure, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": workspace, "account": account, "link": to.Link, "recipient": to.Recipient,
		"version": version, "level": level, "seen": a.now(),
	})
	return postgres.Classify(err)
}

// Show gives an account's current password to an outsider as long as the owner in whose name it is done may see it
// themselves; the exposure commits with tx, and tx before anybody is shown anything. A closed account refuses (see
// Account.Closed).
func (a *Accounts) Show(ctx context.Context, tx pgx.Tx, workspace, account core.ID, to Outsider) (shown Account, password seal.Secret, version int, err error) {
	if shown, err = a.showable(ctx, tx, workspace, account, to.Owner); err != nil {
		return Account{}, seal.Secret{}, 0, err
	}
	if version, err = a.current(ctx, tx, workspace, account); err != nil {
		return Account{}, seal.Secret{}, 0, err
	}
	if password, err = a.Password(ctx, tx, workspace, account, version); err != nil {
		return Account{}, seal.Secret{}, 0, err
	}
	if err := a.exposeOutside(ctx, tx, workspace, account, to, version, to.Level); err != nil {
		return Account{}, seal.Secret{}, 0, err
	}
	if a.Used != nil {
		err = a.Used(ctx, tx, workspace, account)
	}
	return shown, password, version, err
}

// ShowCode gives an account's one-time code of this moment to an outsider, by the rules of Show. One that they were given
// already, whose step ends at until, is on record. NotFound when no codes are made for the account.
func (a *Accounts) ShowCode(ctx context.Context, tx pgx.Tx, workspace, account core.ID, to Outsider, until *time.Time) (Code, error) {
	found, err := a.showable(ctx, tx, workspace, account, to.Owner)
	if err != nil {
		return Code{}, err
	}
	given, version, err := a.giveCode(ctx, tx, workspace, account)
	if err != nil || until != nil && given.From.Before(*until) {
		return given, err
	}
	if err := a.exposeOutside(ctx, tx, workspace, account, to, version, levelCode); err != nil {
		return Code{}, err
	}
	cause := core.NewCause(core.Actor{Kind: core.ActorRecipient, Name: to.Recipient}, a.now())
	cause.Origin = to.Origin
	return given, audit.Append(ctx, tx, core.NewEvent(core.AccountCodeGiven, workspace, cause, a.now(), found.Target()).
		With("version", strconv.Itoa(version)).With("recipient", to.Recipient))
}
