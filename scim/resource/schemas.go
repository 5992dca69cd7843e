package resource

import "strings"

const (
	// PatchURN is the schema of a PATCH message.
	PatchURN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	// microsoftURN begins what Entra ID alone puts among the schemas of a group.
	microsoftURN = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/"
)

// schemas looks at what a resource says that it is made of (RFC 7643, section 3): its own schema and
// those of its extensions have to be there, and nothing else.
func (t *Type) schemas(sent *Object, profile Profile) error {
	value, _ := sent.Get("schemas")
	list, isList := value.([]any)
	if text, ok := value.(string); ok {
		list, isList = []any{text}, true
		if err := profile.Departs(RuleOneForList, "schemas"); err != nil {
			return err
		}
	}
	if len(list) > MaxMembers {
		return invalidValue("schemas", "there are more than %d", MaxMembers)
	}
	core := false
	for _, one := range list {
		urn, _ := one.(string)
		proper, _, known := t.place(urn)
		if urn == "" || !known {
			if len(urn) > len(microsoftURN) && strings.EqualFold(urn[:len(microsoftURN)], microsoftURN) {
				profile.Rules.suspect(Entra)
			}
			if err := profile.Departs(RuleSchemaUnknown, "schemas"); err != nil {
				return err
			}
			continue
		}
		core = core || proper == ""
		if t.misspelt(urn, proper) {
			if err := profile.Departs(RuleURNSpelling, "schemas"); err != nil {
				return err
			}
		}
	}
	if !core || !isList {
		if err := profile.Departs(RuleSchemasMissing, "schemas"); err != nil {
			return err
		}
	}
	for name, value := range sent.All() {
		if _, used := value.(*Object); used && isURN(name) && !t.listed(list, name) {
			return profile.Departs(RuleSchemaUnlisted, "schemas")
		}
	}
	return nil
}

// listed reports whether a URN is among the schemas, in whatever spelling.
func (t *Type) listed(list []any, urn string) bool {
	proper, _, known := t.place(urn)
	if known && proper == "" {
		return true
	}
	for _, one := range list {
		text, _ := one.(string)
		if len(text) == len(urn) && strings.EqualFold(text, urn) {
			return true
		}
		if known && text != "" {
			if other, _, also := t.place(text); also && other == proper {
				return true
			}
		}
	}
	return false
}

// message looks at the schemas of a PATCH (RFC 7644, section 3.5.2): PatchOp and nothing else.
func message(body *Object, profile Profile) error {
	value, _ := body.Get("schemas")
	if list, ok := value.([]any); ok && len(list) == 1 && list[0] == PatchURN {
		return nil
	}
	return profile.Departs(RuleMessageSchema, "schemas")
}

// ownSchema looks at schemas inside the object of an extension's attributes, where a client that fills
// in whole models repeats the extension's URN. That says what its place says already, and is not kept;
// anything else contradicts its place.
func (p Profile) ownSchema(t *Type, urn string, value any) error {
	if value == nil {
		return nil
	}
	for _, one := range several(value) {
		text, _ := one.(string)
		if proper, _, known := t.place(text); text == "" || !known || proper != urn {
			return p.Departs(RuleSchemaUnknown, "schemas")
		}
	}
	return nil
}

func namesSchemas(name string) bool { return strings.EqualFold(name, "schemas") }
