package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/links"
)

// Guest is somebody who was invited, and signs in by mailed codes.
type Guest struct {
	ID          core.ID    `json:"id" doc:"Of the user they are; accounts are shared with it"`
	Email       string     `json:"email"`
	Name        string     `json:"name"`
	State       string     `json:"state" enum:"invited,present,expired,removed"`
	Invited     time.Time  `json:"invited" doc:"Last"`
	InvitedBy   core.ID    `json:"invited_by,omitzero" doc:"A user; absent: a service account, or the operator"`
	Invitations int        `json:"invitations" doc:"How often they were invited"`
	Expires     time.Time  `json:"expires" doc:"The invitation, if it is not accepted"`
	Accepted    *time.Time `json:"accepted,omitempty" doc:"When they first proved their mailbox"`
	Ended       *time.Time `json:"ended,omitempty"`
	Partner     core.ID    `json:"partner,omitzero" doc:"Whose guest they are, by their address when they were invited"`
}

func (s *Service) guestOf(one links.Guest) Guest {
	return Guest{one.User, one.Email, one.Name, string(one.State(s.now())), one.Invited, one.InvitedBy, one.Invitations, one.Expires, one.Accepted, one.Ended, one.Partner}
}

// GuestSettings say who may invite guests, and whom.
type GuestSettings struct {
	Inviters     string `json:"inviters" enum:"owners,administrators,account_owners" doc:"Of the workspace; they and admins; they and every user who owns an account"`
	PartnersOnly *bool  `json:"partners_only,omitempty" doc:"Nobody is invited but people at the domains of partners; unchanged when absent"`
}

func guestSettingsOf(said links.Settings) *single[GuestSettings] {
	return &single[GuestSettings]{GuestSettings{string(said.Inviters), &said.PartnersOnly}}
}

type inviteGuest struct {
	Body struct {
		Email       string `json:"email" minLength:"3" maxLength:"320"`
		Name        string `json:"name,omitempty" maxLength:"200"`
		LifeSeconds int64  `json:"life_seconds,omitempty" minimum:"3600" maximum:"2592000" default:"604800" doc:"Of the invitation"`
	}
}

type guestList struct {
	Partner core.ID `query:"partner" doc:"Only those of this partner"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor  core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) guests(api huma.API) {
	tags := []string{"Guests"}
	add(api, huma.Operation{OperationID: "listGuests", Method: http.MethodGet, Path: "/guests", Tags: tags, Summary: "List guests, and who was one, oldest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *guestList) (*listed[Guest], error) {
			found, err := s.Links.Guests(ctx, s.DB, by.Workspace, in.Cursor, core.ID{}, in.Partner, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, s.guestOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].User.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "inviteGuest", Method: http.MethodPost, Path: "/guests", Tags: tags, Summary: "Invite somebody as a guest",
		Description: "They are mailed where to sign in, and a code each time they do. A guest is a collaborator at most. " +
			"Whoever is, or was, provisioned by an identity provider is no guest: code `member`. An address at a partner's domain makes them its guest, as long as it lasts; " +
			"others may be refused: code `partners_only`.", DefaultStatus: http.StatusCreated},
		DirectoryWrite, func(ctx context.Context, by caller, in *inviteGuest) (*single[Guest], error) {
			made, err := s.Links.Invite(ctx, by.cause, by.Workspace, links.Invitation{
				Email: in.Body.Email, Name: in.Body.Name, Life: time.Duration(in.Body.LifeSeconds) * time.Second,
			})
			if err != nil {
				return nil, err
			}
			return &single[Guest]{s.guestOf(made)}, nil
		})
	add(api, huma.Operation{OperationID: "getGuest", Method: http.MethodGet, Path: "/guests/{id}", Tags: tags, Summary: "Get a guest"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*single[Guest], error) {
			found, err := s.Links.Guest(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Guest]{s.guestOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "resendInvitation", Method: http.MethodPost, Path: "/guests/{id}/resend", Tags: tags, Summary: "Send an invitation again",
		Description: "It lives as long as the first time, from now on."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[Guest], error) {
			after, err := s.Links.Resend(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Guest]{s.guestOf(after)}, nil
		})
	add(api, huma.Operation{OperationID: "removeGuest", Method: http.MethodDelete, Path: "/guests/{id}", Tags: tags, Summary: "Take an invitation back, or send a guest away",
		Description: "They leave like anybody else: sessions end, what they had is taken, and what they knew is rotated.", DefaultStatus: http.StatusNoContent},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Links.Remove(ctx, by.cause, by.Workspace, in.ID)
		})
	add(api, huma.Operation{OperationID: "getGuestSettings", Method: http.MethodGet, Path: "/guest-settings", Tags: tags, Summary: "Get who may invite guests, and whom"},
		DirectoryRead, func(ctx context.Context, by caller, _ *struct{}) (*single[GuestSettings], error) {
			said, err := s.Links.Settings(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return guestSettingsOf(said), nil
		})
	add(api, huma.Operation{OperationID: "putGuestSettings", Method: http.MethodPut, Path: "/guest-settings", Tags: tags, Summary: "Say who may invite guests, and whom"},
		DirectoryWrite, func(ctx context.Context, by caller, in *single[GuestSettings]) (*single[GuestSettings], error) {
			wanted, err := s.Links.Settings(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			if wanted.Inviters = links.Inviters(in.Body.Inviters); in.Body.PartnersOnly != nil {
				wanted.PartnersOnly = *in.Body.PartnersOnly
			}
			if err := s.Links.ChangeSettings(ctx, by.cause, by.Workspace, wanted); err != nil {
				return nil, err
			}
			return guestSettingsOf(wanted), nil
		})
}
