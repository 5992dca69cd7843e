package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/health"
	"postern/core/seal"
)

// AccountHealth is how an account is, since when, why, and what to do next.
type AccountHealth struct {
	Account   core.ID    `json:"account"`
	State     string     `json:"state" enum:"unvalidated,validated,desync_suspected,desynced,unmanaged,app_disabled,orphaned,at_risk"`
	Since     time.Time  `json:"since"`
	Finding   string     `json:"finding" enum:"unproven,accepted,replaced,refused,doubted,reported,none_accepted,expired,disabled,locked,exposed,abandoned,released,managed" doc:"What was learned that put it there"`
	Why       string     `json:"why" doc:"In words"`
	Orphaned  bool       `json:"orphaned" doc:"Nobody active owns it"`
	Closed    string     `json:"closed,omitempty" enum:"desynced,app_disabled,unmanaged" doc:"The code of what refuses its password to everybody; absent while it is given out"`
	Next      string     `json:"next" doc:"What to do next, in words; empty if nothing"`
	Steps     []string   `json:"steps" nullable:"false" doc:"What Postern offers for it: check, resync, password, rotate, manage, share, reset"`
	Who       string     `json:"who" doc:"Who can do it, in words"`
	Validated *time.Time `json:"validated,omitempty" doc:"When a sign-in last proved the password"`
	LastCheck *Check     `json:"last_check,omitempty" doc:"The latest that made a sign-in: the evidence"`
	OpenCheck *Check     `json:"open_check,omitempty" doc:"The one under way"`
	NextCheck *time.Time `json:"next_check,omitempty" doc:"When it is looked at by itself"`
	Reported  []string   `json:"reported" nullable:"false" doc:"Who said that the current password does not work"`
}

// Check is one look at a password by a sign-in.
type Check struct {
	ID       core.ID    `json:"id"`
	Account  core.ID    `json:"account"`
	Reason   string     `json:"reason" enum:"schedule,asked,resync,given,managed,confirm,created,reactivated,given_back,rotation_failed,owner_changed,admin_changed,reported"`
	Asked    time.Time  `json:"asked"`
	Started  *time.Time `json:"started,omitempty" doc:"When its last sign-in began"`
	Finished *time.Time `json:"finished,omitempty"`
	Next     *time.Time `json:"next,omitempty" doc:"When it goes on, while it waits"`
	Outcome  string     `json:"outcome,omitempty" doc:"accepted, rejected, disabled, locked, must_change, challenge, form_not_found, unreachable, timed_out, unknown, not_sent, or superseded"`
	Detail   string     `json:"detail,omitempty" doc:"In words, and what to do about it"`
	Version  *int       `json:"version,omitempty" doc:"Of the password that was tried last"`
	State    string     `json:"state,omitempty" doc:"The account's, afterwards"`
	Hosts    []string   `json:"hosts" nullable:"false" doc:"Every host contacted"`
	Agent    string     `json:"agent,omitempty"`
	Story    core.ID    `json:"correlation" doc:"Find its whole story: GET /events?correlation="`
}

func checkOf(one health.Check) Check {
	return Check{
		one.ID, one.Account, string(one.Reason), one.Asked.UTC(), one.Started, one.Finished, one.Next, string(one.Outcome), one.Detail, one.Version,
		string(one.State), append([]string{}, one.Hosts...), one.Agent, one.Cause.Correlation,
	}
}

func healthOf(view health.View) AccountHealth {
	out := AccountHealth{
		Account: view.Account.ID, State: string(view.State), Since: view.Account.Since.UTC(), Finding: string(view.Account.Finding),
		Why: view.Account.StateReason, Orphaned: view.Account.Orphaned, Next: view.Advice.Words, Steps: []string{}, Who: view.Advice.Who,
		Validated: view.Account.Validated, NextCheck: view.Due, Reported: append([]string{}, view.Reported...),
	}
	if view.Closed != nil {
		out.Closed = view.Closed.Code
	}
	for _, step := range view.Advice.Steps {
		out.Steps = append(out.Steps, string(step))
	}
	if view.Last != nil {
		out.LastCheck = new(checkOf(*view.Last))
	}
	if view.Open != nil {
		out.OpenCheck = new(checkOf(*view.Open))
	}
	return out
}

// HealthSettings are how often passwords are checked, and how long it is kept what was seen.
type HealthSettings struct {
	IntervalSeconds int  `json:"interval_seconds" minimum:"0" maximum:"7776000" doc:"Between two scheduled checks of an account, about; 0: only when something happens"`
	RetentionDays   int  `json:"retention_days" minimum:"1" maximum:"3650" doc:"How long what checks saw is kept"`
	ResetDesynced   bool `json:"reset_desynced,omitempty" doc:"Where a check finds that the app refuses the stored password, have the app's reconcile account, or its forgotten-password mail, set another"`
	Quiet           bool `json:"quiet,omitempty" doc:"Mail nobody that an account needs a person: else its owners are, or administrators where it has none"`
}

type checkList struct {
	ID     core.ID `path:"id" doc:"The account"`
	Limit  int     `query:"limit" default:"20" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type givenPassword struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Password string `json:"password" writeOnly:"true" doc:"What the app accepts now; sealed at once and never given out by this API"`
	}
}

type released struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for people to read"`
	}
}

type faultyFill struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		User core.ID `json:"user" doc:"Who could not sign in"`
	}
}

