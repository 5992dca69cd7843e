package idp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entraRounds is how many cycles Entra ID is given to bring one state about. Each sends what the one
// before could not.
const entraRounds = 12

const managerPath = enterpriseURN + ":manager.value"

// entraCycle brings one state about: people and groups, then the references between them, and what
// failed again in the cycle after.
func (s *simulation) entraCycle(ctx context.Context, number int, wanted State) {
	for round := range entraRounds {
		stage := func(name string) string {
			if round == 0 {
				return fmt.Sprintf("cycle %d: %s", number, name)
			}
			return fmt.Sprintf("cycle %d, retry %d: %s", number, round, name)
		}
		s.longest.Store(0)
		var people, managed, groups, filled []int
		for key, p := range wanted.People {
			if !s.entraHas(p) {
				people = append(people, key)
			}
		}
		s.each(ctx, stage("people"), people, func(ctx context.Context, key int) { s.entraPerson(ctx, wanted.People[key]) })
		for key, group := range wanted.Groups {
			if !s.entraHasGroup(group) {
				groups = append(groups, key)
			}
		}
		s.each(ctx, stage("groups"), groups, func(ctx context.Context, key int) { s.entraGroup(ctx, wanted.Groups[key]) })
		for key, p := range wanted.People {
			if !s.entraHasManager(p) {
				managed = append(managed, key)
			}
		}
		s.each(ctx, stage("managers"), managed, func(ctx context.Context, key int) { s.entraManager(ctx, wanted.People[key]) })
		for key, group := range wanted.Groups {
			if !s.entraHasMembers(group) {
				filled = append(filled, key)
			}
		}
		s.each(ctx, stage("members"), filled, func(ctx context.Context, key int) { s.entraMembers(ctx, wanted.Groups[key]) })
		if ctx.Err() != nil || s.entraDone(wanted) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(s.Pause, time.Duration(s.longest.Load()))): // forty minutes are longer than any Retry-After
		}
	}
	for _, p := range wanted.People {
		if !s.entraHas(p) || !s.entraHasManager(p) {
			s.faults.add("%s (user %d) is not as intended after %d cycles", p.UserName, p.Key, entraRounds)
		}
	}
	for _, group := range wanted.Groups {
		if !s.entraHasGroup(group) || !s.entraHasMembers(group) {
			s.faults.add("%s (group %d) is not as intended after %d cycles", group.Name, group.Key, entraRounds)
		}
	}
}

func (s *simulation) entraDone(wanted State) bool {
	for _, p := range wanted.People {
		if !s.entraHas(p) || !s.entraHasManager(p) {
			return false
		}
	}
	for _, group := range wanted.Groups {
		if !s.entraHasGroup(group) || !s.entraHasMembers(group) {
			return false
		}
	}
	return true
}

// once sends a request once. What Entra ID will send again in its next cycle is no fault; ok says that
// the status is one of those accepted.
func (s *simulation) once(ctx context.Context, o *object, method, path string, body any, accepted ...int) (a answer, ok bool) {
	a, err := s.client.send(ctx, o, method, path, body)
	switch {
	case ctx.Err() != nil || errors.Is(err, errLost):
		return a, false
	case err != nil:
		s.faults.add("%v", err)
		return a, false
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		for {
			longest := s.longest.Load()
			if int64(a.retryAfter) <= longest || s.longest.CompareAndSwap(longest, int64(a.retryAfter)) {
				return a, false
			}
		}
	case slices.Contains(accepted, a.status):
		return a, true
	}
	s.faults.add("%s %s (%s %d) is answered %s", method, path, o.kind, o.key, a)
	return a, false
}

// plain is what a person should have, without the reference to the manager.
func (s *simulation) plain(p Person) map[string]string {
	all := p.attributes(s.Shape, s.id)
	delete(all, managerPath)
	return all
}

func (s *simulation) entraHas(p Person) bool {
	o := s.people[p.Key]
	if p.Status == Deleted {
		return o.gone
	}
	known := maps.Clone(o.known)
	delete(known, managerPath)
	return o.id != "" && maps.Equal(known, s.plain(p))
}

func (s *simulation) entraPerson(ctx context.Context, p Person) {
	o := s.people[p.Key]
	o.flying.Wait()
	if p.Status == Deleted {
		_, o.gone = s.once(ctx, o, http.MethodDelete, "/Users/"+o.id, nil, http.StatusNoContent, http.StatusNotFound)
		return
	}
	if o.id == "" {
		found, ok := s.entraMatch(ctx, o, "/Users", s.matching(p))
		if !ok {
			return
		}
		if found == "" {
			a, ok := s.once(ctx, o, http.MethodPost, "/Users", entraUser(p), http.StatusCreated, http.StatusConflict)
			if !ok || a.status == http.StatusConflict { // the next cycle finds who is there
				return
			}
			if o.id = a.id(); o.id == "" {
				s.faults.add("POST /Users (%s) is answered without the person", p.UserName)
				return
			}
			o.known = s.plain(p)
			return
		}
		o.id = found
	} else if _, ok := s.once(ctx, o, http.MethodGet, "/Users/"+o.id, nil, http.StatusOK); !ok {
		return
	}
	wanted := s.plain(p)
	operations := s.Shape.operations(o.known, wanted)
	if len(operations) == 0 {
		return
	}
	if _, ok := s.once(ctx, o, http.MethodPatch, "/Users/"+o.id, patch(operations), http.StatusOK, http.StatusNoContent); ok {
		if manager := o.known[managerPath]; manager != "" {
			wanted[managerPath] = manager
		}
		o.known = wanted
	}
}

