package idp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// verifiedPage is how many resources are asked for at once, as Okta's import does.
const verifiedPage = 100

// verify reads everything back, over a network that behaves, and compares it with what is wanted.
func (s *simulation) verify(ctx context.Context, wanted State) error {
	people, err := s.readAll(ctx, "/Users", "")
	if err != nil {
		return err
	}
	groups, err := s.readAll(ctx, "/Groups", "&excludedAttributes=members")
	if err != nil {
		return err
	}
	s.comparePeople(people, wanted)
	s.compareGroups(groups, wanted)
	var groupKeys, keys []int
	for key := range wanted.Groups {
		groupKeys = append(groupKeys, key)
	}
	s.each(ctx, "verifying groups", groupKeys, func(ctx context.Context, key int) { s.verifyGroup(ctx, wanted.Groups[key]) })
	// A filter must say what the pages say. Every name is tried where there are few.
	step := max(1, len(wanted.People)/500)
	for key, p := range wanted.People {
		if key%step == 0 || p.Status == Deleted {
			keys = append(keys, key)
		}
	}
	s.each(ctx, "verifying filters", keys, func(ctx context.Context, key int) { s.verifyPerson(ctx, wanted, wanted.People[key]) })
	return ctx.Err()
}

// read asks for something that should be there to be read: without chaos, waiting when told to.
func (s *simulation) read(ctx context.Context, path string) (answer, error) {
	for range oktaAttempts {
		a, err := s.client.deliver(ctx, http.MethodGet, path, nil)
		if err != nil && !errors.Is(err, errLost) {
			return a, err
		}
		if err == nil && a.status != http.StatusTooManyRequests && a.status < 500 {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(max(s.Pause, a.retryAfter)):
		}
	}
	return answer{}, fmt.Errorf("GET %s is not answered", path)
}

// readAll turns every page of an endpoint.
func (s *simulation) readAll(ctx context.Context, endpoint, parameters string) (map[string]map[string]any, error) {
	found := map[string]map[string]any{}
	total := -1
	for start := 1; total < 0 || start <= total; {
		a, err := s.read(ctx, fmt.Sprintf("%s?startIndex=%d&count=%d%s", endpoint, start, verifiedPage, parameters))
		if err != nil {
			return nil, err
		}
		now, isNumber := a.body["totalResults"].(float64)
		if a.status != http.StatusOK || !isNumber {
			return nil, fmt.Errorf("GET %s, the page at %d is answered %s", endpoint, start, a)
		}
		if total >= 0 && total != int(now) {
			s.faults.add("%s: totalResults is %d on one page and %d on another, while nothing changes", endpoint, total, int(now))
		}
		total = int(now)
		page := a.resources()
		if len(page) == 0 && start <= total {
			s.faults.add("%s: the page at %d of %d is empty", endpoint, start, total)
			break
		}
		for _, resource := range page {
			id, _ := resource["id"].(string)
			if _, twice := found[id]; twice || id == "" {
				s.faults.add("%s: %q stands on two pages", endpoint, id)
			}
			found[id] = resource
		}
		start += len(page)
		if len(page) == 0 {
			break
		}
	}
	if len(found) != total {
		s.faults.add("%s: the pages hold %d resources, and totalResults says %d", endpoint, len(found), total)
	}
	return found, nil
}

func (s *simulation) comparePeople(found map[string]map[string]any, wanted State) {
	for _, p := range wanted.People {
		id := s.id(p.Key)
		resource, there := found[id]
		delete(found, id)
		switch {
		case p.Status == Deleted && there:
			s.faults.add("%s (user %d) was deleted and is listed", p.UserName, p.Key)
		case p.Status != Deleted && !there:
			s.faults.add("%s (user %d, id %q) is not listed", p.UserName, p.Key, id)
		case p.Status != Deleted:
			for _, difference := range differences(flatten(resource), p.attributes(s.Shape, s.id)) {
				s.faults.add("%s (user %d, id %s): %s", p.UserName, p.Key, id, difference)
			}
		}
	}
	for id, resource := range found {
		if name, _ := resource["userName"].(string); strings.Contains(name, s.tag()) { // others were there before
			s.faults.add("%s (id %s) is listed and should not be", name, id)
		}
	}
}

// tag is in every name of this run.
func (s *simulation) tag() string { return fmt.Sprintf("%06x", s.Seed&0xffffff) }

// differences says in words what is not as wanted. Text in a boolean's place is the same boolean.
func differences(got, want map[string]string) []string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if value, there := got[path]; !there {
			all = append(all, fmt.Sprintf("%s is missing, want %q", path, want[path]))
		} else if value != want[path] {
			all = append(all, fmt.Sprintf("%s is %q, want %q", path, value, want[path]))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[path]; !there {
			all = append(all, fmt.Sprintf("%s is %q, and nobody set it", path, got[path]))
		}
	}
	return all
}

