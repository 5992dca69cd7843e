package accounts

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
)

// Account is one login in an app.
type Account struct {
	ID          core.ID    `db:"id"`
	Workspace   core.ID    `db:"workspace_id"`
	App         core.ID    `db:"app_id"`
	Vault       core.ID    `db:"vault_id"`
	AppName     string     `db:"app_name"`
	Username    string     `db:"username"`
	State       State      `db:"state"`
	Finding     Finding    `db:"state_finding"` // what put it there
	StateReason string     `db:"state_reason"`  // for a person
	Since       time.Time  `db:"state_since"`
	Orphaned    bool       `db:"orphaned"`  // no living owner was left when it was last looked at
	Tags        []string   `db:"tags"`      // in order, in lower case
	Validated   *time.Time `db:"validated"` // last time a sign-in proved the current password
	Rotated     *time.Time `db:"rotated"`   // last time a candidate became the current password
	Created     time.Time  `db:"created"`
	Risk        int        `db:"risk"` // 1 (least) to 5 (most): how bad it were in wrong hands; 0: as its app
	// Role is what the user asked about may do. Only Usable fills it.
	Role Role `db:"role"`
}

// Name is what a person would call the account.
func (a Account) Name() string { return a.AppName + " (" + a.Username + ")" }

// Target is the account as what something happened to.
func (a Account) Target() core.Target {
	return core.Target{Kind: "account", ID: a.ID, Name: a.Name()}
}

// NewAccount is what an account is made of.
type NewAccount struct {
	App      core.ID
	Username string
	Password seal.Secret // what the app accepts now
	Owner    core.ID     // an active user who may own accounts
	TOTP     seal.Secret // what its one-time codes are made from, as SetTOTP takes it; zero: nothing
	// EnteredBy is the user who typed the secrets in, and so knows them. Zero: whoever acts.
	EnteredBy core.ID
}

const insertAccount = `
insert into accounts (id, workspace_id, app_id, vault_id, username, created, state_since)
values (@id, @workspace, @app, @vault, @username, @created, @created)`

// CreateAccount adds a login with its present password, owned by a user. It begins unvalidated: a
// sign-in must prove the password before anything is automated. Administrators, service accounts and
// the system may add one for anybody; other users for themselves. Whoever entered the secrets is on
// record as knowing them.
func (a *Accounts) CreateAccount(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted NewAccount) (Account, error) {
	if err := checkText("username", wanted.Username, MaxUsername); err != nil {
		return Account{}, err
	}
	if err := checkPassword("password", wanted.Password); err != nil {
		return Account{}, err
	}
	if wanted.App.IsZero() {
		return Account{}, core.Invalid("app", "name the app the account is in")
	}
	if wanted.Owner.IsZero() {
		return Account{}, core.Invalid("owner", "name the user who owns the account")
	}
	if err := a.authorize(ctx, tx, cause, workspace, right{self: wanted.Owner}); err != nil {
		return Account{}, err
	}
	owner, err := a.holdSubject(ctx, tx, workspace, "owner", wanted.Owner, Owner)
	if err != nil {
		return Account{}, err
	}
	app, err := a.App(ctx, tx, workspace, wanted.App)
	if core.KindOf(err) == core.KindNotFound {
		return Account{}, core.Invalid("app", "there is no such app in this workspace")
	}
	if err != nil {
		return Account{}, err
	}
	vault, err := a.Vault.Prepare(ctx, tx, workspace)
	if err != nil {
		return Account{}, err
	}

	account := Account{
		ID: core.NewID(), Workspace: workspace, App: app.ID, Vault: vault, AppName: app.Name,
		Username: wanted.Username, State: Unvalidated, Finding: Unproven, Tags: []string{}, Created: a.now(),
	}
	account.Since = account.Created
	if _, err := tx.Exec(ctx, insertAccount, pgx.StrictNamedArgs{
		"id": account.ID, "workspace": workspace, "app": app.ID, "vault": vault,
		"username": account.Username, "created": account.Created,
	}); err != nil {
		return Account{}, collision(err, "account_username", "username", "the app already has an account with this username")
	}
	if err := a.store(ctx, tx, account, 1, OriginImported, LabelCurrent, wanted.Password); err != nil {
		return Account{}, err
	}
	by := wanted.EnteredBy
	if by.IsZero() {
		by = cause.Actor.ID
	}
	if err := a.recordEntered(ctx, tx, workspace, account.ID, by, 1, levelEntered); err != nil {
		return Account{}, err
	}
	if _, err := a.insertGrant(ctx, tx, cause.Actor, Grant{
		ID: core.NewID(), Workspace: workspace, Account: account.ID, User: owner.ID, Name: owner.Name(), Role: Owner, Created: account.Created,
	}); err != nil {
		return Account{}, err
	}
	if err := audit.Append(ctx, tx,
		core.NewEvent(core.AccountCreated, workspace, cause, account.Created, account.Target(), app.Target(), owner.Target()).
			With("owner", owner.ID.String())); err != nil || wanted.TOTP.IsZero() {
		return account, err
	}
	_, err = a.keepTOTP(ctx, tx, cause, account, by, wanted.TOTP)
	return account, err
}

const accountColumns = `
select a.id, a.workspace_id, a.app_id, a.vault_id, p.name as app_name, a.username, a.state, a.state_finding, a.state_reason,
	a.state_since, a.orphaned, a.tags, a.validated, a.rotated, a.created, coalesce(a.risk, 0) as risk, `

const selectAccount = accountColumns + `'' as role
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = @id`

// Account finds an account by its id. It asks nobody's leave: the caller does.
func (a *Accounts) Account(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Account, error) {
	return postgres.One[Account](ctx, q, "account", selectAccount, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const lockAccount = selectAccount + `
for no key update of a`

// lock keeps others from changing the account, its owners and its labels until the transaction ends.
func (a *Accounts) lock(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Account, error) {
	return postgres.One[Account](ctx, tx, "account", lockAccount, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

// Hold keeps others from changing the account, its owners and its passwords until the transaction ends.
func (a *Accounts) Hold(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Account, error) {
	return a.lock(ctx, tx, workspace, id)
}

// Manager lets whoever acts pass if they own the account or administer the workspace, and keeps it so until
// the transaction ends; service accounts, whose scopes say more, and the system too. Everybody else is Denied.
func (a *Accounts) Manager(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	return a.authorize(ctx, tx, cause, workspace, right{owner: account})
}

// holdSubject finds the user a grant is to name and keeps them from being deactivated meanwhile.
func (a *Accounts) holdSubject(ctx context.Context, tx pgx.Tx, workspace core.ID, field string, id core.ID, role Role) (directory.User, error) {
	user, err := a.Directory.HoldUser(ctx, tx, workspace, id)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return directory.User{}, core.Invalid(field, "there is no such user in this workspace")
	case err != nil:
		return directory.User{}, err
	case !user.Active:
		return directory.User{}, core.Invalid(field, "the user is deactivated; only active users can be given access")
	case role == Owner && !user.Role.MayOwn():
		return directory.User{}, core.Invalid("role", "guests and login-only users can be collaborators only").WithCode("capped")
	}
	return user, nil
}
