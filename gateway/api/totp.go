package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

// TOTP says of an account that one-time codes are made for it. The secret they are made from is never part of it.
type TOTP struct {
	Account core.ID   `json:"account"`
	Version int       `json:"version" doc:"Which secret it is"`
	Stored  time.Time `json:"stored"`
}

// Code is a one-time code of an account.
type Code struct {
	Account core.ID   `json:"account"`
	Code    string    `json:"code"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until" doc:"When it is replaced by the next one"`
	Seconds int       `json:"seconds" doc:"How long it is good still"`
	Spent   bool      `json:"spent" doc:"Postern itself has just signed in with it: the app takes the next one"`
}

type newTOTP struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Secret string `json:"secret" minLength:"1" maxLength:"2048" writeOnly:"true" doc:"The otpauth://totp/ address the app shows as a QR code, or the secret in base32 (SHA1, 6 digits, 30 seconds); sealed at once and never given out"`
	}
}

type codeFor struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		User core.ID `json:"user" doc:"Who is given it: somebody the account is shared with"`
	}
}

func (s *Service) totp(api huma.API) {
	tags := []string{"One-time codes"}
	of := func(account core.ID, one accounts.TOTP) *single[TOTP] {
		return &single[TOTP]{TOTP{account, one.Version, one.Stored.UTC()}}
	}
	add(api, huma.Operation{OperationID: "getTOTP", Method: http.MethodGet, Path: "/accounts/{id}/totp", Tags: tags, Summary: "Find out whether one-time codes are made for an account"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[TOTP], error) {
			found, err := s.Accounts.TOTP(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return of(in.ID, found), nil
		})
	add(api, huma.Operation{OperationID: "putTOTP", Method: http.MethodPut, Path: "/accounts/{id}/totp", Tags: tags, Summary: "Have one-time codes made for an account",
		Description: "Takes the place of an earlier secret. Codes are made as in RFC 6238, and nobody is given the secret."},
		AccountsWrite, func(ctx context.Context, by caller, in *newTOTP) (*single[TOTP], error) {
			var stored accounts.TOTP
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				stored, err = s.Accounts.SetTOTP(ctx, tx, by.cause, by.Workspace, in.ID, seal.NewSecret(in.Body.Secret))
				return err
			})
			if err != nil {
				return nil, err
			}
			return of(in.ID, stored), nil
		})
	add(api, huma.Operation{OperationID: "enrolTOTP", Method: http.MethodPost, Path: "/accounts/{id}/totp/enrolment", Tags: tags, Summary: "Turn on an account's second factor in its app",
		Description: "A browser signs in, has the app show its secret, stores that, and answers with the first code; a fresh sign-in proves it. Answers with the rotation that will do it, which leaves the password as it is.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*single[Rotation], error) {
			var planned rotation.Rotation
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				planned, err = s.Rotations.Enrol(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Rotation]{rotationOf(planned)}, nil
		})
	add(api, huma.Operation{OperationID: "removeTOTP", Method: http.MethodDelete, Path: "/accounts/{id}/totp", Tags: tags, Summary: "Have no more one-time codes made for an account", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error { return s.Accounts.RemoveTOTP(ctx, tx, by.cause, by.Workspace, in.ID) })
		})
	add(api, huma.Operation{OperationID: "getCode", Method: http.MethodPost, Path: "/accounts/{id}/code", Tags: tags, Summary: "Get an account's one-time code for somebody it is shared with",
		Description: "That they were given it is an event. It does not tell them the password. A code is good once: who signs in with it twice within its time is refused by the app."},
		AccountsUse, func(ctx context.Context, by caller, in *codeFor) (*single[Code], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			given, err := s.Accounts.Code(ctx, by.cause, by.Workspace, in.Body.User, in.ID)
			if err != nil {
				return nil, err
			}
			s.wake()
			by.c.Header("Cache-Control", "no-store")
			return &single[Code]{Code{in.ID, given.Code.Reveal(), given.From, given.Until, int(given.Until.Sub(s.now()).Seconds()), given.Spent}}, nil
		})
}
