package resource

import (
	"slices"
	"strings"

	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"postern/scim/filter"
)

// The URNs of the schemas a resource may be described by.
const (
	UserURN       = schema.UserSchema
	GroupURN      = schema.GroupSchema
	EnterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// Type is a kind of resource: its schemas, and what they say about every attribute. It does not
// change once made.
type Type struct {
	Name        string // "User": the resourceType of meta
	Endpoint    string // "/Users"
	Description string
	Core        schema.Schema
	Extensions  []schema.Schema

	attributes []*Attribute // of the core schema, and those every resource has
	extensions []extension
	squashed   string // the core schema's URN without its colons
	immutable  bool   // some attribute can be given once only
}

type extension struct {
	urn        string
	squashed   string
	attributes []*Attribute
}

// Attribute is what a schema says about one attribute.
type Attribute struct {
	Name          string
	Kind          string // string, boolean, decimal, integer, dateTime, reference, binary, complex
	Multi         bool
	CaseExact     bool
	ReadOnly      bool
	Immutable     bool // given once, and never changed
	Required      bool
	Returned      string // always, default, request, never
	SubAttributes []*Attribute
}

func (a *Attribute) sub(name string) *Attribute {
	if a == nil {
		return nil
	}
	return named(a.SubAttributes, name)
}

func named(attributes []*Attribute, name string) *Attribute {
	for _, attribute := range attributes {
		if sameName(attribute.Name, name) {
			return attribute
		}
	}
	return nil
}

// User is the type of people: the core schema with the enterprise extension. The password is not in
// it, since none is kept; active is always there, so it cannot be removed; groups are returned when
// asked for, since they cost a query of their own.
func User() *Type {
	core := schema.CoreUserSchema()
	core.Attributes = slices.DeleteFunc(core.Attributes, func(a schema.CoreAttribute) bool {
		return a.Name() == "password" || a.Name() == "active" || a.Name() == "groups"
	})
	core.Attributes = append(core.Attributes, activeAttribute(), groupsAttribute())
	return newType(Type{
		Name: "User", Endpoint: "/Users", Description: "A person the identity provider manages",
		Core: core, Extensions: []schema.Schema{schema.ExtensionEnterpriseUser()},
	})
}

// Group is the type of teams. Members are users; groups inside groups are not.
func Group() *Type {
	core := schema.CoreGroupSchema()
	core.Attributes = slices.DeleteFunc(core.Attributes, func(a schema.CoreAttribute) bool { return a.Name() == "members" })
	core.Attributes = append(core.Attributes, membersAttribute())
	return newType(Type{Name: "Group", Endpoint: "/Groups", Description: "A team of people", Core: core})
}

func activeAttribute() schema.CoreAttribute {
	return schema.SimpleCoreAttribute(schema.SimpleBooleanParams(schema.BooleanParams{
		Name: "active", Required: true,
		Description: optional.NewString("Whether the person may sign in and use anything. True unless a new person is created with false."),
	}))
}

func groupsAttribute() schema.CoreAttribute {
	readOnly := schema.AttributeMutabilityReadOnly()
	return schema.ComplexCoreAttribute(schema.ComplexParams{
		Name: "groups", MultiValued: true, Mutability: readOnly, Returned: schema.AttributeReturnedRequest(),
		Description: optional.NewString("The groups the person is a member of. Change the groups to change it."),
		SubAttributes: []schema.SimpleParams{
			schema.SimpleStringParams(schema.StringParams{Name: "value", CaseExact: true, Mutability: readOnly, Description: optional.NewString("The id of the group.")}),
			schema.SimpleReferenceParams(schema.ReferenceParams{
				Name: "$ref", Mutability: readOnly, ReferenceTypes: []schema.AttributeReferenceType{"Group"}, Description: optional.NewString("Where the group is."),
			}),
			schema.SimpleStringParams(schema.StringParams{Name: "display", Mutability: readOnly, Description: optional.NewString("The name of the group.")}),
			schema.SimpleStringParams(schema.StringParams{
				Name: "type", Mutability: readOnly, CanonicalValues: []string{"direct"}, Description: optional.NewString("How the person came into the group."),
			}),
		},
	})
}

func membersAttribute() schema.CoreAttribute {
	immutable := schema.AttributeMutabilityImmutable()
	return schema.ComplexCoreAttribute(schema.ComplexParams{
		Name: "members", MultiValued: true, Description: optional.NewString("The people in the group."),
		SubAttributes: []schema.SimpleParams{
			schema.SimpleStringParams(schema.StringParams{Name: "value", CaseExact: true, Mutability: immutable, Description: optional.NewString("The id of the person.")}),
			schema.SimpleReferenceParams(schema.ReferenceParams{
				Name: "$ref", Mutability: immutable, ReferenceTypes: []schema.AttributeReferenceType{"User"}, Description: optional.NewString("Where the person is."),
			}),
			schema.SimpleStringParams(schema.StringParams{
				Name: "type", Mutability: immutable, CanonicalValues: []string{"User"}, Description: optional.NewString("What the member is."),
			}),
			schema.SimpleStringParams(schema.StringParams{
				Name: "display", Mutability: schema.AttributeMutabilityReadOnly(), Returned: schema.AttributeReturnedRequest(),
				Description: optional.NewString("The name of the person."),
			}),
		},
	})
}

func newType(t Type) *Type {
	t.attributes = append(attributesOf(t.Core.Attributes),
		&Attribute{Name: "schemas", Kind: "reference", Multi: true, CaseExact: true, ReadOnly: true, Returned: "always"},
		&Attribute{Name: "id", Kind: "string", CaseExact: true, ReadOnly: true, Returned: "always"},
		&Attribute{Name: "externalId", Kind: "string", CaseExact: true, Returned: "default"},
		&Attribute{Name: "meta", Kind: "complex", ReadOnly: true, Returned: "default", SubAttributes: []*Attribute{
			{Name: "resourceType", Kind: "string", CaseExact: true, ReadOnly: true},
			{Name: "created", Kind: "dateTime", ReadOnly: true},
			{Name: "lastModified", Kind: "dateTime", ReadOnly: true},
			{Name: "location", Kind: "reference", CaseExact: true, ReadOnly: true},
			{Name: "version", Kind: "string", CaseExact: true, ReadOnly: true},
		}},
	)
	t.squashed, t.immutable = squash(t.Core.ID), anyImmutable(t.attributes)
	for _, definition := range t.Extensions {
		e := extension{definition.ID, squash(definition.ID), attributesOf(definition.Attributes)}
		t.extensions = append(t.extensions, e)
		t.immutable = t.immutable || anyImmutable(e.attributes)
	}
	return &t
}

func attributesOf(definitions schema.Attributes) []*Attribute {
	attributes := make([]*Attribute, 0, len(definitions)+4)
	for _, definition := range definitions {
		attributes = append(attributes, &Attribute{
			Name: definition.Name(), Kind: definition.AttributeType(), Multi: definition.MultiValued(), CaseExact: definition.CaseExact(),
			ReadOnly: definition.Mutability() == "readOnly", Immutable: definition.Mutability() == "immutable", Required: definition.Required(), Returned: definition.Returned(),
			SubAttributes: attributesOf(definition.SubAttributes()),
		})
	}
	return attributes
}

// squash makes a URN comparable when its colons went missing: Entra ID's documentation itself writes
// enterprise:2.0User.
func squash(urn string) string { return strings.ToLower(strings.ReplaceAll(urn, ":", "")) }

// The URNs SCIM 1.1 had for the schemas of today; OneLogin and older connectors still send them.
const (
	oldCore       = "urn:scim:schemas:core:1.0"
	oldEnterprise = "urn:scim:schemas:extension:enterprise:1.0"
)

// place says which schema a URN means: the core schema as "", a known extension by its proper URN,
// anything else by itself.
func (t *Type) place(urn string) (proper string, attributes []*Attribute, known bool) {
	if urn == "" || urn == t.Core.ID {
		return "", t.attributes, true
	}
	for i := range t.extensions {
		if t.extensions[i].urn == urn {
			return urn, t.extensions[i].attributes, true
		}
	}
	if len(urn) > len(EnterpriseURN)+16 {
		return urn, nil, false // longer than any misspelling of ours
	}
	squashed := squash(urn)
	switch {
	case squashed == t.squashed, strings.EqualFold(urn, oldCore):
		return "", t.attributes, true
	case strings.EqualFold(urn, oldEnterprise):
		squashed = squash(EnterpriseURN)
	}
	for i := range t.extensions {
		if t.extensions[i].squashed == squashed {
			return t.extensions[i].urn, t.extensions[i].attributes, true
		}
	}
	return urn, nil, false
}

// IsCore reports whether a URN means the core schema of the type, however it is spelt.
func (t *Type) IsCore(urn string) bool {
	proper, _, known := t.place(urn)
	return isURN(urn) && known && proper == ""
}

// misspelt reports whether a URN that means proper is written in another way.
func (t *Type) misspelt(urn, proper string) bool {
	return urn != "" && urn != proper && (proper != "" || urn != t.Core.ID)
}

// lookup finds an attribute by schema and name. A name without URN that only an extension has means
// that extension's: Entra ID writes "manager" alone.
func (t *Type) lookup(urn, name string) (proper string, attribute *Attribute) {
	proper, attributes, _ := t.place(urn)
	attribute = named(attributes, name)
	if attribute == nil && proper == "" {
		for _, e := range t.extensions {
			if found := named(e.attributes, name); found != nil {
				return e.urn, found
			}
		}
	}
	return proper, attribute
}

// Locate gives the proper names of a filter's path. ok is false for attributes of extensions and for
// those no schema knows.
func (t *Type) Locate(path filter.Path) (attribute, sub string, ok bool) {
	urn, found := t.lookup(path.URN, path.Name)
	if found == nil || urn != "" {
		return "", "", false
	}
	if path.Sub == "" {
		return found.Name, "", true
	}
	inner := found.sub(path.Sub)
	if inner == nil {
		return "", "", false
	}
	return found.Name, inner.Name, true
}
