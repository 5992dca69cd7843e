package scim

import (
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// groupResource is a team as SCIM shows it, without its members.
func (s *Service) groupResource(t directory.Team) (*resource.Object, error) {
	attributes, err := resource.Decode(t.Attributes)
	if err != nil {
		return nil, core.Internal(err)
	}
	o := resource.NewObject("schemas", schemasOf(resource.GroupURN, attributes), "id", t.ID.String())
	setText(o, "externalId", t.ExternalID)
	o.Set("displayName", t.DisplayName)
	for name, value := range attributes.All() {
		o.Set(name, value)
	}
	o.Set("meta", s.meta(groupType, t.ID, t.Created, t.Updated, t.Version))
	return o, nil
}

// editableGroup is a team as a normalised document, without its members.
func editableGroup(t directory.Team) (*resource.Object, error) {
	attributes, err := resource.Decode(t.Attributes)
	if err != nil {
		return nil, core.Internal(err)
	}
	o := resource.NewObject("displayName", t.DisplayName)
	setText(o, "externalId", t.ExternalID)
	for name, value := range attributes.All() {
		o.Set(name, value)
	}
	return o, nil
}

// writeGroup puts a normalised document into a team. It takes the document apart.
func writeGroup(t *directory.Team, o *resource.Object) error {
	displayName, _ := o.Take("displayName")
	t.DisplayName, _ = displayName.(string)
	if strings.TrimSpace(t.DisplayName) == "" {
		return core.Invalid("displayName", "a value is needed").WithCode("invalidValue")
	}
	externalID, _ := o.Take("externalId")
	t.ExternalID, _ = externalID.(string)
	attributes, err := keptAttributes(o)
	t.Attributes = attributes
	return err
}
