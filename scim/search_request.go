package scim

import (
	"net/url"
	"slices"
	"strings"

	"postern/core"
	"postern/scim/resource"
)

// searchSchema is the URN of a SearchRequest (RFC 7644, section 3.4.3).
const searchSchema = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

// searchUsers is POST /Users/.search: what GET /Users does, with the question in the body, so that no
// name or address of a person stands in an address that is logged on the way (RFC 7644, section 7.5.2).
func (s *Service) searchUsers(r *request) (answer, error) {
	if err := r.searchRequest(); err != nil {
		return answer{}, err
	}
	return s.listUsers(r)
}

// searchGroups is POST /Groups/.search.
func (s *Service) searchGroups(r *request) (answer, error) {
	if err := r.searchRequest(); err != nil {
		return answer{}, err
	}
	return s.listGroups(r)
}

// searchAll is POST /.search: among people and groups together.
func (s *Service) searchAll(r *request) (answer, error) {
	if err := r.searchRequest(); err != nil {
		return answer{}, err
	}
	return s.listAll(r)
}

// searchRequest reads a SearchRequest into the parameters a GET would have had. Those of the address
// do not count then.
func (r *request) searchRequest() error {
	body, err := r.document()
	if err != nil {
		return err
	}
	if !declares(body, searchSchema) {
		return core.Invalid("schemas", "a search lists %s here", searchSchema).WithCode("invalidSyntax")
	}
	parameters := url.Values{}
	for _, name := range []string{"attributes", "excludedAttributes"} {
		value, _ := body.Get(name)
		names, ok := texts(value)
		if !ok {
			return core.Invalid(name, "a list of names is expected").WithCode("invalidValue")
		}
		if len(names) > 0 {
			parameters.Set(name, strings.Join(names, ","))
		}
	}
	for _, name := range []string{"filter", "sortBy", "sortOrder", "cursor", "startIndex", "count"} {
		switch value, _ := body.Get(name); value := value.(type) {
		case nil:
		case string:
			parameters.Set(name, value)
		case resource.Number:
			parameters.Set(name, string(value))
		default:
			return core.Invalid(name, "one value is expected").WithCode("invalidValue")
		}
	}
	r.parameters = parameters
	return nil
}

// declares reports whether a message lists its schema. One without any list is taken for what its
// address says it is.
func declares(body *resource.Object, urn string) bool {
	value, found := body.Get("schemas")
	schemas, ok := texts(value)
	return !found || ok && slices.ContainsFunc(schemas, func(one string) bool { return strings.EqualFold(one, urn) })
}

// texts is a list of strings, or one string alone.
func texts(value any) ([]string, bool) {
	switch value := value.(type) {
	case nil:
		return nil, true
	case string:
		return []string{value}, true
	case []any:
		list := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil, false
			}
			list = append(list, text)
		}
		return list, true
	}
	return nil, false
}
