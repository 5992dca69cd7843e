package health

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Orphaned is the state an account is shown in that works and that nobody owns.
const Orphaned accounts.State = "orphaned"

// View is how an account is, for a person.
type View struct {
	Account  accounts.Account
	State    accounts.State // the account's, or Orphaned
	Closed   *core.Error    // why nobody is given the password; nil: they are
	Advice   accounts.Advice
	Last     *Check // the latest that ended with a sign-in; the evidence
	Open     *Check // the one under way
	Due      *time.Time
	Reason   Reason   // why it is due then
	Reported []string // who said that the current password does not work
}

const selectView = `
(select ` + columns + ` from checks where workspace_id = @workspace and account_id = @account and finished is null)
union all
(select ` + columns + ` from checks where workspace_id = @workspace and account_id = @account and finished is not null and started is not null
	order by asked desc, id desc limit 1)`

const selectNext = `select due, reason from check_dues where workspace_id = @workspace and account_id = @account`

// View tells how an account is, since when, why, on what evidence, and what is to be done next. It asks nobody's
// leave: the caller does.
func (h *Health) View(ctx context.Context, q postgres.Querier, workspace, account core.ID) (View, error) {
	found, err := h.Accounts.Account(ctx, q, workspace, account)
	if err != nil {
		return View{}, err
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account}
	checks, err := many(ctx, q, selectView, args)
	if err != nil {
		return View{}, err
	}
	view := View{Account: found, State: found.State, Closed: found.Closed(), Advice: found.Advice()}
	if found.Orphaned && !slices.Contains([]accounts.State{accounts.Desynced, accounts.AppDisabled, accounts.Unmanaged, accounts.AtRisk}, found.State) {
		view.State = Orphaned
	}
	for i := range checks {
		if checks[i].Finished == nil {
			view.Open = &checks[i]
		} else {
			view.Last = &checks[i]
		}
	}
	if found.Finding == accounts.Expired && view.Last != nil && !view.Last.Changes { // nothing here can set another
		view.Advice.Words = "Reveal the password, sign in by hand, set a new one where the app asks for it, and store that here."
		view.Advice.Steps = []accounts.Step{accounts.StepGive, accounts.StepCheck}
	}
	if found.State == accounts.Desynced {
		app, err := h.Accounts.App(ctx, q, workspace, found.App)
		if err != nil {
			return View{}, err
		}
		if !app.ReconcileAccount.IsZero() && app.ReconcileAccount != account {
			view.Advice.Words += " The app's administrator can set another one too."
			view.Advice.Steps = append(slices.Clone(view.Advice.Steps), accounts.StepReset)
		} else if mailed, err := h.Rotations.Mailed(ctx, q, found, app); err != nil {
			return View{}, err
		} else if mailed {
			view.Advice.Words += " Another one can be set by the app's forgotten-password mail too."
			view.Advice.Steps = append(slices.Clone(view.Advice.Steps), accounts.StepReset)
		}
	}
	rows, err := q.Query(ctx, selectNext, args)
	if err != nil {
		return View{}, postgres.Classify(err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&view.Due, &view.Reason}, func() error { return nil }); err != nil {
		return View{}, postgres.Classify(err)
	}
	view.Reported, err = h.reporters(ctx, q, workspace, account)
	return view, err
}
