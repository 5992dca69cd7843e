package scim

import (
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// groupResource is a team as SCIM shows it, without its members.
func (s *Service) groupResource(t directory.Team) (*resource.Object, error) {
	k := look(t.Attributes)
	text := writing(512+len(t.Attributes), resource.GroupURN, k, t.ID)
	text = writeText(text, "externalId", t.ExternalID)
	text = writeText(text, "displayName", t.DisplayName)
	if k.odd {
		return overlaid(s.writeMeta(text, groupType, t.ID, t.Created, t.Updated, t.Version, kept{}), t.Attributes)
	}
	return resource.Written(s.writeMeta(text, groupType, t.ID, t.Created, t.Updated, t.Version, k)), nil
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
