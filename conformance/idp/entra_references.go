package idp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
)

func (s *simulation) entraHasGroup(group Group) bool {
	o := s.groups[group.Key]
	if group.Status == Deleted {
		return o.gone
	}
	return o.id != "" && o.known["displayName"] == group.Name
}

func (s *simulation) entraGroup(ctx context.Context, group Group) {
	o := s.groups[group.Key]
	o.flying.Wait()
	if group.Status == Deleted {
		_, o.gone = s.once(ctx, o, http.MethodDelete, "/Groups/"+o.id, nil, http.StatusNoContent, http.StatusNotFound)
		return
	}
	if o.id == "" {
		found, ok := s.entraMatch(ctx, o, "/Groups", `displayName eq "`+group.Name+`"`)
		if !ok {
			return
		}
		if o.id = found; found != "" {
			o.known["displayName"] = group.Name
			return
		}
		body := map[string]any{
			"schemas": []string{groupURN, entraGroupURN}, "externalId": group.ExternalID, "displayName": group.Name,
			"meta": map[string]any{"resourceType": "Group"},
		}
		a, ok := s.once(ctx, o, http.MethodPost, "/Groups", body, http.StatusCreated, http.StatusConflict)
		if !ok || a.status == http.StatusConflict {
			return
		}
		if o.id = a.id(); o.id == "" {
			s.faults.add("POST /Groups (%s) is answered without the group", group.Name)
			return
		}
		o.known["displayName"] = group.Name
		return
	}
	if _, ok := s.once(ctx, o, http.MethodGet, "/Groups/"+o.id+"?excludedAttributes=members", nil, http.StatusOK); !ok {
		return
	}
	operation := map[string]any{"op": s.Shape.word("replace"), "path": "displayName", "value": group.Name}
	if s.Shape == Entra {
		operation = map[string]any{"op": "replace", "value": map[string]any{"displayName": group.Name}}
	}
	if _, ok := s.once(ctx, o, http.MethodPatch, "/Groups/"+o.id, patch([]any{operation}), http.StatusOK, http.StatusNoContent); ok {
		o.known["displayName"] = group.Name
	}
}

func (s *simulation) entraHasManager(p Person) bool {
	if p.Status == Deleted {
		return true
	}
	return s.people[p.Key].known[managerPath] == p.attributes(s.Shape, s.id)[managerPath] && (p.Manager < 0 || s.id(p.Manager) != "")
}

// entraManager asks whether the reference is there, and sets it if it is not.
func (s *simulation) entraManager(ctx context.Context, p Person) {
	o := s.people[p.Key]
	if o.id == "" || p.Manager >= 0 && s.id(p.Manager) == "" {
		return
	}
	o.flying.Wait()
	had, has := o.known[managerPath], ""
	if p.Manager >= 0 {
		has = s.id(p.Manager)
		filter := escape(`id eq "` + o.id + `" and manager eq "` + has + `"`)
		a, ok := s.once(ctx, o, http.MethodGet, "/Users?filter="+filter+"&attributes=id", nil, http.StatusOK)
		if !ok {
			return
		}
		if len(a.resources()) == 1 {
			o.known[managerPath] = has
			return
		}
	}
	operation := "replace"
	if had == "" {
		operation = "add"
	}
	change := map[string]any{"op": s.Shape.word(operation), "path": enterpriseURN + ":manager", "value": has}
	if s.Shape == EntraLegacy && has != "" && p.Key%2 == 0 {
		change["path"] = "manager"
		change["value"] = []any{map[string]any{"$ref": s.client.url + "/Users/" + has, "value": has}}
	}
	if _, ok := s.once(ctx, o, http.MethodPatch, "/Users/"+o.id, patch([]any{change}), http.StatusOK, http.StatusNoContent); ok {
		if has == "" {
			delete(o.known, managerPath)
		} else {
			o.known[managerPath] = has
		}
	}
}

// missing and surplus are the members that are to come and to go.
func (s *simulation) entraDifference(group Group) (missing, surplus []int) {
	o := s.groups[group.Key]
	for _, key := range sorted(o.members) {
		switch {
		case s.people[key].gone: // went out of every group with the person
			delete(o.members, key)
		case !group.Members[key]:
			surplus = append(surplus, key)
		}
	}
	for _, key := range sorted(group.Members) {
		if !o.members[key] {
			missing = append(missing, key)
		}
	}
	return missing, surplus
}

func (s *simulation) entraHasMembers(group Group) bool {
	if group.Status == Deleted {
		return true
	}
	missing, surplus := s.entraDifference(group)
	return len(missing)+len(surplus) == 0
}

// entraMembers sends who comes and who goes, some in one request, and some requests of one group at
// once: they are about different people.
func (s *simulation) entraMembers(ctx context.Context, group Group) {
	o := s.groups[group.Key]
	if o.id == "" {
		return
	}
	o.flying.Wait()
	missing, surplus := s.entraDifference(group)
	random := rand.New(rand.NewPCG(s.Seed, uint64(group.Key)<<32|uint64(len(missing)+len(surplus))))
	var lock sync.Mutex
	var together sync.WaitGroup
	slots := make(chan struct{}, 3)
	send := func(keys []int, in bool) {
		var known []int
		for _, key := range keys {
			if s.id(key) != "" {
				known = append(known, key)
			}
		}
		if len(known) == 0 {
			return
		}
		slots <- struct{}{}
		together.Go(func() {
			defer func() { <-slots }()
			if _, ok := s.once(ctx, o, http.MethodPatch, "/Groups/"+o.id, patch(s.memberOperations(known, in)), http.StatusOK, http.StatusNoContent); !ok {
				return
			}
			lock.Lock()
			defer lock.Unlock()
			for _, key := range known {
				if in {
					o.members[key] = true
				} else {
					delete(o.members, key)
				}
			}
		})
	}
	if len(surplus) > 0 && random.IntN(4) == 0 {
		// Only whether it is answered counts: what is there is known from the answers before.
		filter := escape(`id eq "` + o.id + `" and members eq "` + s.id(surplus[0]) + `"`)
		s.once(ctx, o, http.MethodGet, "/Groups?filter="+filter+"&attributes=id", nil, http.StatusOK)
	}
	for len(surplus) > 0 {
		size := min(len(surplus), 1+random.IntN(10))
		send(surplus[:size], false)
		surplus = surplus[size:]
	}
	for len(missing) > 0 {
		size := min(len(missing), 1+random.IntN(40))
		send(missing[:size], true)
		missing = missing[size:]
	}
	together.Wait()
}

func (s *simulation) memberOperations(keys []int, in bool) []any {
	if !in && s.Shape == Entra {
		operations := make([]any, 0, len(keys))
		for _, key := range keys {
			operations = append(operations, map[string]any{"op": "remove", "path": `members[value eq "` + s.id(key) + `"]`})
		}
		return operations
	}
	members := make([]any, 0, len(keys))
	for _, key := range keys {
		member := map[string]any{"value": s.id(key)}
		if s.Shape == EntraLegacy {
			member["$ref"] = nil
		}
		members = append(members, member)
	}
	word := "remove"
	if in {
		word = "add"
	}
	return []any{map[string]any{"op": s.Shape.word(word), "path": "members", "value": members}}
}
