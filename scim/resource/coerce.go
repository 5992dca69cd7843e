package resource

import "strings"

// MaxValues bounds the elements of one multi-valued attribute, the members of a group apart.
const MaxValues = 500

// site names an attribute in an error. It is put together only when there is one.
type site struct{ outer, name string }

func (s site) String() string {
	if s.outer == "" {
		return s.name
	}
	return s.outer + "." + s.name
}

// coerce gives a value its attribute's type; found is false when the value means that there is none.
// What it returns shares nothing with the value that can change.
func (a *Attribute) coerce(at site, value any, p Profile) (coerced any, found bool, err error) {
	list, ok := value.([]any)
	if !a.Multi {
		if ok {
			if value, err = a.only(at, list, p); err != nil {
				return nil, false, err
			}
		}
		return a.single(at, value, p)
	}
	if value == nil {
		return nil, false, nil
	}
	if !ok {
		if err := p.Departs(RuleOneForList, at.String()); err != nil {
			return nil, false, err
		}
		list = []any{value}
	}
	if len(list) > MaxValues && a.Name != "members" {
		return nil, false, invalidValue(at.String(), "at most %d values are kept", MaxValues)
	}
	kept := make([]any, 0, len(list))
	primaries := 0
	for _, element := range list {
		element, found, err := a.single(at, element, p)
		if err != nil {
			return nil, false, err
		}
		if found {
			kept = append(kept, element)
		}
		if primary(element) {
			primaries++
		}
	}
	if primaries > 1 {
		if err := p.Departs(RuleSecondPrimary, at.String()); err != nil {
			return nil, false, err
		}
		onePrimary(kept, 0)
	}
	return kept, len(kept) > 0, nil
}

// only is the one element of a list that came where one value belongs: Entra ID sends a manager so.
func (a *Attribute) only(at site, list []any, p Profile) (any, error) {
	rule := RuleListForOne
	switch {
	case len(list) > 1:
		return nil, invalidValue(at.String(), "one value is expected, not a list")
	case len(list) == 0:
		return nil, p.Departs(RuleEmptyRemoves, at.String())
	case a.about():
		rule = RuleManagerList
	}
	return list[0], p.Departs(rule, at.String())
}

// about reports whether the attribute is a reference with a value of its own: the manager.
func (a *Attribute) about() bool { return !a.Multi && a.Kind == "complex" && a.sub("value") != nil }

func (a *Attribute) single(at site, value any, p Profile) (any, bool, error) {
	if value == nil {
		return nil, false, nil
	}
	if a.Kind == "complex" {
		return a.complex(at, value, p)
	}
	if o, ok := value.(*Object); ok {
		inner, wrapped := unwrapped(o)
		if !wrapped {
			return nil, false, invalidValue(at.String(), "a plain value is expected")
		}
		if err := p.Departs(RuleWrappedValue, at.String()); err != nil {
			return nil, false, err
		}
		value = inner
	}
	switch a.Kind {
	case "boolean":
		return boolean(at, value, p)
	case "integer", "decimal":
		if _, ok := value.(Number); ok {
			return value, true, nil
		}
		return nil, false, invalidValue(at.String(), "a number is expected")
	}
	switch typed := value.(type) {
	case string:
		return value, true, nil
	case Number: // Okta's own sample user has numbers for externalId and employeeNumber
		return string(typed), true, p.Departs(RuleNumberForString, at.String())
	}
	return nil, false, invalidValue(at.String(), "a string is expected")
}

// unwrapped is the plain value in {"$ref": null, "value": x}, as Entra ID once sent for everything.
func unwrapped(o *Object) (any, bool) {
	value, found := o.Get("value")
	for name, other := range o.All() {
		if !strings.EqualFold(name, "value") && (other != nil || !strings.EqualFold(name, "$ref")) {
			return nil, false
		}
	}
	switch value.(type) {
	case string, bool, Number:
		return value, found
	}
	return nil, false
}

func boolean(at site, value any, p Profile) (any, bool, error) {
	switch value := value.(type) {
	case bool:
		return value, true, nil
	case string: // Entra ID sends "True" and "False"
		truth := strings.EqualFold(value, "true")
		if truth || strings.EqualFold(value, "false") {
			return truth, true, p.Departs(RuleStringBoolean, at.String())
		}
	}
	return nil, false, invalidValue(at.String(), "true or false is expected")
}

