package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/links"
)

// Partner is an organisation outside, whose people are guests.
type Partner struct {
	ID        core.ID    `json:"id"`
	Name      string     `json:"name"`
	Domains   []string   `json:"domains" nullable:"false" doc:"Of its e-mail addresses"`
	Sponsor   core.ID    `json:"sponsor" doc:"The user who answers for it"`
	SponsorIs string     `json:"sponsor_name" etag:"-"`
	Sponsored bool       `json:"sponsored" etag:"-" doc:"The sponsor is an active member still; otherwise it is a finding, partner_sponsorless"`
	Ends      *time.Time `json:"ends,omitempty" doc:"No guest of it has access after that"`
	Created   time.Time  `json:"created"`
	Ended     *time.Time `json:"ended,omitempty"`
	Guests    int        `json:"guests" etag:"-" doc:"Who were invited and not sent away"`
}

func partnerOf(one links.Partner) Partner {
	return Partner{one.ID, one.Name, one.Domains, one.Sponsor, one.SponsorIs, one.Sponsored, one.Ends, one.Created, one.Ended, one.Guests}
}

// PartnerSettings are what an administrator says of a partner.
type PartnerSettings struct {
	Name    string     `json:"name" minLength:"1" maxLength:"100"`
	Domains []string   `json:"domains" minItems:"1" maxItems:"50" nullable:"false" doc:"Whoever is invited as a guest with an address at one of them is of this partner; none where everybody may have a mailbox"`
	Sponsor core.ID    `json:"sponsor" doc:"An active user of the workspace, neither guest nor login-only"`
	Ends    *time.Time `json:"ends,omitempty" doc:"When it ends by itself; absent: when somebody ends it"`
}

func (p PartnerSettings) wanted() links.NewPartner {
	return links.NewPartner{Name: p.Name, Domains: p.Domains, Sponsor: p.Sponsor, Ends: p.Ends}
}

// PartnerEnd is what ending a partner would do now.
type PartnerEnd struct {
	Guests   []PartnerGuest   `json:"guests" nullable:"false" doc:"Who are sent away"`
	Accounts []PartnerAccount `json:"accounts" nullable:"false" doc:"What they saw, or could have seen"`
}

// PartnerGuest is somebody who would be sent away.
type PartnerGuest struct {
	ID    core.ID `json:"id" doc:"Of the user they are"`
	Email string  `json:"email"`
	Name  string  `json:"name"`
}

// PartnerAccount is an account that guests of a partner saw, or could have seen.
type PartnerAccount struct {
	ID       core.ID `json:"id"`
	AppName  string  `json:"app_name"`
	Username string  `json:"username"`
	Known    bool    `json:"known" doc:"One of them saw the password it has now"`
	Rotated  bool    `json:"rotated" doc:"Its password would be changed; otherwise a policy says that it stays"`
}

func partnerEndOf(would links.PartnerEnd) *single[PartnerEnd] {
	answer := PartnerEnd{[]PartnerGuest{}, []PartnerAccount{}}
	for _, one := range would.Guests {
		answer.Guests = append(answer.Guests, PartnerGuest{one.User, one.Email, one.Name})
	}
	for _, one := range would.Accounts {
		answer.Accounts = append(answer.Accounts, PartnerAccount{one.Account, one.AppName, one.Username, one.SawVersionCurrent, one.Rotated})
	}
	return &single[PartnerEnd]{answer}
}

type partnerList struct {
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type changedPartner struct {
	ID   core.ID `path:"id"`
	Body PartnerSettings
}

func (s *Service) partners(api huma.API) {
	tags := []string{"Guests"}
	answered := func(one links.Partner, err error) (*single[Partner], error) {
		if err != nil {
			return nil, err
		}
		return &single[Partner]{partnerOf(one)}, nil
	}
	add(api, huma.Operation{OperationID: "listPartners", Method: http.MethodGet, Path: "/partners", Tags: tags, Summary: "List partners, and those that have ended, oldest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *partnerList) (*listed[Partner], error) {
			found, err := s.Links.Partners(ctx, s.DB, by.Workspace, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, partnerOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "createPartner", Method: http.MethodPost, Path: "/partners", Tags: tags, Summary: "Make a partner: an organisation whose people are guests",
		Description: "Guests at its domains who are here already become its. A domain is of one partner at a time.", DefaultStatus: http.StatusCreated},
		DirectoryWrite, func(ctx context.Context, by caller, in *single[PartnerSettings]) (*single[Partner], error) {
			return answered(s.Links.CreatePartner(ctx, by.cause, by.Workspace, in.Body.wanted()))
		})
	add(api, huma.Operation{OperationID: "getPartner", Method: http.MethodGet, Path: "/partners/{id}", Tags: tags, Summary: "Get a partner"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*single[Partner], error) {
			return answered(s.Links.Partner(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "replacePartner", Method: http.MethodPut, Path: "/partners/{id}", Tags: tags, Summary: "Replace what is said of a partner",
		Description: "Its guests stay its own, whatever becomes of their domain. One that has ended is made anew: code `ended`."},
		DirectoryWrite, func(ctx context.Context, by caller, in *changedPartner) (*single[Partner], error) {
			return answered(s.Links.ChangePartner(ctx, by.cause, by.Workspace, in.ID, in.Body.wanted()))
		})
	add(api, huma.Operation{OperationID: "previewPartnerEnd", Method: http.MethodGet, Path: "/partners/{id}/end-preview", Tags: tags, Summary: "See what ending a partner would do now"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*single[PartnerEnd], error) {
			would, err := s.Links.PreviewPartnerEnd(ctx, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return partnerEndOf(would), nil
		})
	add(api, huma.Operation{OperationID: "endPartner", Method: http.MethodPost, Path: "/partners/{id}/end", Tags: tags, Summary: "End a partner, and the access of all its guests",
		Description: "Each leaves like anybody else: sessions end, what they had is taken, and what they knew is rotated. " +
			"From then on none of them signs in; guests counts those who are sent away in the next moments."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[Partner], error) {
			return answered(s.Links.EndPartner(ctx, by.cause, by.Workspace, in.ID))
		})
}