// matching is the filter people are looked for with: most connections match the external id by now,
// some the name.
func (s *simulation) matching(p Person) string {
	if s.Seed%3 == 0 {
		return `userName eq "` + p.UserName + `"`
	}
	return `externalId eq "` + p.ExternalID + `"`
}

// entraMatch is the id of the resource that matches, or none.
func (s *simulation) entraMatch(ctx context.Context, o *object, endpoint, filter string) (string, bool) {
	query := "?filter=" + escape(filter)
	if endpoint == "/Groups" {
		query = "?excludedAttributes=members&filter=" + escape(filter)
	}
	a, ok := s.once(ctx, o, http.MethodGet, endpoint+query, nil, http.StatusOK)
	if !ok {
		return "", false
	}
	switch found := a.resources(); len(found) {
	case 0:
		return "", true
	case 1:
		id, _ := found[0]["id"].(string)
		return id, id != ""
	default:
		s.faults.add("%s: %d resources match %s", endpoint, len(found), filter)
		return "", false
	}
}

func entraUser(p Person) map[string]any {
	body := map[string]any{
		"schemas": []string{userURN, enterpriseURN}, "externalId": p.ExternalID, "userName": p.UserName, "active": p.Status == Active,
		"addresses": nil, "displayName": p.Display, "title": p.Title,
		"emails": []any{map[string]any{"primary": true, "type": "work", "value": p.Email}},
		"meta":   map[string]any{"resourceType": "User"},
		"name":   map[string]any{"formatted": p.Given + " " + p.Family, "familyName": p.Family, "givenName": p.Given},
		"roles":  []any{},
	}
	if p.Title == "" {
		delete(body, "title") // what has no value is left out, mostly
	}
	if p.Phone != "" {
		body["phoneNumbers"] = []any{map[string]any{"type": "mobile", "value": p.Phone}}
	}
	if p.Role != "" {
		body["roles"] = []any{map[string]any{"primary": true, "type": entraRole, "value": p.Role}}
	}
	urn := enterpriseURN
	if p.Key%5 == 0 {
		urn = strings.Replace(urn, "2.0:User", "2.0User", 1) // as Microsoft's own example writes it
	}
	body[urn] = map[string]any{"department": p.Department, "employeeNumber": p.Number, "manager": nil}
	return body
}

func patch(operations []any) map[string]any {
	return map[string]any{"schemas": []string{patchURN}, "Operations": operations}
}

// operations are those that lead from what the server has confirmed to what is wanted.
func (s Shape) operations(known, wanted map[string]string) []any {
	var listed, last []any
	plain := map[string]any{}
	paths := map[string]bool{}
	for path := range known {
		paths[path] = true
	}
	for path := range wanted {
		paths[path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		had, has := known[path], wanted[path]
		if had == has || path == managerPath || strings.HasSuffix(path, ".primary") {
			continue
		}
		operation := "replace"
		if had == "" {
			operation = "add"
		}
		switch {
		case has == "":
			listed = append(listed, map[string]any{"op": s.word("remove"), "path": entraPath(path)})
		case path == "active" && s == EntraLegacy:
			listed = append(listed, map[string]any{"op": "Replace", "path": path, "value": strings.ToUpper(has[:1]) + has[1:]})
		case path == "active":
			active, _ := strconv.ParseBool(has)
			last = append(last, map[string]any{"op": "replace", "path": path, "value": active})
		case s == Entra && !strings.Contains(path, "["):
			plain[path] = has
		default:
			listed = append(listed, map[string]any{"op": s.word(operation), "path": entraPath(path), "value": has})
		}
	}
	if len(plain) > 0 {
		listed = append(listed, map[string]any{"op": "replace", "value": plain})
	}
	return append(listed, last...)
}

// entraPath writes emails[work].value as Entra ID does.
func entraPath(path string) string {
	name, rest, found := strings.Cut(path, "[")
	if !found {
		return path
	}
	kind, sub, _ := strings.Cut(rest, "]")
	if kind == entraRole {
		return name + `[primary eq "True"]` + sub
	}
	return name + `[type eq "` + kind + `"]` + sub
}
