package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/accounts"
	"postern/core/reviews"
)

// ReviewScope is what a review asks about. Each field narrows it.
type ReviewScope struct {
	Apps       []core.ID `json:"apps,omitempty" maxItems:"1000" doc:"Accounts in any of them"`
	Tags       []string  `json:"tags,omitempty" maxItems:"20" doc:"Accounts with any of them"`
	Accounts   []core.ID `json:"accounts,omitempty" maxItems:"1000" doc:"Any of these"`
	Excluded   []core.ID `json:"excluded,omitempty" maxItems:"1000" doc:"Never these accounts"`
	Role       string    `json:"role,omitempty" enum:"owner,collaborator,"`
	Kinds      []string  `json:"kinds,omitempty" maxItems:"4" enum:"user,guest,team,service_account" doc:"Of who has the access; access through a team is the team's. Service accounts are asked about only if they are named: about their scopes"`
	OlderDays  int       `json:"older_days,omitempty" minimum:"0" maximum:"3660" doc:"Given at least so long ago"`
	UnusedDays int       `json:"unused_days,omitempty" minimum:"0" maximum:"3660" doc:"Given, and last used, at least so long ago"`
}

func (r ReviewScope) scope() reviews.Scope {
	scope := reviews.Scope{
		Apps: r.Apps, Tags: r.Tags, Accounts: r.Accounts, Excluded: r.Excluded, Role: accounts.Role(r.Role), OlderDays: r.OlderDays, UnusedDays: r.UnusedDays,
	}
	for _, kind := range r.Kinds {
		scope.Kinds = append(scope.Kinds, reviews.Kind(kind))
	}
	return scope
}

func reviewScopeOf(one reviews.Scope) ReviewScope {
	shown := ReviewScope{
		Apps: one.Apps, Tags: one.Tags, Accounts: one.Accounts, Excluded: one.Excluded, Role: string(one.Role), OlderDays: one.OlderDays, UnusedDays: one.UnusedDays,
	}
	for _, kind := range one.Kinds {
		shown.Kinds = append(shown.Kinds, string(kind))
	}
	return shown
}

// ReviewCampaign is what is asked, once or again and again.
type ReviewCampaign struct {
	ID        core.ID     `json:"id"`
	Name      string      `json:"name"`
	Scope     ReviewScope `json:"scope"`
	Sentence  string      `json:"sentence" doc:"The scope in words"`
	Days      int         `json:"days" doc:"Reviewers have"`
	Fallback  string      `json:"fallback" enum:"keep,revoke" doc:"What is done where nobody decides"`
	Reminders []int       `json:"reminders" nullable:"false" doc:"So many days before the last one; 0 is on it"`
	Months    int         `json:"months" doc:"Until it begins again; 0: by hand only"`
	Next      *time.Time  `json:"next,omitempty" doc:"When it begins by itself"`
	Version   int         `json:"version"`
	Created   time.Time   `json:"created"`
	Updated   time.Time   `json:"updated"`
}

func reviewCampaignOf(one reviews.Campaign) ReviewCampaign {
	return ReviewCampaign{
		one.ID, one.Name, reviewScopeOf(one.Scope), one.Scope.Words(), one.Days, string(one.Fallback), append([]int{}, one.Reminders...), one.Months,
		one.Next, one.Version, one.Created, one.Updated,
	}
}

// newReviewCampaign is a campaign as a caller wants it.
type newReviewCampaign struct {
	Name      string       `json:"name" minLength:"1" maxLength:"100"`
	Scope     *ReviewScope `json:"scope,omitempty" doc:"Every access when absent"`
	Days      int          `json:"days" minimum:"1" maximum:"180" doc:"Reviewers have: it ends with the day so many days after it began, in UTC"`
	Fallback  string       `json:"fallback,omitempty" enum:"keep,revoke" default:"revoke" doc:"What is done where nobody decides"`
	Reminders []int        `json:"reminders,omitempty" maxItems:"10" minimum:"0" maximum:"179" doc:"So many days before the last one; 7, 3 and 0 when absent"`
	Months    int          `json:"months,omitempty" minimum:"0" maximum:"36" doc:"Until it begins again; 0: by hand only"`
	Begins    *time.Time   `json:"begins,omitempty" doc:"With months: when it begins for the first time"`
}

