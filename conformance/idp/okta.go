package idp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// oktaAttempts is how often Okta sends a request before it gives up for good.
const oktaAttempts = 10

func escape(filter string) string { return url.QueryEscape(filter) }

// oktaCycle sends what is different between two states: people, then the groups they are in.
func (s *simulation) oktaCycle(ctx context.Context, number int, before, wanted State) {
	nobody := func(int) string { return "" }
	var people, groups []int
	for key, p := range wanted.People {
		if was := before.People[key]; was.Status != p.Status || !maps.Equal(was.attributes(s.Shape, nobody), p.attributes(s.Shape, nobody)) {
			people = append(people, key)
		}
	}
	s.each(ctx, fmt.Sprintf("cycle %d: people", number), people, func(ctx context.Context, key int) {
		s.oktaPerson(ctx, before.People[key], wanted.People[key])
	})
	for key, group := range wanted.Groups {
		if was := before.Groups[key]; was.Status != group.Status || was.Name != group.Name || !maps.Equal(was.Members, group.Members) {
			groups = append(groups, key)
		}
	}
	s.each(ctx, fmt.Sprintf("cycle %d: groups", number), groups, func(ctx context.Context, key int) {
		s.oktaGroup(ctx, before.Groups[key], wanted.Groups[key])
	})
}

// insist sends a change until it is answered, as Okta does: after 429 and 503 it waits as many seconds
// as Retry-After says, or else five minutes and twice that the next time; what was lost it sends again.
// The first attempt waits until nothing of the change before is on its way any more.
func (s *simulation) insist(ctx context.Context, o *object, method, path string, body any, accepted ...int) (answer, bool) {
	o.flying.Wait()
	wait := s.Pause
	var last answer
	for range oktaAttempts {
		a, err := s.client.send(ctx, o, method, path, body)
		last = a
		pause := s.Pause / 10
		switch {
		case ctx.Err() != nil:
			return a, false
		case err != nil && !errors.Is(err, errLost):
			s.faults.add("%v", err)
			return a, false
		case err == nil && a.status != http.StatusTooManyRequests && a.status < 500:
			for _, status := range accepted {
				if a.status == status {
					return a, true
				}
			}
			s.faults.add("%s %s (%s %d) is answered %s", method, path, o.kind, o.key, a)
			return a, false
		case err == nil && a.retryAfter > 0:
			pause = a.retryAfter
		case err == nil:
			pause = wait
			wait *= 2
		}
		select {
		case <-ctx.Done():
			return a, false
		case <-time.After(pause):
		}
	}
	s.faults.add("%s %s (%s %d): Okta gives up after %d attempts, the last answered %s", method, path, o.kind, o.key, oktaAttempts, last)
	return last, false
}

func (s *simulation) oktaPerson(ctx context.Context, was, p Person) {
	o := s.people[p.Key]
	o.known["userName"] = p.UserName
	switch {
	case o.id == "":
		s.oktaAssign(ctx, o, p)
	case was.Status == Active && p.Status == Inactive:
		s.oktaActivate(ctx, o, p)
	case was.Status == Inactive && p.Status == Active:
		if s.Shape == Okta {
			s.oktaActivate(ctx, o, p)
		}
		s.oktaPush(ctx, o, p)
	default:
		s.oktaPush(ctx, o, p)
	}
}

// oktaAssign looks for the person and creates them. A create whose answer was lost is sent again; when
// that collides with the first, the person is looked up once more and linked.
func (s *simulation) oktaAssign(ctx context.Context, o *object, p Person) {
	if found, ok := s.oktaFind(ctx, o, "/Users", `userName eq "`+p.UserName+`"`); !ok {
		return
	} else if found != "" {
		o.id = found
		s.oktaPush(ctx, o, p)
		return
	}
	a, ok := s.insist(ctx, o, http.MethodPost, "/Users", oktaUser(p), http.StatusCreated, http.StatusConflict)
	if !ok {
		return
	}
	if o.id = a.id(); a.status == http.StatusCreated {
		if o.id == "" {
			s.faults.add("POST /Users (%s) is answered without the person", p.UserName)
		}
		return
	}
	if o.id, ok = s.oktaFind(ctx, o, "/Users", `userName eq "`+p.UserName+`"`); ok && o.id == "" {
		s.faults.add("POST /Users (%s) is answered 409, and nobody has that name", p.UserName)
		return
	}
	if ok {
		s.oktaPush(ctx, o, p)
	}
}

// oktaFind is the id of the one resource that matches, or none.
func (s *simulation) oktaFind(ctx context.Context, o *object, endpoint, filter string) (string, bool) {
	a, ok := s.insist(ctx, o, http.MethodGet, endpoint+"?filter="+escape(filter)+"&startIndex=1&count=100", nil, http.StatusOK, http.StatusNotFound)
	if !ok {
		return "", false
	}
	switch found := a.resources(); len(found) {
	case 0:
		return "", true
	case 1:
		id, _ := found[0]["id"].(string)
		return id, true
	default:
		s.faults.add("%s: %d resources match %s", endpoint, len(found), filter)
		return "", false
	}
}

