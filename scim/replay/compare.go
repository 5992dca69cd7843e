package replay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postern/core"
)

// redacted stands in the journal where a secret stood: nothing can be said about such a value.
const redacted = "[redacted]"

// comparison collects the differences between the live state and the replayed one, both by live ids.
type comparison struct {
	live, replayed state
	apart          map[core.ID]bool // not compared
	found          []Difference
}

func (c *comparison) run() []Difference {
	for _, id := range both(c.live.people, c.replayed.people) {
		if !c.apart[id] {
			c.person(id)
		}
	}
	for _, id := range both(c.live.groups, c.replayed.groups) {
		if !c.apart[id] {
			c.group(id)
		}
	}
	for _, one := range apart(c.live.holds, c.replayed.holds, func(one, other entitlement) int {
		return cmp.Or(bytes.Compare(one.User[:], other.User[:]), bytes.Compare(one.Account[:], other.Account[:]), cmp.Compare(one.Role, other.Role))
	}) {
		// Who is active on one side alone has nothing on the other: that alone is told.
		live, replayed := c.live.people[one.User], c.replayed.people[one.User]
		if c.apart[one.User] || !live.Active || !replayed.Active || live.Deleted || replayed.Deleted {
			continue
		}
		c.add("entitlement", one.User, live.UserName, one.Account.String()+"-"+string(one.Role), presence(!c.live.holds[one]), presence(!c.replayed.holds[one]))
	}
	for _, one := range apart(c.live.members, c.replayed.members, func(one, other membership) int {
		return cmp.Or(bytes.Compare(one.Group[:], other.Group[:]), bytes.Compare(one.User[:], other.User[:]))
	}) {
		// Who is in a group that is nowhere, or is somebody the journal never tells of, is no news.
		_, known := c.replayed.people[one.User]
		if c.apart[one.Group] || c.apart[one.User] || c.gone(one.Group) || !known {
			continue
		}
		c.add("member", one.Group, c.live.groups[one.Group].DisplayName, one.User.String(), presence(!c.live.members[one]), presence(!c.replayed.members[one]))
	}
	return c.found
}

// apart is what one side has and the other has not, in order.
func apart[Thing comparable](live, replayed map[Thing]bool, order func(one, other Thing) int) (things []Thing) {
	for one := range live {
		if !replayed[one] {
			things = append(things, one)
		}
	}
	for one := range replayed {
		if !live[one] {
			things = append(things, one)
		}
	}
	slices.SortFunc(things, order)
	return things
}

// gone reports whether one of the two sides lacks the group: that alone is told.
func (c *comparison) gone(id core.ID) bool {
	live, found := c.live.groups[id]
	replayed, made := c.replayed.groups[id]
	return !found || !made || live.Deleted || replayed.Deleted
}

func (c *comparison) add(kind string, id core.ID, name, field, live, replayed string) {
	if live != replayed && !strings.Contains(replayed, redacted) {
		c.found = append(c.found, Difference{Kind: kind, ID: id, Name: name, Field: field, Live: live, Replayed: replayed})
	}
}

func presence(absent bool) string {
	if absent {
		return "missing"
	}
	return "there"
}

func (c *comparison) person(id core.ID) {
	live, found := c.live.people[id]
	replayed, made := c.replayed.people[id]
	name := cmp.Or(live.UserName, replayed.UserName)
	if absent, unmade := !found || live.Deleted, !made || replayed.Deleted; absent || unmade {
		c.add("user", id, name, "", presence(absent), presence(unmade))
		return
	}
	for _, field := range []struct{ name, live, replayed string }{
		{"userName", live.UserName, replayed.UserName}, {"externalId", live.ExternalID, replayed.ExternalID},
		{"displayName", live.DisplayName, replayed.DisplayName}, {"active", strconv.FormatBool(live.Active), strconv.FormatBool(replayed.Active)},
	} {
		c.add("user", id, name, field.name, field.live, field.replayed)
	}
	c.attributes("user", id, name, live.Attributes, replayed.Attributes)
}

func (c *comparison) group(id core.ID) {
	live, found := c.live.groups[id]
	replayed, made := c.replayed.groups[id]
	name := cmp.Or(live.DisplayName, replayed.DisplayName)
	if absent, unmade := !found || live.Deleted, !made || replayed.Deleted; absent || unmade {
		c.add("group", id, name, "", presence(absent), presence(unmade))
		return
	}
	c.add("group", id, name, "displayName", live.DisplayName, replayed.DisplayName)
	c.add("group", id, name, "externalId", live.ExternalID, replayed.ExternalID)
	c.attributes("group", id, name, live.Attributes, replayed.Attributes)
}

// attributes compares what is kept beside the columns, attribute by attribute.
func (c *comparison) attributes(kind string, id core.ID, name string, live, replayed json.RawMessage) {
	one, other := parts(live), parts(replayed)
	for _, attribute := range slices.Sorted(maps.Keys(union(one, other))) {
		c.add(kind, id, name, attribute, text(one[attribute]), text(other[attribute]))
	}
}

func parts(document json.RawMessage) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	_ = json.Unmarshal(document, &found) // what the database keeps is an object
	return found
}

// text is a value in the one form equal values have; empty for none.
func text(value json.RawMessage) string {
	if value == nil {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	var decoded any
	if decoder.Decode(&decoded) != nil {
		return string(value)
	}
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(decoded) != nil {
		return string(value)
	}
	return strings.TrimSpace(plain.String())
}

func union[Value any](one, other map[string]Value) map[string]bool {
	names := map[string]bool{}
	for name := range one {
		names[name] = true
	}
	for name := range other {
		names[name] = true
	}
	return names
}

// both are the ids of either side, in order.
func both[Value any](one, other map[core.ID]Value) []core.ID {
	ids := slices.Collect(maps.Keys(one))
	for id := range other {
		if _, found := one[id]; !found {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b core.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
