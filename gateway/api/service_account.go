package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/accounts"
	"postern/core/services"
)

// ServiceAccountSettings are what an administrator says of a service account.
type ServiceAccountSettings struct {
	Name        string   `json:"name" minLength:"1" maxLength:"100" doc:"What the audit log calls it"`
	Purpose     string   `json:"purpose,omitempty" maxLength:"500"`
	Unit        string   `json:"unit,omitempty" maxLength:"100" doc:"Of the organisation"`
	Risk        int      `json:"risk,omitempty" minimum:"1" maximum:"5" default:"3" doc:"1 to 5: how bad it were in wrong hands"`
	Sensitivity int      `json:"sensitivity,omitempty" minimum:"1" maximum:"5" default:"3" doc:"1 to 5: of the data it works with"`
	Scopes      []string `json:"scopes,omitempty" maxItems:"50" doc:"What it may do here: a resource and a verb, such as accounts:read, *:read or *:*; accounts/ID:read or grants/ID:write where the first id of the address is this one"`
	Networks    []string `json:"networks,omitempty" maxItems:"50" doc:"Where it is expected to be, as CIDR prefixes; without any, wherever it was before. Any other is a finding"`
}

func (s ServiceAccountSettings) settings() (services.Settings, error) {
	return services.Settings{
		Name: s.Name, Purpose: s.Purpose, Unit: s.Unit, Risk: s.Risk, Sensitivity: s.Sensitivity, Scopes: s.Scopes, Networks: s.Networks,
	}, CheckScopes(s.Scopes)
}

// CheckScopes refuses a scope that no operation asks for.
func CheckScopes(texts []string) error {
	for _, text := range texts {
		scope, err := services.ParseScope(text)
		if err != nil {
			return err
		}
		useful := false
		for _, known := range Scopes() {
			wanted, err := services.ParseScope(known)
			wanted.ID = scope.ID
			useful = useful || err == nil && scope.Covers(wanted)
		}
		if !useful {
			return core.Invalid("scopes", "no operation asks for %s", scope).WithCode("unknown_scope")
		}
	}
	return nil
}

// ServiceAccount is an identity that is not a person.
type ServiceAccount struct {
	ID          core.ID    `json:"id"`
	Name        string     `json:"name"`
	Purpose     string     `json:"purpose"`
	Unit        string     `json:"unit"`
	Risk        int        `json:"risk" minimum:"1" maximum:"5"`
	Sensitivity int        `json:"sensitivity" minimum:"1" maximum:"5"`
	Scopes      []string   `json:"scopes" nullable:"false"`
	Networks    []string   `json:"networks" nullable:"false"`
	Version     int        `json:"version"`
	Created     time.Time  `json:"created"`
	LastUsed    *time.Time `json:"last_used,omitempty" etag:"-" doc:"Written once a minute at most"`
	Owned       bool       `json:"owned" etag:"-" doc:"Two active people answer for it, or a team with active members"`
	Findings    int        `json:"open_findings" etag:"-"`
	Blast       int        `json:"blast_radius" etag:"-" doc:"Risk times sensitivity of everything it gets at, summed up"`
}

func serviceAccountOf(one services.Account) ServiceAccount {
	return ServiceAccount{
		ID: one.ID, Name: one.Name, Purpose: one.Purpose, Unit: one.Unit, Risk: one.Risk, Sensitivity: one.Sensitivity,
		Scopes: append([]string{}, one.Scopes...), Networks: append([]string{}, one.Networks...), Version: one.Version, Created: one.Created,
		LastUsed: one.Used, Owned: one.Owned(), Findings: one.Findings, Blast: one.Blast(),
	}
}

// ServiceOwner is who answers for a service account.
type ServiceOwner struct {
	ID     core.ID   `json:"id"`
	User   core.ID   `json:"user,omitzero"`
	Team   core.ID   `json:"team,omitzero"`
	Name   string    `json:"name"`
	Active bool      `json:"active" doc:"Counts as an owner now: not left, and a team with somebody in it"`
	Added  time.Time `json:"added"`
}

func serviceOwnerOf(one services.Owner) ServiceOwner {
	return ServiceOwner{one.ID, one.User, one.Team, one.Name, one.Living, one.Added}
}

