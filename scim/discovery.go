package scim

import (
	"encoding/json"
	"net/http"
	"strings"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/schema"

	"postern/core"
	"postern/scim/resource"
)

// discovery is what the endpoint says about itself. It is made once: only the public URL is in it.
type discovery struct {
	provider []byte
	schemas  []entry
	types    []entry
}

// entry is one schema or resource type, by the name in its address.
type entry struct {
	name string
	body json.RawMessage
}

func newDiscovery(base string) *discovery {
	d := &discovery{provider: mustMarshal(providerConfig(base))}
	for _, kind := range []*resource.Type{userType, groupType} {
		for _, definition := range append([]schema.Schema{kind.Core}, kind.Extensions...) {
			described := definition.ToMap()
			described["meta"] = map[string]any{"resourceType": "Schema", "location": base + "/Schemas/" + definition.ID}
			d.schemas = append(d.schemas, entry{definition.ID, mustMarshal(described)})
		}
		extensions := []map[string]any{}
		for _, definition := range kind.Extensions {
			extensions = append(extensions, map[string]any{"schema": definition.ID, "required": false})
		}
		d.types = append(d.types, entry{kind.Name, mustMarshal(map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"},
			"id":      kind.Name, "name": kind.Name, "description": kind.Description, "endpoint": kind.Endpoint,
			"schema": kind.Core.ID, "schemaExtensions": extensions,
			"meta": map[string]any{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + kind.Name},
		})})
	}
	return d
}

// providerConfig says what is supported, and nothing more.
func providerConfig(base string) map[string]any {
	unsupported := map[string]any{"supported": false}
	return map[string]any{
		"schemas":        []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         map[string]any{"supported": true, "maxResults": maxResults},
		"changePassword": unsupported,
		"sort":           unsupported,
		"etag":           map[string]any{"supported": true},
		"authenticationSchemes": []map[string]any{{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
			"description": "The token of the connection, in the Authorization header",
			"specUri":     "https://www.rfc-editor.org/info/rfc6750",
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": base + "/ServiceProviderConfig"},
	}
}

func mustMarshal(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // maps of strings and numbers of ours
	}
	return body
}

func (d *discovery) configuration(*request) (answer, error) {
	return answer{status: http.StatusOK, body: d.provider}, nil
}

func (d *discovery) listSchemas(r *request) (answer, error) { return catalogue(r, d.schemas) }
func (d *discovery) schema(r *request) (answer, error)      { return one(r, d.schemas, "schema") }
func (d *discovery) listTypes(r *request) (answer, error)   { return catalogue(r, d.types) }
func (d *discovery) resourceType(r *request) (answer, error) {
	return one(r, d.types, "resource type")
}

// catalogue answers with all entries; paging is ignored and filtering refused, as RFC 7644, section 4,
// asks.
func catalogue(r *request, entries []entry) (answer, error) {
	if r.parameters.Has("filter") {
		return answer{}, scimerrors.ScimError{Status: http.StatusForbidden, Detail: "this list cannot be filtered"}
	}
	list := newList(len(entries), page{start: 1}, len(entries))
	for i, one := range entries {
		if i > 0 {
			list.body = append(list.body, ',')
		}
		list.body = append(list.body, one.body...)
	}
	return list.answer(), nil
}

func one(r *request, entries []entry, noun string) (answer, error) {
	for _, entry := range entries {
		if strings.EqualFold(entry.name, r.id) {
			return answer{status: http.StatusOK, body: entry.body}, nil
		}
	}
	return answer{}, core.NotFound(noun)
}
