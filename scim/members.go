package scim

import (
	"strings"

	"postern/core"
	"postern/core/lifecycle"
	"postern/scim/filter"
	"postern/scim/resource"
)

// membership is what the operations of one PATCH come to: who the members are from now on, or who
// comes and who goes. A later operation outweighs an earlier one.
type membership struct {
	replaced bool
	members  map[core.ID]bool // with replaced: in or, if false, out
	changes  map[core.ID]bool // without: comes or, if false, goes
}

func newMembership() *membership {
	return &membership{members: map[core.ID]bool{}, changes: map[core.ID]bool{}}
}

func (m *membership) set(ids []core.ID, in bool) {
	target := m.changes
	if m.replaced {
		target = m.members
	}
	for _, id := range ids {
		target[id] = in
	}
}

func (m *membership) replace(ids []core.ID) {
	*m = *newMembership()
	m.replaced = true
	m.set(ids, true)
}

// edit hands the outcome to the lifecycle.
func (m *membership) edit(team *lifecycle.TeamEdit) {
	if m.replaced {
		ids := make([]core.ID, 0, len(m.members))
		for id, in := range m.members {
			if in {
				ids = append(ids, id)
			}
		}
		team.Replace = &ids
		return
	}
	for id, in := range m.changes {
		if in {
			team.Add = append(team.Add, id)
		} else {
			team.Remove = append(team.Remove, id)
		}
	}
}

// apply takes in one operation on members, in each form identity providers know.
func (m *membership) apply(c resource.Change) error {
	if c.Path.Sub != "" {
		return core.Invalid("members."+c.Path.Sub, "a member is added or removed, never changed").WithCode("mutability")
	}
	if c.Path.Filter != nil {
		if c.Operation != resource.Remove {
			return core.Invalid("path", "members are added and replaced without a filter").WithCode("invalidPath")
		}
		ids, err := filteredMembers(c.Path.Filter, nil)
		m.set(ids, false)
		return err
	}
	empty := c.Value == nil
	switch c.Operation {
	case resource.Add:
		ids, err := memberIDs(c.Value, false)
		m.set(ids, true)
		return err
	case resource.Replace:
		ids, err := memberIDs(c.Value, false)
		m.replace(ids)
		return err
	}
	if empty {
		m.replace(nil)
		return nil
	}
	ids, err := memberIDs(c.Value, true)
	m.set(ids, false)
	return err
}

// filteredMembers reads members[value eq "a" or value eq "b"].
func filteredMembers(e filter.Expression, ids []core.ID) ([]core.ID, error) {
	switch e := e.(type) {
	case filter.Or:
		var err error
		for _, part := range e {
			if ids, err = filteredMembers(part, ids); err != nil {
				return nil, err
			}
		}
		return ids, nil
	case filter.Comparison:
		if e.Operator == filter.Equal && e.Path.Is("value") && e.Value.Kind != filter.Null {
			if id, err := core.ParseID(e.Value.Text); err == nil { // nobody has any other id
				ids = append(ids, id)
			}
			return ids, nil
		}
	}
	return nil, core.Invalid("path", `members are chosen by value: members[value eq "id"]`).WithCode("invalidFilter")
}

// memberIDs reads members as a list or one alone: {"value":"id"}, {"$ref":"…/Users/id"} or "id". What
// is no id is nobody's; lenient passes over it, since removing nobody is done.
func memberIDs(value any, lenient bool) ([]core.ID, error) {
	list, ok := value.([]any)
	if !ok {
		if value == nil {
			return nil, nil
		}
		list = []any{value}
	}
	ids := make([]core.ID, 0, len(list))
	for _, element := range list {
		text := ""
		switch element := element.(type) {
		case nil:
			continue
		case string:
			text = element
		case *resource.Object:
			if text = element.Text("value"); text == "" {
				reference := element.Text("$ref")
				text = reference[strings.LastIndexByte(reference, '/')+1:]
			}
			if kind := element.Text("type"); kind != "" && !strings.EqualFold(kind, "User") && !lenient {
				return nil, core.Invalid("members", "only users can be members").WithCode("invalidValue")
			}
		default:
			return nil, core.Invalid("members", `a member is {"value": "the user's id"}`).WithCode("invalidValue")
		}
		id, err := core.ParseID(text)
		switch {
		case err == nil:
			ids = append(ids, id)
		case !lenient:
			return nil, unknownMember()
		}
	}
	return ids, nil
}

// unknownMember is the same for what is no id, for an id nobody has and for somebody else's.
func unknownMember() error {
	return core.Invalid("members", "there is no such user; push the people before their groups").WithCode("invalidValue")
}
