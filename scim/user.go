package scim

import (
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// longestAttributes bounds what is kept of a resource beside its columns, in bytes of JSON.
const longestAttributes = 256 << 10

// userResource is a user as SCIM shows them. What the directory has columns for comes from there, the
// rest from the attributes as they were sent.
func (s *Service) userResource(u directory.User) (*resource.Object, error) {
	attributes, err := resource.Decode(u.Attributes)
	if err != nil {
		return nil, core.Internal(err)
	}
	o := resource.NewObject("schemas", schemasOf(resource.UserURN, attributes), "id", u.ID.String())
	setText(o, "externalId", u.ExternalID)
	o.Set("userName", u.UserName)
	setText(o, "displayName", u.DisplayName)
	if _, found := attributes.Get("name"); !found && u.GivenName+u.FamilyName != "" { // somebody not made by SCIM
		name := resource.NewObject()
		setText(name, "givenName", u.GivenName)
		setText(name, "familyName", u.FamilyName)
		o.Set("name", name)
	}
	o.Set("active", u.Active)
	if _, found := attributes.Get("emails"); !found && u.Email != "" {
		o.Set("emails", []any{resource.NewObject("value", u.Email, "type", "work", "primary", true)})
	}
	for name, value := range attributes.All() {
		o.Set(name, value)
	}
	o.Set("meta", s.meta(userType, u.ID, u.Created, u.Updated, u.Version))
	return o, nil
}

func setText(o *resource.Object, name, text string) {
	if text != "" {
		o.Set(name, text)
	}
}

// schemasOf lists the schemas a resource uses: its own, and those whose URN stands among its
// attributes.
func schemasOf(core string, attributes *resource.Object) []any {
	schemas := []any{core}
	for name, value := range attributes.All() {
		if _, isObject := value.(*resource.Object); isObject && strings.HasPrefix(strings.ToLower(name), "urn:") {
			schemas = append(schemas, name)
		}
	}
	return schemas
}

func (s *Service) meta(kind *resource.Type, id core.ID, created, updated time.Time, version int64) *resource.Object {
	return resource.NewObject(
		"resourceType", kind.Name, "created", created.UTC().Format(time.RFC3339Nano), "lastModified", updated.UTC().Format(time.RFC3339Nano),
		"location", s.location(kind, id), "version", etag(version),
	)
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
	text := o.Append(nil)
	if len(text) > longestAttributes {
		return nil, core.Invalid("", "the attributes of one resource may have %d bytes together", longestAttributes).WithCode("invalidValue")
	}
	return text, nil
}
