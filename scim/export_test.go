package scim

import (
	"maps"
	"slices"

	"postern/core"
)

// Routes are the methods each address takes, for tests that leave none out.
func (s *Service) Routes() map[string][]string {
	table := map[string][]string{}
	for address, methods := range s.routes() {
		table[address] = slices.Sorted(maps.Keys(methods))
	}
	return table
}

// BodyMemory is how many bytes of bodies are held, for tests that leave none behind.
func (s *Service) BodyMemory() int {
	s.bodies.mutex.Lock()
	defer s.bodies.mutex.Unlock()
	return s.bodies.held
}

// FillBodyMemory takes memory for a workspace, as its bodies do.
func (s *Service) FillBodyMemory(workspace core.ID, size int) (held bool, empty func()) {
	return s.bodies.hold(workspace, size), func() { s.bodies.release(workspace, size) }
}

// Waiting is how many requests of a workspace wait for a place.
func (s *Service) Waiting(workspace core.ID) int {
	t := &s.sharing().turnstile
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if p := t.parties[workspace]; p != nil {
		return p.waiting
	}
	return 0
}