func (a *Attribute) complex(at site, value any, p Profile) (any, bool, error) {
	if text, ok := value.(string); ok && a.sub("value") != nil {
		if text == "" && !a.Multi {
			return nil, false, p.Departs(RuleEmptyRemoves, at.String()) // a manager replaced by "" is a manager removed
		}
		rule := RuleStringForObject
		if a.about() {
			rule = RuleManagerString
		}
		if err := p.Departs(rule, at.String()); err != nil {
			return nil, false, err
		}
		value = NewObject("value", text)
	}
	sent, ok := value.(*Object)
	if !ok {
		return nil, false, invalidValue(at.String(), "an object is expected")
	}
	kept := &Object{members: make([]member, 0, sent.Len())}
	for name, inner := range sent.All() {
		if err := a.part(kept, at, name, inner, p); err != nil {
			return nil, false, err
		}
	}
	if a.about() && kept.Text("value") == "" {
		if kept.Len() > 0 {
			return nil, false, p.Departs(RuleEmptyRemoves, at.String())
		}
		return nil, false, nil
	}
	if a.Name == "roles" {
		if err := p.unfold(kept); err != nil {
			return nil, false, err
		}
	}
	return kept, kept.Len() > 0, nil
}

// part takes one sub-attribute.
func (a *Attribute) part(kept *Object, at site, name string, value any, p Profile) error {
	sub := a.sub(name)
	if sub == nil {
		if unkept(name) {
			return p.Departs(RulePasswordDropped, "password")
		}
		value, found, err := p.pruned(value)
		if err != nil || !found {
			return err
		}
		kept.Set(name, value)
		return p.Departs(RuleUnknownAttribute, at.String())
	}
	if value == nil {
		if sub.Name == "$ref" {
			return p.Departs(RuleNullReference, at.String())
		}
		return nil
	}
	value, found, err := sub.coerce(site{at.name, sub.Name}, value, p)
	if err != nil || !found {
		return err
	}
	kept.Set(sub.Name, value)
	return nil
}

// unfold takes a role apart whose value is the text of a JSON object: Entra ID sends an app role so,
// {"id":"…","value":"25","displayName":"Role1234"}. Nothing in it is lost: the id and whatever else
// there is become attributes of the role.
func (p Profile) unfold(role *Object) error {
	text := role.Text("value")
	if p.Strict || len(text) < 2 || text[0] != '{' {
		return p.refuseFolded(text)
	}
	inner, err := Decode([]byte(text))
	if err != nil {
		return nil // text like any other
	}
	named, _ := inner.Get("value")
	value := plain(named)
	if value == "" {
		value = inner.Text("id")
	}
	if value == "" || strings.HasPrefix(value, "{") {
		return nil
	}
	rest, _, err := p.pruned(inner)
	if err != nil {
		return err
	}
	made := role.Clone()
	made.Set("value", value)
	for name, value := range rest.(*Object).All() {
		switch {
		case strings.EqualFold(name, "value"):
			continue
		case strings.EqualFold(name, "displayName"):
			name = "display"
		}
		_, isText := value.(string)
		_, isTruth := value.(bool)
		known := strings.EqualFold(name, "display") || strings.EqualFold(name, "type")
		if known && !isText || strings.EqualFold(name, "primary") && !isTruth {
			return nil // it would be lost
		}
		if other, taken := role.Get(name); taken && !Equal(other, value) {
			return nil
		}
		made.Set(name, value)
	}
	role.members = made.members
	p.Rules.Fire(RuleRoleJSON)
	return nil
}

// refuseFolded is the strict profile's word on it.
func (p Profile) refuseFolded(text string) error {
	if p.Strict && len(text) > 1 && text[0] == '{' {
		if _, err := Decode([]byte(text)); err == nil {
			return refusal(RuleRoleJSON, "roles", "")
		}
	}
	return nil
}

// onePrimary leaves primary on one element alone: the first that has it at or after from, where the
// newest elements begin, else the first of all.
func onePrimary(list []any, from int) {
	chosen := -1
	for i := range list {
		at := (from + i) % len(list)
		if primary(list[at]) {
			chosen = at
			break
		}
	}
	for i, element := range list {
		if i != chosen && primary(element) {
			element.(*Object).Set("primary", false)
		}
	}
}

func primary(element any) bool {
	o, ok := element.(*Object)
	if !ok {
		return false
	}
	value, _ := o.Get("primary")
	return value == true
}