func (n newReviewCampaign) campaign() reviews.Campaign {
	wanted := reviews.Campaign{
		Name: n.Name, Days: n.Days, Fallback: reviews.Verdict(n.Fallback), Reminders: n.Reminders, Months: n.Months, Anchor: n.Begins,
	}
	if n.Scope != nil {
		wanted.Scope = n.Scope.scope()
	}
	return wanted
}

type createReviewCampaign struct{ Body newReviewCampaign }

type replaceReviewCampaign struct {
	ID   core.ID `path:"id" doc:"The campaign"`
	Body newReviewCampaign
}

// ReviewPreview is one item there would be.
type ReviewPreview struct {
	Grant        core.ID    `json:"grant,omitzero" doc:"Absent: of a service account"`
	Account      core.ID    `json:"account,omitzero" doc:"Absent: of a service account"`
	Service      core.ID    `json:"service_account,omitzero" doc:"Whose scopes are asked about"`
	AppName      string     `json:"app_name"`
	Username     string     `json:"username"`
	Kind         string     `json:"kind" enum:"user,guest,team,service_account"`
	Subject      string     `json:"subject"`
	Role         string     `json:"role" doc:"owner or collaborator; of a service account its scopes"`
	Given        time.Time  `json:"given"`
	Expires      *time.Time `json:"expires,omitempty"`
	LastUsed     *time.Time `json:"last_used,omitempty"`
	Reviewer     core.ID    `json:"reviewer,omitzero" doc:"Who would be asked; absent: nobody but administrators"`
	ReviewerName string     `json:"reviewer_name,omitempty"`
	AskedAs      string     `json:"asked_as,omitempty" enum:"owner,manager,administrator,"`
}

func reviewPreviewOf(one reviews.Preview) ReviewPreview {
	return ReviewPreview{
		one.Grant, one.Account, one.Service, one.AppName, one.Username, string(one.Kind), one.Subject, one.Role, one.Given, one.Expires, one.LastUsed,
		one.Reviewer, one.Reviewing, string(one.AskedAs),
	}
}

// ReviewDraft is a page of what a scope would ask, and how much in all.
type ReviewDraft struct {
	page[ReviewPreview]
	Sentence string `json:"sentence" doc:"The scope in words"`
	Total    int    `json:"total" doc:"Items in all; a review has at most 50000"`
}

type reviewPreview struct {
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
	Body   ReviewScope
}

