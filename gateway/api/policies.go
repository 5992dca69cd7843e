package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
)

// PolicyScope is which accounts a policy is about.
type PolicyScope struct {
	Covers   string    `json:"covers,omitempty" enum:"all,apps,tags,accounts" default:"all" doc:"Only the list it names is filled"`
	Apps     []core.ID `json:"apps,omitempty" maxItems:"1000"`
	Tags     []string  `json:"tags,omitempty" maxItems:"20" doc:"Accounts with any of them"`
	Accounts []core.ID `json:"accounts,omitempty" maxItems:"1000"`
	Excluded []core.ID `json:"excluded,omitempty" maxItems:"1000" doc:"Accounts the policy never touches"`
}

// PolicySchedule is when a policy rotates by itself. One of days, weekdays and month_days is given.
type PolicySchedule struct {
	Days      int      `json:"days,omitempty" minimum:"0" maximum:"366" doc:"Every so many days"`
	Start     string   `json:"start,omitempty" maxLength:"10" doc:"With days: the first one, as 2026-11-23; the next one when absent"`
	Weekdays  []string `json:"weekdays,omitempty" maxItems:"7" doc:"monday, tuesday …"`
	MonthDays []int    `json:"month_days,omitempty" maxItems:"31" doc:"1 to 31; in a shorter month its last day"`
	Zone      string   `json:"zone,omitempty" maxLength:"100" default:"UTC" doc:"Time zone, such as Europe/Berlin"`
	From      string   `json:"from,omitempty" maxLength:"5" doc:"Begin of each day's window, as 02:00"`
	To        string   `json:"to,omitempty" maxLength:"5" doc:"Its end; not after from: on the next day. Rotations begin spread over the window"`
}

// Policy is what starts rotations.
type Policy struct {
	ID             core.ID         `json:"id,omitzero" doc:"Absent: the default of its trigger, which holds until there is a policy about it"`
	Name           string          `json:"name"`
	Trigger        string          `json:"trigger" enum:"schedule,sign_in,deprovision,logout,revocation,owner_change,admin_change,link_end"`
	Enabled        bool            `json:"enabled"`
	Scope          PolicyScope     `json:"scope"`
	SpacingSeconds int64           `json:"spacing_seconds" doc:"How long ago an account's last rotation must have finished. Whoever knows the password and leaves, is logged out or loses access is locked out all the same"`
	DelaySeconds   int64           `json:"delay_seconds,omitempty" doc:"Of sign_in: how long after"`
	Schedule       *PolicySchedule `json:"schedule,omitempty"`
	Version        int             `json:"version"`
	Created        *time.Time      `json:"created,omitempty"`
	Updated        *time.Time      `json:"updated,omitempty"`
	Sentence       string          `json:"sentence" etag:"-" doc:"What it does, in words"`
	Accounts       int             `json:"accounts" etag:"-" doc:"How many it covers now"`
	Next           *time.Time      `json:"next,omitempty" etag:"-" doc:"When the window of the next occurrence opens, or that of the present one opened"`
	Finished       *time.Time      `json:"finished,omitempty" etag:"-" doc:"When an occurrence was last carried out to its end"`
	Planned        int             `json:"planned" etag:"-" doc:"Rotations begun in the latest occurrence"`
	Passed         int             `json:"passed" etag:"-" doc:"Accounts passed over in it"`
}

func policyOf(one policies.Described) Policy {
	shown := Policy{
		ID: one.ID, Name: one.Name, Trigger: string(one.Trigger), Enabled: one.Enabled, SpacingSeconds: int64(one.Spacing / time.Second),
		Scope:        PolicyScope{string(one.Scope.Covers), one.Scope.Apps, one.Scope.Tags, one.Scope.Accounts, one.Scope.Excluded},
		DelaySeconds: int64(one.Delay / time.Second), Version: one.Version, Sentence: one.Sentence, Accounts: one.Accounts, Next: one.Next,
		Finished: one.Round.Finished, Planned: one.Round.Planned, Passed: one.Round.Passed,
	}
	if !one.ID.IsZero() {
		shown.Created, shown.Updated = &one.Created, &one.Updated
	}
	if s := one.Schedule; s != nil {
		shown.Schedule = &PolicySchedule{Days: s.Days, Start: s.Start.String(), MonthDays: s.MonthDays, Zone: s.Zone, From: s.From.String(), To: s.To.String()}
		for _, day := range s.Weekdays {
			text, _ := day.MarshalText()
			shown.Schedule.Weekdays = append(shown.Schedule.Weekdays, string(text))
		}
	}
	return shown
}