// serviceOwnerWanted names an owner.
type serviceOwnerWanted struct {
	User core.ID `json:"user,omitzero" doc:"Either a user"`
	Team core.ID `json:"team,omitzero" doc:"or a team"`
}

// ServiceReach is something a service account gets at besides Postern.
type ServiceReach struct {
	Name        string  `json:"name" minLength:"1" maxLength:"100"`
	App         core.ID `json:"app,omitzero" doc:"An app Postern manages"`
	Unit        string  `json:"unit,omitempty" maxLength:"100" doc:"Of the organisation it belongs to"`
	Risk        int     `json:"risk" minimum:"1" maximum:"5"`
	Sensitivity int     `json:"sensitivity" minimum:"1" maximum:"5"`
}

// ServiceTerm is one part of a blast radius.
type ServiceTerm struct {
	Name        string `json:"name"`
	Kind        string `json:"kind" enum:"scope,reach"`
	Unit        string `json:"unit"`
	Risk        int    `json:"risk"`
	Sensitivity int    `json:"sensitivity"`
	Product     int    `json:"product"`
}

func serviceTermsOf(terms []services.Term) []ServiceTerm {
	all := make([]ServiceTerm, 0, len(terms))
	for _, one := range terms {
		kind := "reach"
		if one.Scope {
			kind = "scope"
		}
		all = append(all, ServiceTerm{one.Name, kind, one.Unit, one.Risk, one.Sensitivity, one.Product()})
	}
	return all
}

// ServicePart is a service account that is proposed instead of a larger one.
type ServicePart struct {
	Name  string        `json:"name"`
	Why   string        `json:"why"`
	Blast int           `json:"blast_radius"`
	Terms []ServiceTerm `json:"terms" nullable:"false"`
}

func servicePartsOf(parts []services.Part) []ServicePart {
	all := make([]ServicePart, 0, len(parts))
	for _, one := range parts {
		all = append(all, ServicePart{one.Name, one.Why, one.Blast(), serviceTermsOf(one.Terms)})
	}
	return all
}

// BlastRadius explains how much harm a service account could do.
type BlastRadius struct {
	Blast  int           `json:"blast_radius"`
	Budget int           `json:"budget"`
	Terms  []ServiceTerm `json:"terms" nullable:"false" doc:"They add up to it, the greatest first"`
	Parts  []ServicePart `json:"parts" nullable:"false" doc:"How to divide it so that no part exceeds the budget; none if it is kept"`
}

// ServiceAdvice is what is proposed for a service account that exceeds the budget.
type ServiceAdvice struct {
	Account core.ID       `json:"account"`
	Name    string        `json:"name"`
	Blast   int           `json:"blast_radius"`
	Parts   []ServicePart `json:"parts" nullable:"false"`
}

// ServiceGroup is service accounts that have something in common.
type ServiceGroup struct {
	Key      string `json:"key" doc:"The risk, the sensitivity or the unit"`
	Accounts int    `json:"accounts"`
	Blast    int    `json:"blast_radius" doc:"Of all together"`
	Most     int    `json:"most" doc:"Of the one with the greatest"`
	Unowned  int    `json:"unowned" doc:"How many lack owners"`
	Findings int    `json:"open_findings"`
}