func (s *Service) health(api huma.API) {
	tags := []string{"Health"}
	add(api, huma.Operation{OperationID: "getAccountHealth", Method: http.MethodGet, Path: "/accounts/{id}/health", Tags: tags, Summary: "Get how an account is, why, and what to do next"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[AccountHealth], error) {
			view, err := s.Health.View(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[AccountHealth]{healthOf(view)}, nil
		})
	add(api, huma.Operation{OperationID: "listChecks", Method: http.MethodGet, Path: "/accounts/{id}/checks", Tags: tags, Summary: "List an account's sign-in checks, latest first"},
		AccountsRead, func(ctx context.Context, by caller, in *checkList) (*listed[Check], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Health.Checks(ctx, s.DB, by.Workspace, in.ID, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, checkOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	check := func(command func(ctx context.Context, tx pgx.Tx, by caller, account core.ID) (health.Check, error)) func(ctx context.Context, by caller, in *byID) (*single[Check], error) {
		return func(ctx context.Context, by caller, in *byID) (*single[Check], error) {
			return s.checked(ctx, func(tx pgx.Tx) (health.Check, error) { return command(ctx, tx, by, in.ID) })
		}
	}
	add(api, huma.Operation{OperationID: "checkAccount", Method: http.MethodPost, Path: "/accounts/{id}/check", Tags: tags, Summary: "Try the stored password by one sign-in",
		Description: "Answers with the check that will do it: a new one, or the open one of the account. It keeps within the lockout budget. What is accepted opens a closed account.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, check(func(ctx context.Context, tx pgx.Tx, by caller, account core.ID) (health.Check, error) {
			return s.Health.Check(ctx, tx, by.cause, by.Workspace, account, false)
		}))
	add(api, huma.Operation{OperationID: "resyncAccount", Method: http.MethodPost, Path: "/accounts/{id}/resync", Tags: tags, Summary: "Find out which stored password the app has",
		Description: "Tries the current password, then the others, newest first, until one is accepted: that is the current one from then on. It keeps within the lockout budget, so it may take a while.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, check(func(ctx context.Context, tx pgx.Tx, by caller, account core.ID) (health.Check, error) {
			return s.Health.Check(ctx, tx, by.cause, by.Workspace, account, true)
		}))
	add(api, huma.Operation{OperationID: "manageAccount", Method: http.MethodPost, Path: "/accounts/{id}/manage", Tags: tags, Summary: "Take an account under management again",
		Description: "Its password is tried; access returns once the app has accepted it.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, check(func(ctx context.Context, tx pgx.Tx, by caller, account core.ID) (health.Check, error) {
			return s.Health.TakeBack(ctx, tx, by.cause, by.Workspace, account)
		}))
	add(api, huma.Operation{OperationID: "storePassword", Method: http.MethodPost, Path: "/accounts/{id}/password", Tags: tags, Summary: "Store the password the app has now",
		Description: "For a password that was set outside of Postern. It becomes the account's once a sign-in has proved it; if the app refuses it, everything stays as it is.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, func(ctx context.Context, by caller, in *givenPassword) (*single[Check], error) {
			return s.checked(ctx, func(tx pgx.Tx) (health.Check, error) {
				return s.Health.Give(ctx, tx, by.cause, by.Workspace, in.ID, seal.NewSecret(in.Body.Password))
			})
		})
	add(api, huma.Operation{OperationID: "unmanageAccount", Method: http.MethodPost, Path: "/accounts/{id}/unmanage", Tags: tags, Summary: "Take an account out of management",
		Description: "From then on nobody is given its password, and nothing rotates or checks it."},
		AccountsWrite, func(ctx context.Context, by caller, in *released) (*single[AccountHealth], error) {
			var view health.View
			err := s.change(ctx, func(tx pgx.Tx) error {
				if _, err := s.Health.Release(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Reason); err != nil {
					return err
				}
				var err error
				view, err = s.Health.View(ctx, tx, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[AccountHealth]{healthOf(view)}, nil
		})
	add(api, huma.Operation{OperationID: "reportFill", Method: http.MethodPost, Path: "/accounts/{id}/reports", Tags: tags, Summary: "Say that the password did not work for somebody",
		Description: "When a second person says so the account is suspected to be out of sync, and is checked.", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *faultyFill) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Health.Report(ctx, tx, by.cause, by.Workspace, in.Body.User, in.ID)
			})
		})
	s.healthSettings(api, tags)
}

// checked is the answer of a command that wants a check.
func (s *Service) checked(ctx context.Context, command func(tx pgx.Tx) (health.Check, error)) (*single[Check], error) {
	var wanted health.Check
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		wanted, err = command(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &single[Check]{checkOf(wanted)}, nil
}

func (s *Service) healthSettings(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "getHealthSettings", Method: http.MethodGet, Path: "/health-settings", Tags: tags, Summary: "Get how often passwords are checked"},
		AccountsRead, func(ctx context.Context, by caller, _ *struct{}) (*single[HealthSettings], error) {
			now, err := s.Health.Settings(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return &single[HealthSettings]{HealthSettings{int(now.Interval / time.Second), int(now.Retention / (24 * time.Hour)), now.ResetDesynced, now.Quiet}}, nil
		})
	add(api, huma.Operation{OperationID: "putHealthSettings", Method: http.MethodPut, Path: "/health-settings", Tags: tags, Summary: "Change how often passwords are checked"},
		AccountsWrite, func(ctx context.Context, by caller, in *struct{ Body HealthSettings }) (*single[HealthSettings], error) {
			err := s.change(ctx, func(tx pgx.Tx) error {
				return s.Health.SetSettings(ctx, tx, by.cause, by.Workspace, health.Settings{
					Interval: time.Duration(in.Body.IntervalSeconds) * time.Second, Retention: time.Duration(in.Body.RetentionDays) * 24 * time.Hour,
					ResetDesynced: in.Body.ResetDesynced, Quiet: in.Body.Quiet,
				})
			})
			if err != nil {
				return nil, err
			}
			return &single[HealthSettings]{in.Body}, nil
		})
}
