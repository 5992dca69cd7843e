package resource

import (
	"slices"
	"strings"

	"postern/scim/filter"
)

// Projection is which attributes a client wants to see. The zero Projection is the default: all but
// those returned only on request.
type Projection struct {
	wanted, unwanted []target
	narrowed         bool // attributes were named, even if none of them exists
	kind             *Type
}

type target struct {
	urn, name, sub string
	whole          bool // of an extension
}

// Projection reads the query parameters attributes and excludedAttributes: names separated by commas,
// with a URN before and a sub-attribute behind them where needed. Names that do not exist choose
// nothing.
func (t *Type) Projection(attributes, excluded string) Projection {
	return Projection{wanted: t.targets(attributes), unwanted: t.targets(excluded), narrowed: strings.TrimSpace(attributes) != "", kind: t}
}

func (t *Type) targets(list string) []target {
	if list == "" {
		return nil
	}
	var targets []target
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if isURN(text) {
			if proper, _, known := t.place(text); known {
				targets = append(targets, target{urn: proper, whole: true})
				continue
			}
		}
		path, err := filter.ParsePath(text, filter.Options{})
		if err != nil {
			continue
		}
		if _, _, known := t.place(path.URN); !known {
			// Either an attribute of an extension no schema knows, or that extension as a whole.
			targets = append(targets, target{urn: text, whole: true})
		}
		urn, _ := t.lookup(path.URN, path.Name)
		targets = append(targets, target{urn: urn, name: path.Name, sub: path.Sub})
	}
	return targets
}

// Default reports whether nothing was asked for in particular.
func (p Projection) Default() bool { return !p.narrowed && len(p.unwanted) == 0 }

// Narrowed reports whether the client named the attributes it wants.
func (p Projection) Narrowed() bool { return p.narrowed }

// Wants reports whether an attribute of the core schema, or a part of it, is to be returned. Ask
// before fetching what costs a query.
func (p Projection) Wants(name string) bool {
	if p.kind == nil {
		return true
	}
	_, attribute := p.kind.lookup("", name)
	if attribute != nil && attribute.Returned == "always" {
		return true
	}
	if p.narrowed {
		return covers(p.wanted, "", name)
	}
	if attribute != nil && attribute.Returned == "request" {
		return false
	}
	return !excludes(p.unwanted, "", name)
}

// Names reports whether the client asked for one sub-attribute of the core schema by its name: what is
// returned only on request is returned then.
func (p Projection) Names(name, sub string) bool {
	return slices.ContainsFunc(p.wanted, func(t target) bool {
		return t.urn == "" && strings.EqualFold(t.name, name) && strings.EqualFold(t.sub, sub)
	})
}

// covers reports whether a target is the attribute, something in it, or everything around it.
func covers(targets []target, urn, name string) bool {
	for _, t := range targets {
		if strings.EqualFold(t.urn, urn) && (t.whole || strings.EqualFold(t.name, name)) {
			return true
		}
	}
	return false
}

// excludes reports whether a target is the whole attribute.
func excludes(targets []target, urn, name string) bool {
	for _, t := range targets {
		if strings.EqualFold(t.urn, urn) && (t.whole && urn != "" || strings.EqualFold(t.name, name) && t.sub == "") {
			return true
		}
	}
	return false
}

// Apply returns the resource with only what is wanted. It shares what it does not narrow.
func (p Projection) Apply(o *Object) *Object {
	if p.Default() || p.kind == nil {
		return o
	}
	shown := &Object{members: make([]member, 0, o.Len())}
	for name, value := range o.All() {
		inner, isObject := value.(*Object)
		if isURN(name) && isObject {
			if value := p.extension(name, inner); value.Len() > 0 {
				shown.Set(name, value)
			}
			continue
		}
		if p.Wants(name) {
			if value, found := p.narrow("", name, value); found {
				shown.Set(name, value)
			}
		}
	}
	return shown
}

func (p Projection) extension(urn string, o *Object) *Object {
	shown := &Object{members: make([]member, 0, o.Len())}
	for name, value := range o.All() {
		if p.narrowed && !covers(p.wanted, urn, name) || !p.narrowed && excludes(p.unwanted, urn, name) {
			continue
		}
		if value, found := p.narrow(urn, name, value); found {
			shown.Set(name, value)
		}
	}
	return shown
}

// narrow drops the sub-attributes that are not wanted.
func (p Projection) narrow(urn, name string, value any) (any, bool) {
	var keep, drop []string
	for _, t := range p.wanted {
		if !t.whole && strings.EqualFold(t.urn, urn) && strings.EqualFold(t.name, name) {
			if t.sub == "" {
				keep = nil
				break
			}
			keep = append(keep, t.sub)
		} else if t.whole && strings.EqualFold(t.urn, urn) {
			keep = nil
			break
		}
	}
	for _, t := range p.unwanted {
		if t.sub != "" && strings.EqualFold(t.urn, urn) && strings.EqualFold(t.name, name) {
			drop = append(drop, t.sub)
		}
	}
	if keep == nil && drop == nil {
		return value, true
	}
	return subset(value, keep, drop)
}

func subset(value any, keep, drop []string) (any, bool) {
	switch value := value.(type) {
	case *Object:
		kept := &Object{members: make([]member, 0, value.Len())}
		for name, inner := range value.All() {
			if (keep == nil || contains(keep, name)) && !contains(drop, name) {
				kept.Set(name, inner)
			}
		}
		return kept, kept.Len() > 0
	case []any:
		kept := make([]any, 0, len(value))
		for _, element := range value {
			if element, found := subset(element, keep, drop); found {
				kept = append(kept, element)
			}
		}
		return kept, len(kept) > 0
	}
	return value, keep == nil
}

func contains(names []string, name string) bool {
	for _, known := range names {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}
