package resource

import (
	"strings"

	"postern/core"
	"postern/scim/filter"
)

// elements changes those elements of a multi-valued attribute that the path's filter matches.
func (p *patcher) elements(o *Object, c Change) error {
	if c.Attribute != nil && !c.Attribute.Multi {
		return core.Invalid("path", "%s has one value, so nothing can be chosen by a filter", c.Attribute.Name).WithCode("invalidPath")
	}
	existing, _ := o.Get(c.name())
	list, ok := existing.([]any)
	if !ok && existing != nil {
		list = []any{existing}
	}
	if err := p.look(len(list) * terms(c.Path.Filter)); err != nil {
		return err
	}
	if c.Operation != Remove && strings.EqualFold(c.Path.Sub, "value") && c.Value == "" && c.Attribute != nil {
		if err := p.profile.Departs(RuleEmptyRemoves, c.place()); err != nil {
			return err
		}
		c.Operation = Remove // an e-mail address of "" is none
	}
	if c.Operation == Remove && c.Path.Sub == "" {
		return p.drop(o, c, list)
	}
	matched := make([]int, 0, 4)
	for i, element := range list {
		if c.matches(element) {
			matched = append(matched, i)
		}
	}
	if len(matched) == 0 {
		return p.none(o, c, list)
	}
	for _, i := range matched {
		changed, err := p.changed(c, list[i])
		if err != nil {
			return err
		}
		list[i] = changed
	}
	return p.settle(o, c, list, matched[0])
}

// terms is how many comparisons a filter makes.
func terms(e filter.Expression) int {
	sum := 1
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			sum += terms(part)
		}
	case filter.Or:
		for _, part := range e {
			sum += terms(part)
		}
	case filter.Not:
		sum += terms(e.Inner)
	}
	return sum
}

// matches reports whether the path's filter chooses an element. What identity providers send, one
// attribute that equals one string, is decided without the rest of the language.
func (c Change) matches(element any) bool {
	o, isObject := element.(*Object)
	e, isComparison := c.Path.Filter.(filter.Comparison)
	if !isObject || !isComparison || e.Operator != filter.Equal || e.Value.Kind != filter.String || e.Path.URN != "" || e.Path.Sub != "" || e.Path.Filter != nil {
		return c.Attribute.matches(c.Path.Filter, element)
	}
	value, _ := o.Get(e.Path.Name)
	text, isText := value.(string)
	sub := c.Attribute.sub(e.Path.Name)
	if !isText || sub != nil && sub.Kind != "string" {
		return c.Attribute.matches(c.Path.Filter, element)
	}
	if sub != nil && sub.CaseExact {
		return text == e.Value.Text
	}
	return strings.EqualFold(text, e.Value.Text)
}

// drop removes the elements that match.
func (p *patcher) drop(o *Object, c Change, list []any) error {
	kept := make([]any, 0, len(list))
	for _, element := range list {
		if !c.matches(element) {
			kept = append(kept, element)
		}
	}
	if len(kept) == len(list) {
		return p.profile.Departs(RuleRemoveFindsNothing, c.name())
	}
	return c.store(o, kept)
}

// none is what happens when no element matches.
func (p *patcher) none(o *Object, c Change, list []any) error {
	rule := RuleAddCreates
	switch c.Operation {
	case Remove:
		return p.profile.Departs(RuleRemoveFindsNothing, c.name())
	case Replace:
		if rule = RuleReplaceCreates; !p.profile.replaceCreates() {
			return core.Invalid("path", "no value of %s matches the filter", c.name()).WithCode("noTarget")
		}
	}
	made, err := p.made(c)
	if err != nil || made == nil {
		return err
	}
	if err := p.profile.Departs(rule, c.name()); err != nil {
		return err
	}
	return p.settle(o, c, append(list, made), len(list))
}

// settle stores a list after a change of the elements at and after from.
func (p *patcher) settle(o *Object, c Change, list []any, from int) error {
	onePrimary(list, from)
	if c.Operation != Remove {
		return c.store(o, list)
	}
	kept := make([]any, 0, len(list))
	for _, element := range list {
		if inner, ok := element.(*Object); !ok || !hollow(inner) {
			kept = append(kept, element)
		}
	}
	return c.store(o, kept)
}

