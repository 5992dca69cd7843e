package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/rotation"
)

// Login is an account an app has, as its administrator was told.
type Login struct {
	Username  string    `json:"username"`
	Name      string    `json:"name,omitempty" doc:"What the app calls whoever has it"`
	Disabled  bool      `json:"disabled" doc:"The app lets it in no more"`
	FirstSeen time.Time `json:"first_seen"`
	Seen      time.Time `json:"seen"`
	Account   *core.ID  `json:"account,omitempty" doc:"The account here; none: Postern knows nothing of it"`
	Managed   bool      `json:"managed" doc:"Postern keeps its password up to date"`
}

// Listing is what is known of which accounts an app has.
type Listing struct {
	Asked       time.Time  `json:"asked"`
	Listed      *time.Time `json:"listed,omitempty" doc:"When the app told all last"`
	Detail      string     `json:"detail,omitempty" doc:"Why there is none, or an old one"`
	Attempts    int        `json:"attempts" doc:"Without an answer"`
	NextAttempt *time.Time `json:"next_attempt,omitempty" doc:"None: a person is needed"`
	Correlation core.ID    `json:"correlation" doc:"Find its whole story: GET /events?correlation="`
}

func loginOf(one rotation.Login) Login {
	out := Login{Username: one.Username, Name: one.Name, Disabled: one.Disabled, FirstSeen: one.FirstSeen, Seen: one.Seen, Managed: one.Managed}
	if !one.Account.IsZero() {
		out.Account = &one.Account
	}
	return out
}

func listingOf(one rotation.Listing) Listing {
	return Listing{Asked: one.Asked, Listed: one.Listed, Detail: one.Detail, Attempts: one.Attempts, NextAttempt: one.NextAttempt, Correlation: one.Cause.Correlation}
}

type loginList struct {
	ID        core.ID `path:"id" doc:"The app"`
	Unmanaged bool    `query:"unmanaged" doc:"Only those whose passwords Postern does not keep up to date"`
	Limit     int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor    string  `query:"cursor" maxLength:"512" doc:"next of the page before"`
}

func (s *Service) logins(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "listLogins", Method: http.MethodGet, Path: "/apps/{id}/logins", Tags: tags, Summary: "List the accounts an app has",
		Description: "As the app told its reconcile account last: also those that Postern does not manage."},
		AppsRead, func(ctx context.Context, by caller, in *loginList) (*listed[Login], error) {
			if _, err := s.Accounts.App(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Rotations.Logins(ctx, s.DB, by.Workspace, in.ID, in.Unmanaged, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, loginOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].Username
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "refreshLogins", Method: http.MethodPost, Path: "/apps/{id}/logins", Tags: tags, Summary: "Have the app tell which accounts it has",
		Description: "Soon, and from then on every day. The app's reconcile account asks.", DefaultStatus: http.StatusAccepted},
		AppsWrite, func(ctx context.Context, by caller, in *byID) (*single[Listing], error) {
			var asked rotation.Listing
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				asked, err = s.Rotations.ListLogins(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Listing]{listingOf(asked)}, nil
		})
	add(api, huma.Operation{OperationID: "getListing", Method: http.MethodGet, Path: "/apps/{id}/listing", Tags: tags, Summary: "Say when the app told which accounts it has"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[Listing], error) {
			found, err := s.Rotations.Listing(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Listing]{listingOf(found)}, nil
		})
}
