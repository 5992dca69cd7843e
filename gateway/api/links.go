package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/links"
)

// Link is a public share of an account, for people without a user.
type Link struct {
	ID            core.ID    `json:"id"`
	Account       core.ID    `json:"account"`
	AppName       string     `json:"app_name"`
	Username      string     `json:"username"`
	Owner         core.ID    `json:"owner" doc:"The owner of the account who answers for it"`
	OwnerName     string     `json:"owner_name"`
	Level         string     `json:"level" enum:"filled,revealed" doc:"filled hands the password over to be pasted without showing it; revealed shows it. Either way the recipient has it afterwards"`
	Recipients    []string   `json:"recipients" nullable:"false" doc:"E-mail addresses"`
	Domains       []string   `json:"domains" nullable:"false" doc:"Everybody with an address there"`
	Once          bool       `json:"once" doc:"It can be viewed once, by whoever is first"`
	DeviceLock    bool       `json:"device_lock" doc:"Each recipient opens it on the device they first opened it on"`
	LingerSeconds int64      `json:"linger_seconds" doc:"With once: how long after the view the password stays good"`
	Purpose       string     `json:"purpose,omitempty"`
	State         string     `json:"state" enum:"active,viewed,ended" doc:"viewed: its one view was had, and the password is about to be rotated"`
	Created       time.Time  `json:"created"`
	Expires       time.Time  `json:"expires" doc:"As it was made"`
	Ends          time.Time  `json:"ends" doc:"When it ends, or ended"`
	Why           string     `json:"why,omitempty" enum:"expired,viewed,revoked,owner_gone" doc:"It ended"`
	Views         int        `json:"views"`
	Viewed        *time.Time `json:"viewed,omitempty" doc:"First"`
	Rotation      core.ID    `json:"rotation,omitzero" doc:"That its end started; absent while it has not ended, or if no policy wants one"`
}

func (s *Service) linkOf(one links.Link) Link {
	shown := Link{
		ID: one.ID, Account: one.Account, AppName: one.AppName, Username: one.Username, Owner: one.Owner, OwnerName: one.OwnerName, Level: string(one.Level),
		Recipients: one.Recipients, Domains: one.Domains, Once: one.Once, DeviceLock: one.DeviceLock, LingerSeconds: int64(one.Linger / time.Second),
		Purpose: one.Purpose, State: string(one.State(s.now())), Created: one.Created, Expires: one.Expires, Ends: one.Due, Views: one.Views,
		Viewed: one.Viewed, Rotation: one.Rotation,
	}
	if shown.State == string(links.Ended) {
		shown.Why = one.Why
	}
	return shown
}

// NewLink is a link that was just made, with its address.
type NewLink struct {
	Link
	URL string `json:"url" doc:"Its address. It is shown once"`
}

// LinkView is a receipt of one time somebody was given the password by a link.
type LinkView struct {
	ID        core.ID   `json:"id"`
	Recipient string    `json:"recipient" doc:"The address they proved by a mailed code"`
	Version   int       `json:"version" doc:"Which password"`
	Seen      time.Time `json:"seen"`
	Address   string    `json:"address" doc:"IP address"`
	Agent     string    `json:"agent" doc:"Their browser"`
}

func linkViewOf(one links.View) LinkView {
	return LinkView{one.ID, one.Recipient, one.Version, one.Seen, one.Address, one.Agent}
}

type createLink struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Owner         core.ID  `json:"owner" doc:"The owner of the account in whose name it is made: it ends when they leave, or own the account no more"`
		Recipients    []string `json:"recipients,omitempty" maxItems:"20" doc:"E-mail addresses"`
		Domains       []string `json:"domains,omitempty" maxItems:"20" doc:"Everybody with an address there, such as example.com"`
		Level         string   `json:"level,omitempty" enum:"filled,revealed" default:"filled"`
		LifeSeconds   int64    `json:"life_seconds,omitempty" minimum:"60" maximum:"2592000" default:"604800"`
		Once          bool     `json:"once,omitempty" doc:"One view"`
		DeviceLock    bool     `json:"device_lock,omitempty"`
		LingerSeconds *int64   `json:"linger_seconds,omitempty" minimum:"0" maximum:"86400" doc:"With once: how long after the view the password stays good; an hour when absent"`
		Purpose       string   `json:"purpose,omitempty" maxLength:"200" doc:"What for, for people to read"`
		Send          bool     `json:"send,omitempty" doc:"Mail its address to the recipients"`
	}
}

type linkList struct {
	Account core.ID `query:"account"`
	Live    bool    `query:"live" doc:"Only those that have not ended"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor  core.ID `query:"cursor" doc:"next of the page before"`
}

type linkViews struct {
	ID     core.ID `path:"id" doc:"The link"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) links(api huma.API) {
	tags := []string{"Links"}
	add(api, huma.Operation{OperationID: "listLinks", Method: http.MethodGet, Path: "/links", Tags: tags, Summary: "List links, latest first"},
		LinksRead, func(ctx context.Context, by caller, in *linkList) (*listed[Link], error) {
			found, err := s.Links.List(ctx, s.DB, by.Workspace, links.Query{Account: in.Account, Live: in.Live, Limit: in.Limit, Before: in.Cursor})
			if err != nil {
				return nil, err
			}
			answer := listing(found, s.linkOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "createLink", Method: http.MethodPost, Path: "/accounts/{id}/links", Tags: tags, Summary: "Make a link to an account",
		Description: "It opens for its recipients alone, who prove their mailbox by a code that is mailed to them, and ends by itself. When it ends the account is rotated, by policy. " +
			"Every view is an exposure, with a receipt.", DefaultStatus: http.StatusCreated},
		LinksWrite, func(ctx context.Context, by caller, in *createLink) (*single[NewLink], error) {
			wanted := links.NewLink{
				Account: in.ID, Owner: in.Body.Owner, Recipients: in.Body.Recipients, Domains: in.Body.Domains, Level: links.Level(in.Body.Level),
				Life: time.Duration(in.Body.LifeSeconds) * time.Second, Once: in.Body.Once, DeviceLock: in.Body.DeviceLock, Purpose: in.Body.Purpose, Send: in.Body.Send,
			}
			if in.Body.LingerSeconds != nil {
				wanted.Linger = new(time.Duration(*in.Body.LingerSeconds) * time.Second)
			}
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			made, address, err := s.Links.Create(ctx, by.cause, by.Workspace, wanted)
			if err != nil {
				return nil, err
			}
			return &single[NewLink]{NewLink{s.linkOf(made), address.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "getLink", Method: http.MethodGet, Path: "/links/{id}", Tags: tags, Summary: "Get a link"},
		LinksRead, func(ctx context.Context, by caller, in *byID) (*single[Link], error) {
			found, err := s.Links.Link(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Link]{s.linkOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "listLinkViews", Method: http.MethodGet, Path: "/links/{id}/views", Tags: tags, Summary: "List who viewed a link, latest first"},
		LinksRead, func(ctx context.Context, by caller, in *linkViews) (*listed[LinkView], error) {
			if _, err := s.Links.Link(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Links.Views(ctx, s.DB, by.Workspace, in.ID, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, linkViewOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "revokeLink", Method: http.MethodDelete, Path: "/links/{id}", Tags: tags, Summary: "End a link now",
		Description: "What follows is done at once. Of a link that has ended it changes nothing.", DefaultStatus: http.StatusNoContent},
		LinksWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			_, err := s.Links.Revoke(ctx, by.cause, by.Workspace, in.ID)
			return nil, err
		})
}
