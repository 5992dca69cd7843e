package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/rotation"
)

// Rotation is the replacement, or the verification, of an account's password.
type Rotation struct {
	ID          core.ID    `json:"id"`
	Account     core.ID    `json:"account"`
	Reason      string     `json:"reason" enum:"manual,deprovision,logout,verify,schedule,sign_in,revocation,owner_change,admin_change,link_end,enrol"`
	State       string     `json:"state" enum:"planned,stored,armed,submitted,probing,new_proven,old_dead,done,not_sent,unchanged,drifted,unknown,reconciling,blocked"`
	Detail      string     `json:"detail,omitempty" doc:"Why it is where it is"`
	Attempts    int        `json:"attempts" doc:"Without progress"`
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
	Correlation core.ID    `json:"correlation" doc:"Find its whole story: GET /events?correlation="`
	Created     time.Time  `json:"created"`
	Updated     time.Time  `json:"updated"`
	Finished    *time.Time `json:"finished,omitempty"`
	Receipt     *Receipt   `json:"receipt,omitempty" doc:"Once the password was replaced"`
}

// Receipt proves a rotation by two fresh sign-ins.
type Receipt struct {
	NewAccepted   time.Time  `json:"new_accepted" doc:"When the app let the new password in"`
	OldRefused    time.Time  `json:"old_refused" doc:"When the app turned the old password away"`
	Received      time.Time  `json:"received" doc:"When Postern was asked"`
	LockedOut     time.Time  `json:"locked_out"`
	TimeToLockout float64    `json:"time_to_lockout" doc:"Seconds from received to locked_out"`
	Candidate     int        `json:"candidate" doc:"Version of the password that is current now"`
	Hosts         []string   `json:"hosts" nullable:"false" doc:"Every host contacted"`
	Agent         string     `json:"agent"`
	Events        []core.ID  `json:"events" nullable:"false"`
	Administrator *core.ID   `json:"administrator,omitempty" doc:"The account that set the password, where it was not the account itself"`
	SessionsEnded *time.Time `json:"sessions_ended,omitempty" doc:"When the app's administrator had ended the sessions that were open"`
	Mailed        bool       `json:"mailed,omitempty" doc:"The password was set behind the link of the app's forgotten-password mail"`
}

// Step is one entry of a rotation's history.
type Step struct {
	Number   int             `json:"number"`
	State    string          `json:"state"`
	Detail   string          `json:"detail,omitempty"`
	Evidence json.RawMessage `json:"evidence,omitempty" doc:"What was seen, without secrets"`
	At       time.Time       `json:"at"`
}

// RotationWithSteps is a rotation with its history.
type RotationWithSteps struct {
	Rotation
	Steps []Step `json:"steps" nullable:"false"`
}

func rotationOf(r rotation.Rotation) Rotation {
	out := Rotation{
		ID: r.ID, Account: r.Account, Reason: string(r.Reason), State: string(r.State), Detail: r.Detail, Attempts: r.Attempts,
		NextAttempt: r.NextAttempt, Correlation: r.Cause.Correlation, Created: r.Created, Updated: r.Updated, Finished: r.Finished,
	}
	if receipt := r.Receipt; receipt != nil {
		out.Receipt = &Receipt{
			NewAccepted: receipt.NewAccepted, OldRefused: receipt.OldRefused, Received: receipt.Received, LockedOut: receipt.LockedOut,
			TimeToLockout: receipt.TimeToLockout.Seconds(), Candidate: receipt.Candidate,
			Hosts: append([]string{}, receipt.Hosts...), Agent: receipt.Agent, Mailed: receipt.Mailed, SessionsEnded: receipt.SessionsEnded, Events: append([]core.ID{}, receipt.EventIDs...),
		}
		if !receipt.Administrator.IsZero() {
			out.Receipt.Administrator = &receipt.Administrator
		}
	}
	return out
}

type rotationList struct {
	ID     core.ID `path:"id" doc:"The account"`
	Limit  int     `query:"limit" default:"20" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) rotations(api huma.API) {
	tags := []string{"Rotations"}
	plan := func(reason rotation.Reason) func(ctx context.Context, by caller, in *byID) (*single[Rotation], error) {
		return func(ctx context.Context, by caller, in *byID) (*single[Rotation], error) {
			var planned rotation.Rotation
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				planned, err = s.Rotations.Plan(ctx, tx, by.cause, by.Workspace, in.ID, reason, 0)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Rotation]{rotationOf(planned)}, nil
		}
	}
	add(api, huma.Operation{OperationID: "rotateAccount", Method: http.MethodPost, Path: "/accounts/{id}/rotations", Tags: tags, Summary: "Replace the password now",
		Description: "Answers with the rotation that will do it: a new one, or the open one of the account.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, plan(rotation.ReasonManual))
	add(api, huma.Operation{OperationID: "resetAccount", Method: http.MethodPost, Path: "/accounts/{id}/reset", Tags: tags, Summary: "Have a new password set by the app's administrator, or behind its mail",
		Description: "For an account whose own password nobody knows. The app's reconcile account sets the new one, or, where the app names none and the account has an address here, the link of the app's forgotten-password mail does. The account signs in with it to prove it. Answers with the rotation that will do it.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*single[Rotation], error) {
			var planned rotation.Rotation
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				planned, err = s.Health.Reset(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Rotation]{rotationOf(planned)}, nil
		})
	add(api, huma.Operation{OperationID: "verifyAccount", Method: http.MethodPost, Path: "/accounts/{id}/verification", Tags: tags, Summary: "Sign in to prove the stored password",
		Description: "Changes nothing in the app; sets the account's state.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, plan(rotation.ReasonVerify))
	add(api, huma.Operation{OperationID: "listRotations", Method: http.MethodGet, Path: "/accounts/{id}/rotations", Tags: tags, Summary: "List an account's rotations, newest first"},
		AccountsRead, func(ctx context.Context, by caller, in *rotationList) (*listed[Rotation], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			var found []rotation.Rotation
			var err error
			if in.Cursor.IsZero() {
				found, err = s.Rotations.List(ctx, s.DB, by.Workspace, in.ID, in.Limit)
			} else {
				found, err = s.Rotations.Before(ctx, s.DB, by.Workspace, in.ID, in.Cursor, in.Limit)
			}
			if err != nil {
				return nil, err
			}
			answer := listing(found, rotationOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getRotation", Method: http.MethodGet, Path: "/rotations/{id}", Tags: tags, Summary: "Get a rotation with its steps and receipt"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[RotationWithSteps], error) {
			found, err := s.Rotations.Rotation(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			steps, err := s.Rotations.Steps(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			out := RotationWithSteps{Rotation: rotationOf(found), Steps: make([]Step, 0, len(steps))}
			for _, step := range steps {
				out.Steps = append(out.Steps, Step{step.Number, string(step.State), step.Detail, step.Evidence, step.At})
			}
			return &single[RotationWithSteps]{out}, nil
		})
}
