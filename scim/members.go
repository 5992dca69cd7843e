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
	profile  resource.Profile
	replaced bool
	members  map[core.ID]bool // with replaced: in or, if false, out
	changes  map[core.ID]bool // without: comes or, if false, goes
}

func newMembership(profile resource.Profile) *membership {
	return &membership{profile: profile, changes: map[core.ID]bool{}}
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
	m.replaced, m.members, m.changes = true, make(map[core.ID]bool, len(ids)), nil
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
		if c.Operation == resource.Replace || c.Operation == resource.Add && c.HasValue {
			return core.Invalid("path", "members are added and replaced without a filter").WithCode("invalidPath")
		}
		ids, err := filteredMembers(c.Path.Filter, nil)
		m.set(ids, c.Operation == resource.Add)
		return err
	}
	switch {
	case c.Operation == resource.Remove && c.Value == nil:
		m.replace(nil)
		return nil
	case c.Operation == resource.Remove:
		if err := m.profile.Departs(resource.RuleRemoveNamesValues, "members"); err != nil {
			return err
		}
	}
	ids, err := memberIDs(c.Value, c.Operation == resource.Remove, m.profile)
	if err != nil {
		return err
	}
	if c.Operation == resource.Replace {
		m.replace(ids)
		return nil
	}
	m.set(ids, c.Operation == resource.Add)
	return nil
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

// memberIDs reads members: a list or one alone of {"value":"id"}, {"$ref":"…/Users/id"} or "id". What is
// no id is nobody's; lenient passes over it, since removing nobody is done.
func memberIDs(value any, lenient bool, profile resource.Profile) ([]core.ID, error) {
	list, ok := value.([]any)
	if !ok {
		if value == nil {
			return nil, nil
		}
		if err := profile.Departs(resource.RuleMemberAlone, "members"); err != nil {
			return nil, err
		}
		list = []any{value}
	}
	ids := make([]core.ID, 0, len(list))
	for _, element := range list {
		if element == nil {
			continue
		}
		text, err := memberID(element, lenient, profile)
		if err != nil {
			return nil, err
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

// memberID is the id one member is named by.
func memberID(element any, lenient bool, profile resource.Profile) (string, error) {
	if text, ok := element.(string); ok {
		return text, profile.Departs(resource.RuleMemberString, "members")
	}
	member, ok := element.(*resource.Object)
	if !ok {
		return "", core.Invalid("members", `a member is {"value": "the user's id"}`).WithCode("invalidValue")
	}
	id, reference := "", ""
	for name, value := range member.All() {
		text, isText := value.(string)
		switch strings.ToLower(name) {
		case "value":
			id = text
		case "$ref":
			reference = text
			if value == nil {
				if err := profile.Departs(resource.RuleNullReference, "members"); err != nil {
					return "", err
				}
			}
		case "type":
			if isText && text != "" && !strings.EqualFold(text, "User") && !lenient {
				return "", core.Invalid("members", "only users can be members").WithCode("invalidValue")
			}
		case "display":
		default:
			if err := profile.Departs(resource.RuleMemberDisplayName, "members"); err != nil {
				return "", err
			}
		}
	}
	if id != "" || reference == "" {
		return id, nil
	}
	return reference[strings.LastIndexByte(reference, '/')+1:], profile.Departs(resource.RuleMemberReferenceOnly, "members")
}

// unknownMember is the same for what is no id, for an id nobody has and for somebody else's.
func unknownMember() error {
	return core.Invalid("members", "there is no such user; push the people before their groups").WithCode("invalidValue")
}
