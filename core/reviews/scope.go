package reviews

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Kind is who has an access.
type Kind string

// The kinds.
const (
	User           Kind = "user"
	Guest          Kind = "guest"
	Team           Kind = "team"
	ServiceAccount Kind = "service_account" // what it may do in Postern, by its scopes
)

// Kinds are all of them.
var Kinds = []Kind{User, Guest, Team, ServiceAccount}

// Scope is what a review asks about. Each field narrows it; the zero Scope is every access to every account. Service accounts are asked
// about only where Kinds names them, and where nothing is said of accounts.
type Scope struct {
	Apps       []core.ID     `json:"apps,omitempty"`     // accounts in any of them
	Tags       []string      `json:"tags,omitempty"`     // accounts with any of them
	Accounts   []core.ID     `json:"accounts,omitempty"` // any of these
	Excluded   []core.ID     `json:"excluded,omitempty"` // never these
	Role       accounts.Role `json:"role,omitempty"`
	Kinds      []Kind        `json:"kinds,omitempty"`
	OlderDays  int           `json:"older_days,omitempty"`  // given at least so long ago
	UnusedDays int           `json:"unused_days,omitempty"` // given, and last used, at least so long ago
}

const (
	maxListed = 1000
	maxAge    = 3660
)

// checked is a scope as it is kept, or what is wrong with it.
func (s Scope) checked() (Scope, error) {
	s.Apps, s.Accounts, s.Excluded = core.Each(s.Apps), core.Each(s.Accounts), core.Each(s.Excluded)
	tags, err := accounts.CheckTags(s.Tags)
	if err != nil {
		return s, err
	}
	s.Tags, s.Kinds = tags, slices.Compact(slices.Sorted(slices.Values(s.Kinds)))
	switch {
	case len(s.Apps) > maxListed || len(s.Accounts) > maxListed || len(s.Excluded) > maxListed:
		return s, core.Invalid("scope", "name at most %d apps or accounts", maxListed)
	case s.Role != "" && s.Role != accounts.Owner && s.Role != accounts.Collaborator:
		return s, core.Invalid("role", "a role is owner or collaborator")
	case s.OlderDays < 0 || s.OlderDays > maxAge:
		return s, core.Invalid("older_days", "from 0 to %d days", maxAge)
	case s.UnusedDays < 0 || s.UnusedDays > maxAge:
		return s, core.Invalid("unused_days", "from 0 to %d days", maxAge)
	}
	for _, kind := range s.Kinds {
		if !slices.Contains(Kinds, kind) {
			return s, core.Invalid("kinds", "a kind is user, guest, team or service_account")
		}
	}
	return s, nil
}

// known refuses a scope that names what the workspace does not have.
func (s Scope) known(ctx context.Context, q postgres.Querier, workspace core.ID) error {
	return accounts.Known(ctx, q, workspace, s.Apps, slices.Concat(s.Accounts, s.Excluded))
}

// Words say what is asked about.
func (s Scope) Words() string {
	words := "Every access"
	switch {
	case s.Role == accounts.Owner:
		words = "Every owner's access"
	case s.Role == accounts.Collaborator:
		words = "Every collaborator's access"
	}
	if len(s.Kinds) > 0 {
		var names []string
		for _, kind := range s.Kinds {
			names = append(names, map[Kind]string{User: "users", Guest: "guests", Team: "teams", ServiceAccount: "service accounts"}[kind])
		}
		words += " of " + strings.Join(names, ", ")
	}
	counted := func(count int, one, many string) {
		switch {
		case count == 1:
			words += one
		case count > 1:
			words += fmt.Sprintf(many, count)
		}
	}
	counted(len(s.Accounts), " to one account", " to %d accounts")
	counted(len(s.Apps), " in one app", " in %d apps")
	if len(s.Tags) > 0 {
		words += " tagged " + strings.Join(s.Tags, " or ")
	}
	counted(len(s.Excluded), ", but for one account", ", but for %d accounts")
	if s.OlderDays > 0 {
		words += fmt.Sprintf(", given at least %d days ago", s.OlderDays)
	}
	if s.UnusedDays > 0 {
		words += fmt.Sprintf(", unused for %d days", s.UnusedDays)
	}
	return words + "."
}
