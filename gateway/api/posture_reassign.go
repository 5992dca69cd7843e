package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/accounts"
	"postern/core/posture"
)

// NewOwner is who is to own accounts: either a user or a team.
type NewOwner struct {
	User core.ID `json:"user,omitzero"`
	Team core.ID `json:"team,omitzero"`
	Name string  `json:"name,omitempty" readOnly:"true"`
}

// OrphanFilter narrows the accounts without an owner.
type OrphanFilter struct {
	App core.ID `json:"app,omitzero"`
	Tag string  `json:"tag,omitempty" maxLength:"40"`
}

// newReassignment is what is asked for.
type newReassignment struct {
	Owners   []NewOwner    `json:"owners" minItems:"1" maxItems:"5" nullable:"false"`
	Accounts []core.ID     `json:"accounts,omitempty" maxItems:"5000" doc:"Either these accounts"`
	Orphaned *OrphanFilter `json:"orphaned,omitempty" doc:"or every account without an owner that this leaves"`
	Expected *int          `json:"expected,omitempty" minimum:"0" doc:"How many accounts the caller means: if there are more or fewer nothing happens, and the answer is 412"`
}

func (n newReassignment) wanted() posture.Reassignment {
	wanted := posture.Reassignment{Accounts: n.Accounts, Expected: n.Expected}
	for _, one := range n.Owners {
		wanted.Owners = append(wanted.Owners, accounts.Subject{User: one.User, Team: one.Team})
	}
	if n.Orphaned != nil {
		wanted.Orphaned = &posture.Filter{App: n.Orphaned.App, Tag: n.Orphaned.Tag}
	}
	return wanted
}

// ReassignmentPlan is what a reassignment would do.
type ReassignmentPlan struct {
	Total    int              `json:"total" doc:"Accounts it is about"`
	Owners   []NewOwner       `json:"owners" nullable:"false"`
	Accounts []AccountPosture `json:"accounts" nullable:"false" doc:"The first 100 of them"`
}

// Reassignment is how far new owners have come.
type Reassignment struct {
	ID        core.ID    `json:"id"`
	Owners    []NewOwner `json:"owners" nullable:"false"`
	Total     int        `json:"total" doc:"Accounts it is about"`
	Done      int        `json:"done" etag:"-" doc:"Have the owners now and did not before"`
	Unchanged int        `json:"unchanged" etag:"-" doc:"Had them"`
	Failed    int        `json:"failed" etag:"-" doc:"Were refused; the rows say why"`
	Waiting   int        `json:"waiting" etag:"-"`
	Created   time.Time  `json:"created"`
	Finished  *time.Time `json:"finished,omitempty" etag:"-"`
}

func newOwnersOf(named []core.Target) []NewOwner {
	owners := make([]NewOwner, 0, len(named))
	for _, one := range named {
		if one.Kind == "team" {
			owners = append(owners, NewOwner{Team: one.ID, Name: one.Name})
		} else {
			owners = append(owners, NewOwner{User: one.ID, Name: one.Name})
		}
	}
	return owners
}

func reassignmentOf(one posture.Progress) Reassignment {
	return Reassignment{one.ID, newOwnersOf(one.Owners), one.Total, one.Done, one.Unchanged, one.Failed, one.Waiting, one.Created, one.Finished}
}

// ReassignedAccount is what became of an account.
type ReassignedAccount struct {
	Account  core.ID    `json:"account"`
	AppName  string     `json:"app_name"`
	Username string     `json:"username"`
	Outcome  string     `json:"outcome" enum:"waiting,done,unchanged,failed"`
	Why      string     `json:"why,omitempty" doc:"It was refused"`
	At       *time.Time `json:"at,omitempty"`
}

func reassignedOf(one posture.Row) ReassignedAccount {
	return ReassignedAccount{one.Account, one.AppName, one.Username, string(one.Outcome), one.Why, one.At}
}

type reassignmentList struct {
	Limit  int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type reassignedList struct {
	ID      core.ID `path:"id" doc:"The reassignment"`
	Outcome string  `query:"outcome" enum:"waiting,done,unchanged,failed"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor  core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) reassignments(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "previewReassignment", Method: http.MethodPost, Path: "/posture/reassignment-previews", Tags: tags,
		Summary: "See which accounts would be given new owners", Description: "Nothing is changed by it."},
		PostureRead, func(ctx context.Context, by caller, in *struct{ Body newReassignment }) (*single[ReassignmentPlan], error) {
			plan, err := s.Posture.Preview(ctx, s.DB, by.Workspace, in.Body.wanted())
			if err != nil {
				return nil, err
			}
			shown := ReassignmentPlan{Total: plan.Total, Owners: newOwnersOf(plan.Owners), Accounts: []AccountPosture{}}
			for _, one := range plan.Accounts {
				shown.Accounts = append(shown.Accounts, accountPostureOf(one))
			}
			return &single[ReassignmentPlan]{shown}, nil
		})
	add(api, huma.Operation{OperationID: "createReassignment", Method: http.MethodPost, Path: "/posture/reassignments", Tags: tags,
		Summary:       "Give many accounts new owners, beside those they have",
		Description:   "A few accounts are seen to before the answer; many by the workers: waiting says how many are left.",
		DefaultStatus: http.StatusAccepted},
		GrantsWrite, func(ctx context.Context, by caller, in *struct{ Body newReassignment }) (*single[Reassignment], error) {
			made, err := s.Posture.Reassign(ctx, by.cause, by.Workspace, in.Body.wanted())
			if err != nil {
				return nil, err
			}
			return &single[Reassignment]{reassignmentOf(made)}, nil
		})
	add(api, huma.Operation{OperationID: "listReassignments", Method: http.MethodGet, Path: "/posture/reassignments", Tags: tags, Summary: "List reassignments, latest first"},
		PostureRead, func(ctx context.Context, by caller, in *reassignmentList) (*listed[Reassignment], error) {
			found, err := s.Posture.Reassignments(ctx, s.DB, by.Workspace, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, reassignmentOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getReassignment", Method: http.MethodGet, Path: "/posture/reassignments/{id}", Tags: tags, Summary: "Get how far a reassignment has come"},
		PostureRead, func(ctx context.Context, by caller, in *byID) (*single[Reassignment], error) {
			found, err := s.Posture.Progress(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Reassignment]{reassignmentOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "listReassignedAccounts", Method: http.MethodGet, Path: "/posture/reassignments/{id}/accounts", Tags: tags, Summary: "List what became of each account of a reassignment"},
		PostureRead, func(ctx context.Context, by caller, in *reassignedList) (*listed[ReassignedAccount], error) {
			found, err := s.Posture.Rows(ctx, s.DB, by.Workspace, in.ID, posture.Outcome(in.Outcome), in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, reassignedOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].Account.String()
			}
			return answer, nil
		})
}