// oktaActivate tells whether the person may sign in: alone where PATCH is spoken.
func (s *simulation) oktaActivate(ctx context.Context, o *object, p Person) {
	if s.Shape == OktaWizard {
		s.oktaPush(ctx, o, p)
		return
	}
	body := map[string]any{"schemas": []string{patchURN}, "Operations": []any{
		map[string]any{"op": "replace", "value": map[string]any{"active": p.Status == Active}},
	}}
	s.insist(ctx, o, http.MethodPatch, "/Users/"+o.id, body, http.StatusOK, http.StatusNoContent)
}

// oktaPush reads the person and puts them back with what Okta knows better.
func (s *simulation) oktaPush(ctx context.Context, o *object, p Person) {
	read, ok := s.insist(ctx, o, http.MethodGet, "/Users/"+o.id, nil, http.StatusOK)
	if !ok {
		return
	}
	merged := maps.Clone(read.body)
	for name, value := range oktaUser(p) {
		if name != "schemas" && name != "password" {
			merged[name] = value
		}
	}
	s.insist(ctx, o, http.MethodPut, "/Users/"+o.id, merged, http.StatusOK)
}

// oktaUser is a person as Okta creates them, with the password it always sends along.
func oktaUser(p Person) map[string]any {
	return map[string]any{
		"schemas":  []string{userURN, enterpriseURN},
		"userName": p.UserName, "externalId": p.ExternalID, "displayName": p.Display, "locale": "en-US", "title": p.Title,
		"name":        map[string]any{"givenName": p.Given, "familyName": p.Family},
		"emails":      []any{map[string]any{"primary": true, "value": p.Email, "type": "work"}},
		"groups":      []any{},
		"password":    fmt.Sprintf("1mz%dnq", p.Key),
		"active":      p.Status == Active,
		enterpriseURN: map[string]any{"department": p.Department, "employeeNumber": p.Number},
	}
}

func (s *simulation) oktaGroup(ctx context.Context, was, group Group) {
	o := s.groups[group.Key]
	switch {
	case group.Status == Deleted:
		if o.id != "" && !o.gone {
			// The first copy may have been handled, and its answer lost.
			_, o.gone = s.insist(ctx, o, http.MethodDelete, "/Groups/"+o.id, nil, http.StatusNoContent, http.StatusNotFound)
		}
	case o.id == "":
		s.oktaCreateGroup(ctx, o, group)
	case s.Shape == OktaWizard:
		s.oktaPutGroup(ctx, o, group)
	default:
		// The name goes with every change of the members.
		s.oktaPatchGroup(ctx, o, map[string]any{"op": "replace", "value": map[string]any{"id": o.id, "displayName": group.Name}})
		var operations []any
		for _, key := range sorted(was.Members) {
			if !group.Members[key] {
				operations = append(operations, map[string]any{"op": "remove", "path": `members[value eq "` + s.id(key) + `"]`})
			}
		}
		var joined []any
		for _, key := range sorted(group.Members) {
			if !was.Members[key] {
				joined = append(joined, s.oktaMember(key))
			}
		}
		if len(joined) > 0 {
			operations = append(operations, map[string]any{"op": "add", "path": "members", "value": joined})
		}
		if len(operations) > 0 {
			s.oktaPatchGroup(ctx, o, operations...)
		}
	}
}

func (s *simulation) oktaCreateGroup(ctx context.Context, o *object, group Group) {
	body := map[string]any{"schemas": []string{groupURN}, "displayName": group.Name, "members": []any{}}
	if s.Shape == OktaWizard {
		body["members"] = s.oktaMembers(group)
	}
	a, ok := s.insist(ctx, o, http.MethodPost, "/Groups", body, http.StatusCreated, http.StatusConflict)
	if !ok {
		return
	}
	if o.id = a.id(); a.status == http.StatusConflict {
		if o.id, ok = s.oktaFind(ctx, o, "/Groups", `displayName eq "`+group.Name+`"`); !ok {
			return
		}
	}
	switch {
	case o.id == "":
		s.faults.add("POST /Groups (%s) is answered %d, and there is no id to go on with", group.Name, a.status)
	case s.Shape == Okta:
		s.oktaPatchGroup(ctx, o, map[string]any{"op": "replace", "path": "members", "value": s.oktaMembers(group)})
	case a.status == http.StatusConflict:
		s.oktaPutGroup(ctx, o, group)
	}
}

func (s *simulation) oktaPatchGroup(ctx context.Context, o *object, operations ...any) {
	s.insist(ctx, o, http.MethodPatch, "/Groups/"+o.id, map[string]any{"schemas": []string{patchURN}, "Operations": operations},
		http.StatusOK, http.StatusNoContent)
}

func (s *simulation) oktaPutGroup(ctx context.Context, o *object, group Group) {
	read, ok := s.insist(ctx, o, http.MethodGet, "/Groups/"+o.id, nil, http.StatusOK)
	if !ok {
		return
	}
	merged := maps.Clone(read.body)
	merged["displayName"], merged["members"] = group.Name, s.oktaMembers(group)
	s.insist(ctx, o, http.MethodPut, "/Groups/"+o.id, merged, http.StatusOK, http.StatusNoContent)
}

func (s *simulation) oktaMember(key int) any {
	return map[string]any{"value": s.id(key), "display": s.people[key].known["userName"]}
}

func (s *simulation) oktaMembers(group Group) []any {
	members := make([]any, 0, len(group.Members))
	for _, key := range sorted(group.Members) {
		members = append(members, s.oktaMember(key))
	}
	return members
}
