package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

// BackupCodes says how many of an account's backup codes are left. None of them is part of it.
type BackupCodes struct {
	Account core.ID   `json:"account"`
	Stored  time.Time `json:"stored"`
	Total   int       `json:"total"`
	Left    int       `json:"left" doc:"How many nobody has been given yet"`
}

// BackupCode is one of an account's backup codes.
type BackupCode struct {
	Account core.ID `json:"account"`
	Code    string  `json:"code"`
	Left    int     `json:"left" doc:"How many there are after it"`
}

type newBackupCodes struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Codes []string `json:"codes" minItems:"1" maxItems:"100" writeOnly:"true" doc:"As the app shows them, one by one; sealed at once"`
	}
}

func (s *Service) backupCodes(api huma.API) {
	tags := []string{"One-time codes"}
	of := func(account core.ID, one accounts.BackupCodes) *single[BackupCodes] {
		return &single[BackupCodes]{BackupCodes{account, one.Stored.UTC(), one.Total, one.Left}}
	}
	add(api, huma.Operation{OperationID: "getBackupCodes", Method: http.MethodGet, Path: "/accounts/{id}/backup-codes", Tags: tags, Summary: "Count the backup codes of an account"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[BackupCodes], error) {
			found, err := s.Accounts.BackupCodes(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return of(in.ID, found), nil
		})
	add(api, huma.Operation{OperationID: "putBackupCodes", Method: http.MethodPut, Path: "/accounts/{id}/backup-codes", Tags: tags, Summary: "Store the backup codes an app gave out",
		Description: "They take the place of earlier ones. When Postern turns the second factor on it stores those it finds by itself."},
		AccountsWrite, func(ctx context.Context, by caller, in *newBackupCodes) (*single[BackupCodes], error) {
			codes := make([]seal.Secret, len(in.Body.Codes))
			for i, one := range in.Body.Codes {
				codes[i] = seal.NewSecret(one)
			}
			var stored accounts.BackupCodes
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				stored, err = s.Accounts.SetBackupCodes(ctx, tx, by.cause, by.Workspace, in.ID, codes)
				return err
			})
			if err != nil {
				return nil, err
			}
			return of(in.ID, stored), nil
		})
	add(api, huma.Operation{OperationID: "useBackupCode", Method: http.MethodPost, Path: "/accounts/{id}/backup-code", Tags: tags, Summary: "Get an account's next backup code for somebody it is shared with",
		Description: "An event, and to nobody again: apps take each once."},
		AccountsUse, func(ctx context.Context, by caller, in *codeFor) (*single[BackupCode], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			given, err := s.Accounts.UseBackupCode(ctx, by.cause, by.Workspace, in.Body.User, in.ID)
			if err != nil {
				return nil, err
			}
			s.wake()
			by.c.Header("Cache-Control", "no-store")
			return &single[BackupCode]{BackupCode{in.ID, given.Code.Reveal(), given.Left}}, nil
		})
}
