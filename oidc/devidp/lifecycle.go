package devidp

import (
	"context"
	"errors"
	"slices"

	"postern/oidc/devidp/push"
)

// Deactivate ends a person here (they cannot sign in, their sessions end) and tells every target that
// knows them, all of them even when one fails. The errors are joined.
func (s *Server) Deactivate(ctx context.Context, userName string) ([]push.Exchange, error) {
	person, err := s.Person(userName)
	if err != nil {
		return nil, err
	}
	if err := s.edit(person.ID, func(person *Person) { person.Active = false }); err != nil {
		return nil, err
	}
	s.endSessions(person.ID)
	return s.tell(person, "deactivate", func(client *push.Client, id string) (push.Result, error) {
		return client.Deactivate(ctx, id)
	})
}

// Reactivate takes a person back, and tells every target that knows them.
func (s *Server) Reactivate(ctx context.Context, userName string) ([]push.Exchange, error) {
	person, err := s.Person(userName)
	if err != nil {
		return nil, err
	}
	if err := s.edit(person.ID, func(person *Person) { person.Active = true }); err != nil {
		return nil, err
	}
	return s.tell(person, "reactivate", func(client *push.Client, id string) (push.Result, error) {
		return client.Reactivate(ctx, id)
	})
}

// Delete removes a person for good. Entra's targets get a DELETE; Okta's see a deactivation, as with
// the real one. The person stays when a target refused.
func (s *Server) Delete(ctx context.Context, userName string) ([]push.Exchange, error) {
	person, err := s.Person(userName)
	if err != nil {
		return nil, err
	}
	s.endSessions(person.ID)
	exchanges, err := s.tell(person, "delete", func(client *push.Client, id string) (push.Result, error) {
		return client.Delete(ctx, id)
	})
	if err != nil {
		return exchanges, err
	}
	return exchanges, s.change(func(state *state) error {
		state.People = slices.DeleteFunc(state.People, func(known Person) bool { return known.ID == person.ID })
		for i := range state.Teams {
			state.Teams[i].Members = slices.DeleteFunc(state.Teams[i].Members, func(id string) bool { return id == person.ID })
		}
		return nil
	})
}

// ClearSessions ends a person's sessions here and asks every target with a logout endpoint to do the
// same: "Clear user sessions" with "include logout enabled apps".
func (s *Server) ClearSessions(ctx context.Context, userName string) ([]push.Exchange, error) {
	person, err := s.Person(userName)
	if err != nil {
		return nil, err
	}
	s.endSessions(person.ID)
	var exchanges []push.Exchange
	var failures []error
	for _, target := range s.Targets() {
		if target.LogoutEndpoint == "" || person.Pushed[target.Name] == "" {
			continue
		}
		exchange, err := s.logout(ctx, target, person.Email)
		exchanges, failures = append(exchanges, exchange), append(failures, err)
	}
	return exchanges, errors.Join(failures...)
}

// tell does one thing at every target that knows a person.
func (s *Server) tell(person Person, verb string, act func(*push.Client, string) (push.Result, error)) ([]push.Exchange, error) {
	var exchanges []push.Exchange
	var failures []error
	for _, target := range s.Targets() {
		id := person.Pushed[target.Name]
		if id == "" {
			continue
		}
		result, err := act(s.pusher(target), id)
		s.record(target.Name+": "+verb+" "+person.DisplayName, result, err)
		exchanges, failures = append(exchanges, result.Exchanges...), append(failures, err)
	}
	return exchanges, errors.Join(failures...)
}