// newPolicy is a policy as a caller wants it.
type newPolicy struct {
	Name           string          `json:"name" minLength:"1" maxLength:"100"`
	Trigger        string          `json:"trigger" enum:"schedule,sign_in,deprovision,logout,revocation,owner_change,admin_change,link_end"`
	Enabled        *bool           `json:"enabled,omitempty" doc:"Default true"`
	Scope          *PolicyScope    `json:"scope,omitempty" doc:"All accounts when absent"`
	SpacingSeconds *int64          `json:"spacing_seconds,omitempty" minimum:"0" maximum:"31622400" doc:"A day when absent; none for a trigger that locks somebody out"`
	DelaySeconds   int64           `json:"delay_seconds,omitempty" minimum:"0" maximum:"2592000"`
	Schedule       *PolicySchedule `json:"schedule,omitempty"`
}

func (n newPolicy) policy() (policies.Policy, error) {
	wanted := policies.Policy{
		Name: n.Name, Trigger: policies.Trigger(n.Trigger), Enabled: n.Enabled == nil || *n.Enabled, Delay: time.Duration(n.DelaySeconds) * time.Second,
	}
	wanted.Spacing = wanted.Trigger.Spacing()
	if n.SpacingSeconds != nil {
		wanted.Spacing = time.Duration(*n.SpacingSeconds) * time.Second
	}
	if n.Scope != nil {
		wanted.Scope = policies.Scope{Covers: policies.Covers(n.Scope.Covers), Apps: n.Scope.Apps, Tags: n.Scope.Tags, Accounts: n.Scope.Accounts, Excluded: n.Scope.Excluded}
	}
	if n.Schedule == nil {
		return wanted, nil
	}
	var err error
	wanted.Schedule, err = policies.ParseSchedule(n.Schedule.Days, n.Schedule.Start, n.Schedule.Weekdays, n.Schedule.MonthDays, n.Schedule.Zone, n.Schedule.From, n.Schedule.To)
	return wanted, err
}

type createPolicy struct{ Body newPolicy }

type replacePolicy struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body newPolicy
}

// PolicyPreview is what a policy would do about an account.
type PolicyPreview struct {
	Account  core.ID    `json:"account"`
	AppName  string     `json:"app_name"`
	Username string     `json:"username"`
	State    string     `json:"state"`
	Rotated  *time.Time `json:"rotated,omitempty" doc:"When its last rotation finished"`
	When     *time.Time `json:"when,omitempty" doc:"When it is rotated; absent without why_not: as soon as the policy is triggered, after its delay"`
	WhyNot   string     `json:"why_not,omitempty" enum:"excluded,state,blocked,under_way,spacing"`
	Reason   string     `json:"reason,omitempty" doc:"why_not in words"`
}

func policyPreviewOf(one policies.Preview) PolicyPreview {
	return PolicyPreview{one.Account, one.AppName, one.Username, string(one.State), one.Rotated, one.When, string(one.Why), one.Reason}
}

