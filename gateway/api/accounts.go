package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

// Account is one login in an app. Its password is never part of it.
type Account struct {
	ID          core.ID    `json:"id"`
	App         core.ID    `json:"app"`
	AppName     string     `json:"app_name"`
	Username    string     `json:"username"`
	State       string     `json:"state" enum:"unvalidated,validated,desync_suspected,desynced,unmanaged,app_disabled,at_risk" doc:"How far the stored password can be trusted"`
	StateReason string     `json:"state_reason,omitempty"`
	Orphaned    bool       `json:"orphaned" doc:"Nobody active owns it"`
	Tags        []string   `json:"tags" nullable:"false"`
	Validated   *time.Time `json:"validated,omitempty" doc:"When a sign-in last proved the password"`
	Rotated     *time.Time `json:"rotated,omitempty" doc:"When the password was last replaced"`
	Created     time.Time  `json:"created"`
	Risk        int        `json:"risk,omitempty" doc:"1 (least) to 5 (most): how bad it were in wrong hands; of those that wait alike, the riskier are rotated first. Left out: as its app"`
}

func accountOf(account accounts.Account) Account {
	return Account{
		account.ID, account.App, account.AppName, account.Username, string(account.State), account.StateReason, account.Orphaned,
		append([]string{}, account.Tags...), account.Validated, account.Rotated, account.Created, account.Risk,
	}
}

// CreatedAccount is a new account and the sign-in that will prove its password.
type CreatedAccount struct {
	Account
	Verification core.ID `json:"verification" doc:"The rotation that signs in to prove the password"`
}

type newAccount struct {
	Body struct {
		App      core.ID `json:"app" doc:"The app it is a login of"`
		Username string  `json:"username" doc:"What one signs in with"`
		Password string  `json:"password" writeOnly:"true" doc:"What the app accepts now; sealed at once and never given out by this API"`
		Owner    core.ID `json:"owner" doc:"The user who owns the account"`
	}
}

type accountList struct {
	State    string  `query:"state" enum:"unvalidated,validated,desync_suspected,desynced,unmanaged,app_disabled,at_risk" doc:"Only those in this state"`
	Orphaned bool    `query:"orphaned" doc:"Only those nobody active owns"`
	App      core.ID `query:"app" doc:"Only those of this app"`
	Tag      string  `query:"tag" maxLength:"40" doc:"Only those with this tag"`
	Search   string  `query:"search" maxLength:"200" doc:"Only those whose username begins like this, whatever the case"`
	Limit    int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor   core.ID `query:"cursor" doc:"next of the page before"`
}

type newRisk struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Risk int `json:"risk" minimum:"0" maximum:"5" doc:"1 (least) to 5 (most); 0: as its app"`
	}
}

func (s *Service) accounts(api huma.API) {
	tags := []string{"Accounts"}
	add(api, huma.Operation{OperationID: "createAccount", Method: http.MethodPost, Path: "/accounts", Tags: tags, Summary: "Add an account",
		Description: "The account begins unvalidated; a sign-in that proves the password is queued with it.", DefaultStatus: http.StatusCreated},
		AccountsWrite, func(ctx context.Context, by caller, in *newAccount) (*single[CreatedAccount], error) {
			var account accounts.Account
			var verification rotation.Rotation
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				account, err = s.Accounts.CreateAccount(ctx, tx, by.cause, by.Workspace, accounts.NewAccount{
					App: in.Body.App, Username: in.Body.Username, Password: seal.NewSecret(in.Body.Password), Owner: in.Body.Owner,
				})
				if err != nil {
					return err
				}
				verification, err = s.Rotations.Plan(ctx, tx, by.cause, by.Workspace, account.ID, rotation.ReasonVerify, 0)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[CreatedAccount]{CreatedAccount{accountOf(account), verification.ID}}, nil
		})
	add(api, huma.Operation{OperationID: "listAccounts", Method: http.MethodGet, Path: "/accounts", Tags: tags, Summary: "List accounts, oldest first"},
		AccountsRead, func(ctx context.Context, by caller, in *accountList) (*listed[Account], error) {
			found, err := s.Accounts.List(ctx, s.DB, by.Workspace, accounts.ListQuery{
				Limit: in.Limit, After: in.Cursor, State: accounts.State(in.State), Orphaned: in.Orphaned,
				App: in.App, Tag: strings.ToLower(strings.TrimSpace(in.Tag)), Search: in.Search,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, accountOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getAccount", Method: http.MethodGet, Path: "/accounts/{id}", Tags: tags, Summary: "Get an account"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[Account], error) {
			account, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Account]{accountOf(account)}, nil
		})
	add(api, huma.Operation{OperationID: "putAccountRisk", Method: http.MethodPut, Path: "/accounts/{id}/risk", Tags: tags, Summary: "Say how bad an account were in wrong hands",
		Description: "Of the rotations that wait alike, those of riskier accounts come first."},
		AccountsWrite, func(ctx context.Context, by caller, in *newRisk) (*single[Account], error) {
			var changed accounts.Account
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				changed, err = s.Rotations.SetRisk(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Risk)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Account]{accountOf(changed)}, nil
		})
	s.exposures(api, tags)
}

// Exposure is one time somebody was given a password, or a one-time code.
type Exposure struct {
	ID      core.ID   `json:"id"`
	User    core.ID   `json:"user" doc:"Who was given it; of a link, the owner in whose name it was made"`
	Link    core.ID   `json:"link,omitzero" doc:"By which its recipient was given it"`
	Name    string    `json:"name" doc:"Of the user, or the recipient's e-mail address"`
	Version int       `json:"version" doc:"Which password; of a code, which secret it was made from; of a message, its number"`
	Level   string    `json:"level" enum:"entered,injected,filled,revealed,code,message,totp_entered,backup_code,backup_entered" doc:"entered, totp_entered, backup_entered: they typed the password, the TOTP secret or the backup codes in themselves; backup_code: one of those; code: a one-time code, which does not tell the password; message: what one says that the account was sent"`
	Seen    time.Time `json:"seen"`
}

type exposureList struct {
	ID     core.ID `path:"id" doc:"The account"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) exposures(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listExposures", Method: http.MethodGet, Path: "/accounts/{id}/exposures", Tags: tags,
		Summary: "List who was given the account's passwords, latest first"},
		AccountsRead, func(ctx context.Context, by caller, in *exposureList) (*listed[Exposure], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.ExposuresBefore(ctx, s.DB, by.Workspace, in.ID, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			owners := map[core.ID]core.ID{}
			for _, one := range found {
				if _, known := owners[one.Link]; known || one.Link.IsZero() {
					continue
				}
				link, err := s.Links.Link(ctx, s.DB, by.Workspace, one.Link)
				if err != nil {
					return nil, err
				}
				owners[one.Link] = link.Owner
			}
			answer := listing(found, func(e accounts.ListedExposure) Exposure {
				if e.User.IsZero() {
					e.User = owners[e.Link]
				}
				return Exposure{e.ID, e.User, e.Link, e.Name, e.Version, e.Level, e.Seen}
			})
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
}
