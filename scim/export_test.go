package scim

import (
	"maps"
	"slices"
)

// Routes are the methods each address takes, for tests that leave none out.
func (s *Service) Routes() map[string][]string {
	table := map[string][]string{}
	for address, methods := range s.routes() {
		table[address] = slices.Sorted(maps.Keys(methods))
	}
	return table
}
