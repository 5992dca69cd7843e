package scim

import (
	"strconv"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// longestAttributes bounds what is kept of a resource beside its columns, in bytes of JSON.
const longestAttributes = 256 << 10

// userResource is a user as SCIM shows them. What the directory has columns for comes from there, the
// rest from the attributes as they were sent, which nobody reads on the way: the resource is written
// at once, and only taken apart when an answer needs a part of it.
func (s *Service) userResource(u directory.User) (*resource.Object, error) {
	k := look(u.Attributes)
	text := writing(640+len(u.Attributes), resource.UserURN, k, u.ID)
	text = writeText(text, "externalId", u.ExternalID)
	text = writeText(text, "userName", u.UserName)
	text = writeText(text, "displayName", u.DisplayName)
	if !k.name && u.GivenName+u.FamilyName != "" { // somebody not made by SCIM
		name := resource.NewObject()
		setText(name, "givenName", u.GivenName)
		setText(name, "familyName", u.FamilyName)
		text = name.Append(append(text, `,"name":`...))
	}
	text = strconv.AppendBool(append(text, `,"active":`...), u.Active)
	if !k.emails && u.Email != "" {
		text = resource.AppendText(append(text, `,"emails":[{"value":`...), u.Email)
		text = append(text, `,"type":"work","primary":true}]`...)
	}
	if k.odd {
		return overlaid(s.writeMeta(text, userType, u.ID, u.Created, u.Updated, u.Version, kept{}), u.Attributes)
	}
	return resource.Written(s.writeMeta(text, userType, u.ID, u.Created, u.Updated, u.Version, k)), nil
}

func setText(o *resource.Object, name, text string) {
	if text != "" {
		o.Set(name, text)
	}
}

func (s *Service) location(kind *resource.Type, id core.ID) string {
	return s.base() + kind.Endpoint + "/" + id.String()
}

// editable is a user as a normalised document: what PATCH works on.
func editable(u directory.User) (*resource.Object, error) {
	attributes, err := resource.Decode(u.Attributes)
	if err != nil {
		return nil, core.Internal(err)
	}
	o := resource.NewObject("userName", u.UserName, "active", u.Active)
	setText(o, "externalId", u.ExternalID)
	setText(o, "displayName", u.DisplayName)
	for name, value := range attributes.All() {
		o.Set(name, value)
	}
	return o, nil
}

// write puts a normalised document into a user. It takes the document apart.
func write(u *directory.User, o *resource.Object) error {
	userName, _ := o.Take("userName")
	u.UserName, _ = userName.(string)
	if strings.TrimSpace(u.UserName) == "" {
		return core.Invalid("userName", "a value is needed").WithCode("invalidValue")
	}
	active, found := o.Take("active")
	if !found {
		return core.Invalid("active", "this is true or false and cannot be removed").WithCode("mutability")
	}
	u.Active, _ = active.(bool)
	externalID, _ := o.Take("externalId")
	u.ExternalID, _ = externalID.(string)
	displayName, _ := o.Take("displayName")
	u.DisplayName, _ = displayName.(string)
	u.GivenName, u.FamilyName = "", ""
	if name, _ := o.Get("name"); name != nil {
		if inner, ok := name.(*resource.Object); ok {
			u.GivenName, u.FamilyName = inner.Text("givenName"), inner.Text("familyName")
		}
	}
	emails, _ := o.Get("emails")
	u.Email = primaryEmail(emails)
	attributes, err := keptAttributes(o)
	u.Attributes = attributes
	return err
}

// primaryEmail is the address people are found by: the primary one, else the one for work, else the
// first.
func primaryEmail(value any) string {
	list, _ := value.([]any)
	best, rank := "", 0
	for _, element := range list {
		email, ok := element.(*resource.Object)
		if !ok || email.Text("value") == "" {
			continue
		}
		this := 1
		if strings.EqualFold(email.Text("type"), "work") {
			this = 2
		}
		if primary, _ := email.Get("primary"); primary == true {
			this = 3
		}
		if this > rank {
			best, rank = email.Text("value"), this
		}
	}
	return best
}

// keptAttributes is what is left of a document as the database keeps it.
func keptAttributes(o *resource.Object) ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	text := o.Append(make([]byte, 0, 512))
	if len(text) > longestAttributes {
		return nil, core.Invalid("", "the attributes of one resource may have %d bytes together", longestAttributes).WithCode("invalidValue")
	}
	return text, nil
}
