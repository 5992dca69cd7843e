package health

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// job is one check to be carried out.
type job struct {
	Workspace core.ID `json:"workspace"`
	Check     core.ID `json:"check"`
	// Wake is the row's number for its latest job: an older one ends instead of waiting beside it.
	Wake int `json:"wake"`
}

// Kind implements jobs.Job.
func (job) Kind() string { return "health.check" }

// A check that is open already is joined: it looks at more from now on, and goes on at once.
const upsertCheck = `
insert into checks (id, workspace_id, account_id, app_id, reason, cause, asked, given, history)
values (@id, @workspace, @account, @app, @reason, @cause, @now, @given, @history)
on conflict (workspace_id, account_id) where finished is null do update set
	reason = excluded.reason, cause = excluded.cause, asked = excluded.asked, given = coalesce(excluded.given, checks.given),
	history = checks.history or excluded.history, wake = checks.wake + 1, next = null, attempts = 0
returning ` + columns

// want has a locked account checked, by a new check or the open one.
func (h *Health) want(ctx context.Context, tx pgx.Tx, cause core.Cause, account accounts.Account, reason Reason, given *int) (Check, error) {
	check, err := one(ctx, tx, upsertCheck, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": account.Workspace, "account": account.ID, "app": account.App, "reason": string(reason),
		"cause": cause, "now": h.now(), "given": given, "history": reason == Resync,
	})
	if err != nil {
		return Check{}, err
	}
	priority := 2 // somebody waits for it
	if reason == Scheduled {
		priority = 4
	}
	return check, h.Queue.Add(ctx, tx, job{account.Workspace, check.ID, check.Wake}, jobs.Options{Priority: priority})
}

