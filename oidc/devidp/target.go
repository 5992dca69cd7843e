package devidp

import (
	"context"
	"net/http"
	"slices"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

// Target is one SCIM server people are pushed to: an app of the provider, in Okta's or Entra's way.
type Target struct {
	Name           string // such as "Okta"; unique
	Style          push.Style
	SCIMURL        string
	SCIMToken      seal.Secret
	LogoutEndpoint string // for Universal Logout; empty: it has none
	Client         string // the client id that logout requests name as sub; empty: the first client's
}

// AddTarget adds a target, or replaces the one with the same name. Targets are not kept in the
// folder: their tokens would be. It may be called while serving.
func (s *Server) AddTarget(target Target) error {
	if target.Name == "" || target.SCIMURL == "" || target.SCIMToken.IsZero() {
		return core.Invalid("target", "a target needs a name, a SCIM address and a SCIM token")
	}
	switch target.Style {
	case push.Okta, push.OktaWizard, push.Entra, push.EntraCompliant:
	default:
		return core.Invalid("style", "a target's style is okta, okta-wizard, entra or entra-compliant")
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if at := slices.IndexFunc(s.targets, func(known Target) bool { return known.Name == target.Name }); at >= 0 {
		s.targets[at] = target
		return nil
	}
	s.targets = append(s.targets, target)
	return nil
}

// Targets lists the targets in the order they were added.
func (s *Server) Targets() []Target {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.targets)
}

func (s *Server) target(name string) (Target, error) {
	for _, target := range s.Targets() {
		if target.Name == name {
			return target, nil
		}
	}
	return Target{}, core.NotFound("target")
}

func (s *Server) pusher(target Target) *push.Client {
	return &push.Client{Style: target.Style, URL: target.SCIMURL, Token: target.SCIMToken, HTTP: s.http(), Now: s.options.Now}
}

func (s *Server) http() *http.Client {
	if s.options.HTTP != nil {
		return s.options.HTTP
	}
	return &http.Client{Timeout: time.Minute}
}

func (t Target) user(person Person) push.User {
	user := push.User{
		ID: person.ID, UserName: person.UserName, GivenName: person.GivenName, FamilyName: person.FamilyName,
		DisplayName: person.DisplayName, Email: person.Email,
	}
	if t.Style.IsEntra() {
		user.ID = person.ObjectID
	}
	return user
}

func (t Target) team(team Team) push.Team {
	if t.Style.IsEntra() {
		return push.Team{ID: team.ObjectID, DisplayName: team.Name}
	}
	return push.Team{ID: team.ID, DisplayName: team.Name}
}

// Push sends a person to a target by SCIM, as assigning them to an app would. The result's ID is what
// the target calls them.
func (s *Server) Push(ctx context.Context, targetName, userName string) (push.Result, error) {
	target, person, err := s.find(targetName, userName)
	if err != nil {
		return push.Result{}, err
	}
	if !person.Active {
		return push.Result{}, core.Denied("%s is deactivated; reactivate them first", person.DisplayName)
	}
	result, err := s.pusher(target).PushUser(ctx, target.user(person))
	s.record(target.Name+": push "+person.DisplayName, result, err)
	if err != nil {
		return result, err
	}
	return result, s.edit(person.ID, func(person *Person) {
		if person.Pushed == nil {
			person.Pushed = map[string]string{}
		}
		person.Pushed[target.Name] = result.ID
	})
}

// PushTeam sends a team to a target, with those of its members the target knows and who are active.
func (s *Server) PushTeam(ctx context.Context, targetName, teamName string) (push.Result, error) {
	target, err := s.target(targetName)
	if err != nil {
		return push.Result{}, err
	}
	team, err := s.team(teamName)
	if err != nil {
		return push.Result{}, err
	}
	var members, left []push.Member
	var ids []string
	for _, person := range s.People() {
		id := person.Pushed[target.Name]
		member := push.Member{ID: id, UserName: person.UserName}
		switch {
		case id != "" && person.Active && team.Has(person):
			members, ids = append(members, member), append(ids, person.ID)
		case id != "" && slices.Contains(team.Pushed[target.Name].Members, person.ID):
			left = append(left, member)
		}
	}
	pusher := s.pusher(target)
	result, err := pusher.PushTeam(ctx, target.team(team), members)
	// Okta stated the whole membership; to Entra's targets those who left are named.
	if err == nil && len(left) > 0 && target.Style.IsEntra() {
		var removal push.Result
		removal, err = pusher.ChangeMembers(ctx, result.ID, target.team(team), nil, left)
		result.Exchanges = append(result.Exchanges, removal.Exchanges...)
	}
	s.record(target.Name+": push team "+team.Name, result, err)
	if err != nil {
		return result, err
	}
	return result, s.change(func(state *state) error {
		for i := range state.Teams {
			if state.Teams[i].ID == team.ID {
				if state.Teams[i].Pushed == nil {
					state.Teams[i].Pushed = map[string]PushedTeam{}
				}
				state.Teams[i].Pushed[target.Name] = PushedTeam{ID: result.ID, Members: ids}
			}
		}
		return nil
	})
}

func (s *Server) find(targetName, userName string) (Target, Person, error) {
	target, err := s.target(targetName)
	if err != nil {
		return Target{}, Person{}, err
	}
	person, err := s.Person(userName)
	return target, person, err
}