// hollow reports whether nothing but labels is left of an element.
func hollow(element *Object) bool {
	for name := range element.All() {
		if !strings.EqualFold(name, "type") && !strings.EqualFold(name, "primary") && !strings.EqualFold(name, "display") {
			return false
		}
	}
	return true
}

func (p *patcher) changed(c Change, element any) (any, error) {
	inner, ok := element.(*Object)
	if c.Path.Sub != "" {
		if !ok {
			return nil, core.Invalid("path", "%s has no sub-attributes", c.name()).WithCode("invalidPath")
		}
		value, found, err := p.subValue(c)
		if err == nil {
			c.setSub(inner, value, found)
			if err = p.refold(c, inner); err == nil {
				err = checkMembers(inner)
			}
		}
		return inner, err
	}
	value, err := p.elementValue(c)
	if err != nil || value == nil {
		return element, err
	}
	values, isObject := value.(*Object)
	switch {
	case c.Operation == Add && ok && isObject:
		overlay(inner, values)
		return inner, checkMembers(inner)
	case p.profile.Strict || !isObject:
		return value, nil
	}
	made := &Object{}
	if err := c.fromFilter(made, c.Path.Filter, p.profile); err != nil {
		return value, nil //nolint:nilerr // a filter that does not say what the element is adds nothing to it
	}
	overlay(made, values)
	return made, nil
}

// refold takes a role apart when its value became the text of an object, in place of what the last one
// left behind.
func (p *patcher) refold(c Change, role *Object) error {
	if c.Attribute == nil || c.Attribute.Name != "roles" || c.subName() != "value" || !strings.HasPrefix(role.Text("value"), "{") {
		return nil
	}
	role.Delete("id")
	role.Delete("display")
	return p.profile.unfold(role)
}

// elementValue is the operation's value as one element.
func (p *patcher) elementValue(c Change) (any, error) {
	value := c.Value
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
		if err := p.profile.Departs(RuleListForOne, c.name()); err != nil {
			return nil, err
		}
	}
	var found bool
	var err error
	if c.Attribute == nil {
		value, found, err = p.profile.pruned(value)
	} else {
		value, found, err = c.Attribute.single(site{name: c.Attribute.Name}, value, p.profile)
	}
	if !found {
		return nil, err
	}
	return value, err
}

// made is a new element: what the filter asks to be equal, and the value. It is nil when there is
// nothing to put into it.
func (p *patcher) made(c Change) (any, error) {
	element := &Object{}
	if err := c.fromFilter(element, c.Path.Filter, p.profile); err != nil {
		return nil, err
	}
	if c.Path.Sub != "" {
		value, found, err := p.subValue(c)
		if err != nil || !found {
			return nil, err
		}
		element.Set(c.subName(), value)
		return element, p.refold(c, element)
	}
	value, err := p.elementValue(c)
	if err != nil || value == nil {
		return nil, err
	}
	values, ok := value.(*Object)
	if !ok {
		return value, nil
	}
	overlay(element, values)
	return element, nil
}

func (c Change) fromFilter(element *Object, e filter.Expression, p Profile) error {
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			if err := c.fromFilter(element, part, p); err != nil {
				return err
			}
		}
		return nil
	case filter.Comparison:
		if e.Operator == filter.Equal && e.Path.URN == "" && e.Path.Sub == "" && e.Path.Filter == nil && e.Value.Kind != filter.Null {
			return c.fromComparison(element, e, p)
		}
	}
	return core.Invalid("path", "no value of %s matches the filter, and none can be made from it", c.name()).WithCode("noTarget")
}

func (c Change) fromComparison(element *Object, e filter.Comparison, p Profile) error {
	var value any
	switch e.Value.Kind {
	case filter.Boolean:
		value = e.Value.Text == "true"
	case filter.Number:
		value = Number(e.Value.Text)
	default:
		value = e.Value.Text
	}
	sub := c.Attribute.sub(e.Path.Name)
	if sub == nil {
		element.Set(e.Path.Name, value)
		return nil
	}
	p.Rules = nil // text compared with a boolean was noted when the path was read
	value, found, err := sub.coerce(site{c.name(), sub.Name}, value, p)
	if err == nil && found {
		element.Set(sub.Name, value)
	}
	return err
}