// hold lets who keeps an account pass, and keeps the account as it is meanwhile.
func (h *Health) hold(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (accounts.Account, error) {
	if err := h.Accounts.Manager(ctx, tx, cause, workspace, account); err != nil {
		return accounts.Account{}, err
	}
	return h.Accounts.Hold(ctx, tx, workspace, account)
}

// Check has an account's password tried by one sign-in, soon; with history, the other passwords it had as well, until one
// is accepted, which is the current one then. Owners of the account may, administrators, service
// accounts and the system. An open check is joined.
func (h *Health) Check(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, history bool) (Check, error) {
	found, err := h.hold(ctx, tx, cause, workspace, account)
	if err != nil {
		return Check{}, err
	}
	if found.State == accounts.Unmanaged {
		return Check{}, found.Closed()
	}
	reason := Asked
	if history {
		reason = Resync
	}
	check, err := h.want(ctx, tx, cause, found, reason, nil)
	if err != nil {
		return Check{}, err
	}
	return check, audit.Append(ctx, tx, core.NewEvent(core.AccountCheckRequested, workspace, cause, h.now(), found.Target()).
		With("check", check.ID.String()).With("history", strconv.FormatBool(history)))
}

// Give stores the password that somebody says the app has. It is the account's once the app has accepted it in the
// sign-in that is queued with it; until then, and if the app refuses it, everything stays as it is. An unmanaged
// account is managed again by it. It may be done by whom Check may. While a rotation is under way the sign-in waits.
func (h *Health) Give(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, password seal.Secret) (Check, error) {
	found, err := h.hold(ctx, tx, cause, workspace, account)
	if err != nil {
		return Check{}, err
	}
	version, err := h.Accounts.AddGiven(ctx, tx, cause, workspace, account, password)
	if err != nil {
		return Check{}, err
	}
	if found.State == accounts.Unmanaged {
		if found, err = h.takeBack(ctx, tx, cause, found); err != nil {
			return Check{}, err
		}
	}
	check, err := h.want(ctx, tx, cause, found, Given, &version)
	if err != nil {
		return Check{}, err
	}
	return check, audit.Append(ctx, tx, core.NewEvent(core.AccountPasswordStored, workspace, cause, h.now(), found.Target()).
		With("version", strconv.Itoa(version)).With("check", check.ID.String()))
}

// Reset has the app's reconcile account set another password, for an account whose own nobody knows. It may be done by whom
// Check may. The rest is as in rotation.PlanReset.
func (h *Health) Reset(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (rotation.Rotation, error) {
	if _, err := h.hold(ctx, tx, cause, workspace, account); err != nil {
		return rotation.Rotation{}, err
	}
	return h.Rotations.PlanReset(ctx, tx, cause, workspace, account)
}

// SetEnabled has the app let an account in no more, or again. Administrators may, service accounts and the system. The rest is as in
// rotation.SetEnabled; where it is plain that nobody can do it, it is a Conflict.
func (h *Health) SetEnabled(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, enabled bool) (rotation.Switch, error) {
	if err := h.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return rotation.Switch{}, err
	}
	found, err := h.Accounts.Account(ctx, tx, workspace, account)
	if err != nil {
		return rotation.Switch{}, err
	}
	switch app, err := h.Accounts.App(ctx, tx, workspace, found.App); {
	case err != nil:
		return rotation.Switch{}, err
	case app.ReconcileAccount.IsZero():
		return rotation.Switch{}, core.Conflict("", "the app names no account that disables and enables the others").WithCode("no_reconcile_account")
	case h.Accounts.Disables != nil && !h.Accounts.Disables(app.Connector, app.Settings):
		return rotation.Switch{}, core.Conflict("", "the connector %s disables nobody in this app", app.Connector).WithCode("cannot_disable")
	}
	return h.Rotations.SetEnabled(ctx, tx, cause, workspace, account, enabled)
}

// Release takes an account out of management: nobody is given its password, nothing rotates it, nothing looks at it.
// It may be done by whom Check may. why is for people to read, and may be empty.
func (h *Health) Release(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, why string) (accounts.Account, error) {
	why = strings.TrimSpace(why)
	if len(why) > 500 {
		return accounts.Account{}, core.Invalid("reason", "at most 500 bytes are kept")
	}
	found, err := h.hold(ctx, tx, cause, workspace, account)
	if err != nil || found.State == accounts.Unmanaged && found.Finding == accounts.Released {
		return found, err
	}
	if why == "" {
		why = "It was taken out of management."
	}
	return h.Accounts.Learn(ctx, tx, cause, workspace, account, accounts.Released, why)
}

// TakeBack takes an unmanaged account under management again and has its password tried: access returns once
// the app has accepted it. It may be done by whom Check may. Without an owner it is a Conflict.
// One that is managed is checked and no more.
func (h *Health) TakeBack(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (Check, error) {
	found, err := h.hold(ctx, tx, cause, workspace, account)
	if err != nil {
		return Check{}, err
	}
	if found.State == accounts.Unmanaged {
		if found, err = h.takeBack(ctx, tx, cause, found); err != nil {
			return Check{}, err
		}
	}
	return h.want(ctx, tx, cause, found, Managed, nil)
}

func (h *Health) takeBack(ctx context.Context, tx pgx.Tx, cause core.Cause, account accounts.Account) (accounts.Account, error) {
	if account.Orphaned {
		return account, core.Conflict("", "nobody owns this account; share it with an owner first").WithCode("orphaned")
	}
	return h.Accounts.Learn(ctx, tx, cause, account.Workspace, account.ID, accounts.TakenBack, "It is managed again, and no sign-in has proved its password since.")
}

const upsertReport = `
insert into fill_reports (workspace_id, account_id, user_id, version, at)
select @workspace, @account, @user, v.version, @now from credential_versions v
where v.workspace_id = @workspace and v.account_id = @account and v.field = 'password' and v.label = 'current'
on conflict (workspace_id, account_id, user_id) do update set version = excluded.version, at = excluded.at
where fill_reports.version <> excluded.version
returning version`

const selectReporters = `
select coalesce(nullif(u.display_name, ''), u.user_name) as name
from fill_reports r
join credential_versions v on v.workspace_id = r.workspace_id and v.account_id = r.account_id and v.field = 'password'
	and v.label = 'current' and v.version = r.version
join users u on u.workspace_id = r.workspace_id and u.id = r.user_id and u.active and u.deleted is null
where r.workspace_id = @workspace and r.account_id = @account
order by r.at, r.user_id`

const forgetReports = `delete from fill_reports where workspace_id = @workspace and account_id = @account`

// enoughReports make an account suspect.
const enoughReports = 2

// Report records that the current password did not work for a user who may use the account; they say so themselves, or
// somebody Postern trusts does. When a second person says so the account is suspected to be out of sync and
// is checked. The same user again changes nothing.
func (h *Health) Report(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, account core.ID) error {
	if cause.Actor.Kind == core.ActorConnection || cause.Actor.Kind == core.ActorUser && cause.Actor.ID != user {
		return core.Denied("nobody may speak in somebody else's name").WithCode("not_you")
	}
	if cause.Actor.Kind != core.ActorUser { // who sees every account of the workspace
		if _, err := h.Accounts.Account(ctx, tx, workspace, account); err != nil {
			return err
		}
	}
	if _, err := h.Accounts.MayUse(ctx, tx, workspace, user, account); err != nil {
		return err
	}
	found, err := h.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	now := h.now()
	said, err := tx.Exec(ctx, upsertReport, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "user": user, "now": now})
	if err != nil || said.RowsAffected() == 0 {
		return postgres.Classify(err)
	}
	names, err := h.reporters(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	if err := audit.Append(ctx, tx, core.NewEvent(core.AccountFillReported, workspace, cause, now, found.Target()).
		With("user", user.String()).With("people", strconv.Itoa(len(names)))); err != nil {
		return err
	}
	if _, suspect := found.State.After(accounts.FillsReported); len(names) < enoughReports || !suspect {
		return nil
	}
	if _, err := h.Accounts.Learn(ctx, tx, cause, workspace, account, accounts.FillsReported,
		strings.Join(names, " and ")+" could not sign in with the stored password."); err != nil {
		return err
	}
	return h.mark(ctx, tx, due{Workspace: workspace, Account: account, Due: now, Reason: ReportedFaulty, Cause: &cause})
}

// reporters names who said that the current password does not work.
func (h *Health) reporters(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]string, error) {
	rows, err := q.Query(ctx, selectReporters, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, postgres.Classify(err)
}

// due is when an account is looked at, and why.
type due struct {
	Workspace core.ID
	Account   core.ID
	Due       time.Time
	Reason    Reason
	Cause     *core.Cause
}

// The earlier time holds, with its reason.
// What is due first is; but a refusal is made sure of after its pause, not by a look that was to come anyway.
const upsertDue = `
insert into check_dues (workspace_id, account_id, due, reason, cause)
select @workspace, a.id, @due, @reason, @cause from accounts a where a.workspace_id = @workspace and a.id = @account
on conflict (workspace_id, account_id) do update set due = excluded.due, reason = excluded.reason, cause = excluded.cause
where check_dues.due is null or check_dues.due > excluded.due
	or excluded.reason = 'confirm' and check_dues.reason in ('schedule', 'created')`

func (h *Health) mark(ctx context.Context, tx pgx.Tx, one due) error {
	_, err := tx.Exec(ctx, upsertDue, one.args())
	return postgres.Classify(err)
}

func (d due) args() pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"workspace": d.Workspace, "account": d.Account, "due": d.Due, "reason": string(d.Reason), "cause": d.Cause,
	}
}