func (s *simulation) compareGroups(found map[string]map[string]any, wanted State) {
	for _, group := range wanted.Groups {
		o := s.groups[group.Key]
		resource, there := found[o.id]
		delete(found, o.id)
		switch {
		case group.Status == Deleted && there:
			s.faults.add("%s (group %d) was deleted and is listed", group.Name, group.Key)
		case group.Status == Active && !there:
			s.faults.add("%s (group %d, id %q) is not listed", group.Name, group.Key, o.id)
		case group.Status == Active:
			want := map[string]string{"displayName": group.Name}
			if group.ExternalID != "" {
				want["externalId"] = group.ExternalID
			}
			for _, difference := range differences(flatten(resource), want) {
				s.faults.add("%s (group %d, id %s): %s", group.Name, group.Key, o.id, difference)
			}
			if _, has := resource["members"]; has {
				s.faults.add("%s (group %d): members were to be left out and are not", group.Name, group.Key)
			}
		}
	}
	for id, resource := range found {
		if name, _ := resource["displayName"].(string); strings.Contains(name, s.tag()) {
			s.faults.add("%s (group, id %s) is listed and should not be", name, id)
		}
	}
}

// verifyGroup compares the members of one group.
func (s *simulation) verifyGroup(ctx context.Context, group Group) {
	o := s.groups[group.Key]
	if o.id == "" {
		return // told already
	}
	a, err := s.read(ctx, "/Groups/"+o.id)
	if err != nil {
		s.faults.add("%s (group %d): %v", group.Name, group.Key, err)
		return
	}
	if group.Status == Deleted {
		if a.status != http.StatusNotFound {
			s.faults.add("%s (group %d) was deleted and is answered %d", group.Name, group.Key, a.status)
		}
		return
	}
	got := map[string]bool{}
	list, _ := a.body["members"].([]any)
	for _, element := range list {
		member, _ := element.(map[string]any)
		id, _ := member["value"].(string)
		if got[id] {
			s.faults.add("%s (group %d): member %s is listed twice", group.Name, group.Key, id)
		}
		got[id] = true
	}
	for _, key := range sorted(group.Members) {
		if !got[s.id(key)] {
			s.faults.add("%s (group %d) lost user %d (%s)", group.Name, group.Key, key, s.id(key))
		}
		delete(got, s.id(key))
	}
	for id := range got {
		s.faults.add("%s (group %d) has a member %s who should not be in it", group.Name, group.Key, id)
	}
	found, err := s.read(ctx, "/Groups?excludedAttributes=members&filter="+escape(`displayName eq "`+group.Name+`"`))
	if err != nil || len(found.resources()) != 1 || found.resources()[0]["id"] != o.id {
		s.faults.add("%s (group %d) is not what its name finds: %s %v", group.Name, group.Key, found, err)
	}
}

// verifyPerson asks for one person by id and by filters, the name in another case.
func (s *simulation) verifyPerson(ctx context.Context, wanted State, p Person) {
	o := s.people[p.Key]
	if o.id == "" {
		return // told already
	}
	a, err := s.read(ctx, "/Users/"+o.id)
	if want := map[bool]int{true: http.StatusNotFound, false: http.StatusOK}[p.Status == Deleted]; err != nil || a.status != want {
		s.faults.add("%s (user %d): GET is answered %s, want %d (%v)", p.UserName, p.Key, a, want, err)
	}
	for _, filter := range []string{`userName eq "` + strings.ToUpper(p.UserName) + `"`, `externalId eq "` + p.ExternalID + `"`} {
		found, err := s.read(ctx, "/Users?filter="+escape(filter))
		var ids []string
		for _, resource := range found.resources() {
			id, _ := resource["id"].(string)
			ids = append(ids, id)
		}
		want := []string{o.id}
		if p.Status == Deleted {
			want = nil
			if strings.HasPrefix(filter, "userName") {
				want = s.heir(wanted, p)
			}
		}
		if err != nil || found.status != http.StatusOK || !slices.Equal(ids, want) {
			s.faults.add("%s (user %d): %s finds %v, want %v (%d %v)", p.UserName, p.Key, filter, ids, want, found.status, err)
		}
	}
}

// heir is who has the name of somebody deleted by now.
func (s *simulation) heir(wanted State, deleted Person) []string {
	for _, p := range wanted.People {
		if p.Status != Deleted && strings.EqualFold(p.UserName, deleted.UserName) {
			return []string{s.id(p.Key)}
		}
	}
	return nil
}