func (s *Service) reviewCampaigns(api huma.API, tags []string) {
	one := func(found reviews.Campaign, err error) (*single[ReviewCampaign], error) {
		if err != nil {
			return nil, err
		}
		return &single[ReviewCampaign]{reviewCampaignOf(found)}, nil
	}
	add(api, huma.Operation{OperationID: "listReviewCampaigns", Method: http.MethodGet, Path: "/review-campaigns", Tags: tags, Summary: "List what is asked again and again"},
		ReviewsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[ReviewCampaign], error) {
			found, err := s.Reviews.Campaigns(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, reviewCampaignOf), nil
		})
	add(api, huma.Operation{OperationID: "createReviewCampaign", Method: http.MethodPost, Path: "/review-campaigns", Tags: tags, Summary: "Add a campaign",
		Description: "Nobody is asked before it begins.", DefaultStatus: http.StatusCreated},
		ReviewsWrite, func(ctx context.Context, by caller, in *createReviewCampaign) (*single[ReviewCampaign], error) {
			return one(s.Reviews.Create(ctx, by.cause, by.Workspace, in.Body.campaign()))
		})
	add(api, huma.Operation{OperationID: "getReviewCampaign", Method: http.MethodGet, Path: "/review-campaigns/{id}", Tags: tags, Summary: "Get a campaign"},
		ReviewsRead, func(ctx context.Context, by caller, in *byID) (*single[ReviewCampaign], error) {
			return one(s.Reviews.Campaign(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "replaceReviewCampaign", Method: http.MethodPut, Path: "/review-campaigns/{id}", Tags: tags, Summary: "Replace a campaign",
		Description: "Reviews that have begun stay as they are."},
		ReviewsWrite, func(ctx context.Context, by caller, in *replaceReviewCampaign) (*single[ReviewCampaign], error) {
			return one(s.Reviews.Change(ctx, by.cause, by.Workspace, in.ID, 0, func(campaign *reviews.Campaign) { *campaign = in.Body.campaign() }))
		})
	add(api, huma.Operation{OperationID: "deleteReviewCampaign", Method: http.MethodDelete, Path: "/review-campaigns/{id}", Tags: tags, Summary: "Remove a campaign",
		Description: "Its reviews stay, and go on.", DefaultStatus: http.StatusNoContent},
		ReviewsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Reviews.Remove(ctx, by.cause, by.Workspace, in.ID)
		})
	add(api, huma.Operation{OperationID: "startReviewCampaign", Method: http.MethodPost, Path: "/review-campaigns/{id}/start", Tags: tags, Summary: "Begin a review now",
		Description: "What it asks is written down as it is at this moment, and everybody who is asked gets mail.", DefaultStatus: http.StatusCreated},
		ReviewsWrite, func(ctx context.Context, by caller, in *byID) (*single[Review], error) {
			begun, err := s.Reviews.Start(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Review]{reviewOf(begun)}, nil
		})
	add(api, huma.Operation{OperationID: "previewReview", Method: http.MethodPost, Path: "/review-previews", Tags: tags, Summary: "List what a review of a scope would ask, and whom",
		Description: "Nothing is changed by it."},
		ReviewsRead, func(ctx context.Context, by caller, in *reviewPreview) (*single[ReviewDraft], error) {
			total, found, err := s.Reviews.Preview(ctx, s.DB, by.Workspace, in.Body.scope(), in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, reviewPreviewOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return &single[ReviewDraft]{ReviewDraft{answer.Body, in.Body.scope().Words(), total}}, nil
		})
}

// ReviewSetting is what holds about the small reviews of a trigger.
type ReviewSetting struct {
	Trigger  string `json:"trigger" enum:"owner_change,scope_growth,unused" doc:"Somebody became an owner; a service account may do more; access that nobody used for 90 days"`
	Enabled  bool   `json:"enabled"`
	Days     int    `json:"days" minimum:"1" maximum:"180" doc:"Reviewers have"`
	Fallback string `json:"fallback" enum:"keep,revoke" doc:"What is done where nobody decides"`
}

// ReviewSettings are what holds about small reviews.
type ReviewSettings struct {
	Triggers []ReviewSetting `json:"triggers" minItems:"1" maxItems:"3" nullable:"false" doc:"Those that are left out stay as they are"`
}

func (s *Service) reviewSettings(api huma.API, tags []string) {
	settings := func(ctx context.Context, by caller) (*single[ReviewSettings], error) {
		found, err := s.Reviews.Settings(ctx, s.DB, by.Workspace)
		if err != nil {
			return nil, err
		}
		shown := ReviewSettings{Triggers: []ReviewSetting{}}
		for _, one := range found {
			shown.Triggers = append(shown.Triggers, ReviewSetting{string(one.Trigger), one.Enabled, one.Days, string(one.Fallback)})
		}
		return &single[ReviewSettings]{shown}, nil
	}
	add(api, huma.Operation{OperationID: "getReviewSettings", Method: http.MethodGet, Path: "/review-settings", Tags: tags, Summary: "Get what holds about small reviews"},
		ReviewsRead, func(ctx context.Context, by caller, _ *struct{}) (*single[ReviewSettings], error) {
			return settings(ctx, by)
		})
	add(api, huma.Operation{OperationID: "putReviewSettings", Method: http.MethodPut, Path: "/review-settings", Tags: tags, Summary: "Change what holds about small reviews from now on"},
		ReviewsWrite, func(ctx context.Context, by caller, in *struct{ Body ReviewSettings }) (*single[ReviewSettings], error) {
			wanted := make([]reviews.Setting, len(in.Body.Triggers))
			for i, one := range in.Body.Triggers {
				wanted[i] = reviews.Setting{Trigger: reviews.Trigger(one.Trigger), Enabled: one.Enabled, Days: one.Days, Fallback: reviews.Verdict(one.Fallback)}
			}
			if err := s.Reviews.Set(ctx, by.cause, by.Workspace, wanted...); err != nil {
				return nil, err
			}
			return settings(ctx, by)
		})
}