type policyPreview struct {
	ID     core.ID `path:"id" doc:"The policy"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type draftPreview struct {
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
	Body   newPolicy
}

// PolicyDraft is a page of what a draft would do, and what it does in words.
type PolicyDraft struct {
	page[PolicyPreview]
	Sentence string `json:"sentence"`
	Accounts int    `json:"accounts" doc:"How many it covers"`
}

type setTags struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Tags []string `json:"tags" maxItems:"20" nullable:"false" doc:"Up to 20 words of letters, digits and - _ . : /"`
	}
}

func (s *Service) policies(api huma.API) {
	tags := []string{"Policies"}
	one := func(ctx context.Context, by caller, found policies.Policy, err error) (*single[Policy], error) {
		if err != nil {
			return nil, err
		}
		described, err := s.Policies.Describe(ctx, s.DB, by.Workspace, found)
		if err != nil {
			return nil, err
		}
		return &single[Policy]{policyOf(described)}, nil
	}
	add(api, huma.Operation{OperationID: "listPolicies", Method: http.MethodGet, Path: "/policies", Tags: tags,
		Summary: "List what starts rotations", Description: "The defaults that hold are among them, without an id."},
		PoliciesRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Policy], error) {
			found, err := s.Policies.List(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			all := make([]policies.Described, len(found))
			for i, policy := range found {
				if all[i], err = s.Policies.Describe(ctx, s.DB, by.Workspace, policy); err != nil {
					return nil, err
				}
			}
			return listing(all, policyOf), nil
		})
	add(api, huma.Operation{OperationID: "createPolicy", Method: http.MethodPost, Path: "/policies", Tags: tags, Summary: "Add a policy",
		Description:   "The first policy about a trigger takes the place of the trigger's default.",
		DefaultStatus: http.StatusCreated},
		PoliciesWrite, func(ctx context.Context, by caller, in *createPolicy) (*single[Policy], error) {
			wanted, err := in.Body.policy()
			if err != nil {
				return nil, err
			}
			made, err := s.Policies.Create(ctx, by.cause, by.Workspace, wanted)
			return one(ctx, by, made, err)
		})
	add(api, huma.Operation{OperationID: "getPolicy", Method: http.MethodGet, Path: "/policies/{id}", Tags: tags, Summary: "Get a policy"},
		PoliciesRead, func(ctx context.Context, by caller, in *byID) (*single[Policy], error) {
			found, err := s.Policies.Policy(ctx, s.DB, by.Workspace, in.ID)
			return one(ctx, by, found, err)
		})
	add(api, huma.Operation{OperationID: "replacePolicy", Method: http.MethodPut, Path: "/policies/{id}", Tags: tags, Summary: "Replace a policy",
		Description: "It keeps its trigger. A schedule that is changed or switched on begins with its next occurrence."},
		PoliciesWrite, func(ctx context.Context, by caller, in *replacePolicy) (*single[Policy], error) {
			wanted, err := in.Body.policy()
			if err != nil {
				return nil, err
			}
			changed, err := s.Policies.Change(ctx, by.cause, by.Workspace, in.ID, 0, func(policy *policies.Policy) { *policy = wanted })
			return one(ctx, by, changed, err)
		})
	add(api, huma.Operation{OperationID: "deletePolicy", Method: http.MethodDelete, Path: "/policies/{id}", Tags: tags, Summary: "Remove a policy",
		Description: "After the last one about a trigger its default holds again.", DefaultStatus: http.StatusNoContent},
		PoliciesWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Policies.Remove(ctx, by.cause, by.Workspace, in.ID)
		})
	add(api, huma.Operation{OperationID: "previewPolicy", Method: http.MethodGet, Path: "/policies/{id}/preview", Tags: tags,
		Summary: "List what a policy would do now, account by account", Description: "Nothing is changed by it. A policy that is off is told as if it were on."},
		PoliciesRead, func(ctx context.Context, by caller, in *policyPreview) (*listed[PolicyPreview], error) {
			found, err := s.Policies.Policy(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return s.preview(ctx, by, found, in.Cursor, in.Limit)
		})
	add(api, huma.Operation{OperationID: "previewPolicyDraft", Method: http.MethodPost, Path: "/policy-previews", Tags: tags,
		Summary: "List what a policy would do that is not there yet", Description: "Nothing is changed by it."},
		PoliciesRead, func(ctx context.Context, by caller, in *draftPreview) (*single[PolicyDraft], error) {
			wanted, err := in.Body.policy()
			if err != nil {
				return nil, err
			}
			found, err := s.preview(ctx, by, wanted, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			described, err := s.Policies.Describe(ctx, s.DB, by.Workspace, wanted)
			if err != nil {
				return nil, err
			}
			return &single[PolicyDraft]{PolicyDraft{found.Body, described.Sentence, described.Accounts}}, nil
		})
	add(api, huma.Operation{OperationID: "setAccountTags", Method: http.MethodPut, Path: "/accounts/{id}/tags", Tags: []string{"Accounts"}, Summary: "Replace an account's tags",
		Description: "Policies may cover the accounts with a tag."},
		AccountsWrite, func(ctx context.Context, by caller, in *setTags) (*single[Account], error) {
			var tagged accounts.Account
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				tagged, err = s.Accounts.SetTags(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Tags)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Account]{accountOf(tagged)}, nil
		})
}

func (s *Service) preview(ctx context.Context, by caller, policy policies.Policy, after core.ID, limit int) (*listed[PolicyPreview], error) {
	found, err := s.Policies.Preview(ctx, s.DB, by.Workspace, policy, after, limit)
	if err != nil {
		return nil, err
	}
	answer := listing(found, policyPreviewOf)
	if len(found) == limit {
		answer.Body.Next = found[len(found)-1].Account.String()
	}
	return answer, nil
}