// ServiceUse is a place where a service account was seen.
type ServiceUse struct {
	Credential  core.ID   `json:"credential"`
	Version     int       `json:"version"`
	Network     string    `json:"network"`
	Consumer    string    `json:"consumer,omitempty"`
	Interactive bool      `json:"interactive" doc:"A person's browser"`
	Agent       string    `json:"agent,omitempty"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
}

type serviceAccountList struct {
	Search      string  `query:"search" maxLength:"100" doc:"How the name begins, whatever the case"`
	Unit        string  `query:"unit" maxLength:"100"`
	Risk        int     `query:"risk" minimum:"0" maximum:"5"`
	Sensitivity int     `query:"sensitivity" minimum:"0" maximum:"5"`
	Unowned     bool    `query:"unowned" doc:"Only those that lack owners"`
	Limit       int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor      core.ID `query:"cursor" doc:"next of the page before"`
}

type newServiceAccount struct {
	Body struct {
		ServiceAccountSettings
		Owners []serviceOwnerWanted `json:"owners" minItems:"1" maxItems:"20" nullable:"false" doc:"Two active people at least, or a team with active members"`
	}
}

type changedServiceAccount struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body ServiceAccountSettings
}

type newServiceOwner struct {
	ID   core.ID `path:"id" doc:"The service account"`
	Body serviceOwnerWanted
}

type setServiceReaches struct {
	ID   core.ID `path:"id" doc:"The service account"`
	Body struct {
		Reaches []ServiceReach `json:"reaches" maxItems:"200" nullable:"false"`
	}
}

type blastOf struct {
	ID     core.ID `path:"id" doc:"The service account"`
	Budget int     `query:"budget" default:"50" minimum:"25" maximum:"100000"`
}

type adviceOf struct {
	Budget int `query:"budget" default:"50" minimum:"25" maximum:"100000" doc:"What no service account should exceed"`
}

type groupsOf struct {
	By string `query:"by" enum:"risk,sensitivity,unit" default:"unit"`
}

func (s *Service) serviceAccounts(api huma.API) {
	tags := []string{"Service accounts"}
	add(api, huma.Operation{OperationID: "listServiceAccounts", Method: http.MethodGet, Path: "/service-accounts", Tags: tags, Summary: "List service accounts, oldest first"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *serviceAccountList) (*listed[ServiceAccount], error) {
			found, err := s.Services.List(ctx, s.DB, by.Workspace, services.Query{
				Search: in.Search, Unit: in.Unit, Risk: in.Risk, Sensitivity: in.Sensitivity, Unowned: in.Unowned, Limit: in.Limit, After: in.Cursor,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, serviceAccountOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "createServiceAccount", Method: http.MethodPost, Path: "/service-accounts", Tags: tags, Summary: "Add a service account with its owners",
		Description: "It gets in once it has a credential. Nobody gives it a scope they do not have themselves.", DefaultStatus: http.StatusCreated},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *newServiceAccount) (*single[ServiceAccount], error) {
			settings, err := in.Body.settings()
			if err != nil {
				return nil, err
			}
			var owners []accounts.Subject
			for _, owner := range in.Body.Owners {
				owners = append(owners, accounts.Subject(owner))
			}
			made, err := s.Services.Create(ctx, by.cause, by.Workspace, settings, owners)
			if err != nil {
				return nil, err
			}
			return &single[ServiceAccount]{serviceAccountOf(made)}, nil
		})
	add(api, huma.Operation{OperationID: "getServiceAccount", Method: http.MethodGet, Path: "/service-accounts/{id}", Tags: tags, Summary: "Get a service account"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*single[ServiceAccount], error) {
			found, err := s.Services.Account(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[ServiceAccount]{serviceAccountOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "replaceServiceAccount", Method: http.MethodPut, Path: "/service-accounts/{id}", Tags: tags, Summary: "Replace what is said of a service account, its scopes among it",
		Description: "A service account does not change itself."},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *changedServiceAccount) (*single[ServiceAccount], error) {
			settings, err := in.Body.settings()
			if err != nil {
				return nil, err
			}
			changed, err := s.Services.Change(ctx, by.cause, by.Workspace, in.ID, 0, func(wanted *services.Settings) { *wanted = settings })
			if err != nil {
				return nil, err
			}
			return &single[ServiceAccount]{serviceAccountOf(changed)}, nil
		})
	add(api, huma.Operation{OperationID: "deleteServiceAccount", Method: http.MethodDelete, Path: "/service-accounts/{id}", Tags: tags, Summary: "Remove a service account, its tokens and its credentials",
		Description: "What they open elsewhere is for whoever keeps that to end.", DefaultStatus: http.StatusNoContent},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Services.Remove(ctx, by.cause, by.Workspace, in.ID)
		})
	add(api, huma.Operation{OperationID: "listServiceOwners", Method: http.MethodGet, Path: "/service-accounts/{id}/owners", Tags: tags, Summary: "List who answers for a service account"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*listed[ServiceOwner], error) {
			if _, err := s.Services.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Services.Owners(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, serviceOwnerOf), nil
		})
	add(api, huma.Operation{OperationID: "addServiceOwner", Method: http.MethodPost, Path: "/service-accounts/{id}/owners", Tags: tags, Summary: "Have one more person or team answer for a service account",
		DefaultStatus: http.StatusCreated},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *newServiceOwner) (*listed[ServiceOwner], error) {
			found, err := s.Services.AddOwner(ctx, by.cause, by.Workspace, in.ID, accounts.Subject(in.Body))
			if err != nil {
				return nil, err
			}
			return listing(found, serviceOwnerOf), nil
		})
	add(api, huma.Operation{OperationID: "removeServiceOwner", Method: http.MethodDelete, Path: "/service-owners/{id}", Tags: tags, Summary: "Take an owner away",
		Description: "Refused with too_few_owners if that left fewer than two active people and no team. Who has left can always be taken away.", DefaultStatus: http.StatusNoContent},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Services.RemoveOwner(ctx, by.cause, by.Workspace, in.ID)
		})
	s.serviceBlast(api, tags)
}

func (s *Service) serviceBlast(api huma.API, tags []string) {
	blast := func(ctx context.Context, by caller, id core.ID, budget int) (*single[BlastRadius], error) {
		found, err := s.Services.Account(ctx, s.DB, by.Workspace, id)
		if err != nil {
			return nil, err
		}
		reaches, err := s.Services.Reaches(ctx, s.DB, by.Workspace, id)
		if err != nil {
			return nil, err
		}
		terms := services.Terms(found, reaches)
		return &single[BlastRadius]{BlastRadius{services.Sum(terms), budget, serviceTermsOf(terms), servicePartsOf(services.Split(terms, budget))}}, nil
	}
	add(api, huma.Operation{OperationID: "getBlastRadius", Method: http.MethodGet, Path: "/service-accounts/{id}/blast-radius", Tags: tags,
		Summary: "Explain a service account's blast radius term by term, and how to divide it"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *blastOf) (*single[BlastRadius], error) {
			return blast(ctx, by, in.ID, in.Budget)
		})
	add(api, huma.Operation{OperationID: "setServiceReaches", Method: http.MethodPut, Path: "/service-accounts/{id}/reaches", Tags: tags,
		Summary: "Replace what a service account gets at besides Postern"},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *setServiceReaches) (*single[BlastRadius], error) {
			var reaches []services.Reach
			for _, one := range in.Body.Reaches {
				reaches = append(reaches, services.Reach{Name: one.Name, App: one.App, Unit: one.Unit, Risk: one.Risk, Sensitivity: one.Sensitivity})
			}
			if err := s.Services.SetReaches(ctx, by.cause, by.Workspace, in.ID, reaches); err != nil {
				return nil, err
			}
			return blast(ctx, by, in.ID, services.DefaultBudget)
		})
	add(api, huma.Operation{OperationID: "listServiceUses", Method: http.MethodGet, Path: "/service-accounts/{id}/uses", Tags: tags,
		Summary: "List where a service account was seen, latest first", Description: "The latest 200 places."},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*listed[ServiceUse], error) {
			if _, err := s.Services.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Services.Seen(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one services.Seen) ServiceUse { return ServiceUse(one) }), nil
		})
	add(api, huma.Operation{OperationID: "listServiceGroups", Method: http.MethodGet, Path: "/service-groups", Tags: tags,
		Summary: "Sort service accounts by risk, sensitivity or unit", Description: "The group with the greatest blast radius first."},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *groupsOf) (*listed[ServiceGroup], error) {
			found, err := s.Services.Groups(ctx, s.DB, by.Workspace, in.By)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one services.Group) ServiceGroup { return ServiceGroup(one) }), nil
		})
	add(api, huma.Operation{OperationID: "listServiceAdvice", Method: http.MethodGet, Path: "/service-advice", Tags: tags,
		Summary: "Propose how to divide each service account that exceeds a blast radius", Description: "The greatest first."},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *adviceOf) (*listed[ServiceAdvice], error) {
			found, err := s.Services.Advise(ctx, s.DB, by.Workspace, in.Budget)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one services.Advice) ServiceAdvice {
				return ServiceAdvice{one.Account.ID, one.Account.Name, services.Sum(one.Terms), servicePartsOf(one.Parts)}
			}), nil
		})
}
