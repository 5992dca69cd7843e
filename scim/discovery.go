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
	provider []byte // the ServiceProviderConfig
	eventful []byte // the same for who is told of events
	schemas  []entry
	types    []entry
}

// entry is one schema or resource type, by the name in its address.
type entry struct {
	name     string
	body     json.RawMessage
	governed bool // only for connections that may grant entitlements
}

func newDiscovery(base string, events []string) *discovery {
	d := &discovery{provider: mustMarshal(providerConfig(base)), eventful: mustMarshal(withSecurityEvents(providerConfig(base), events))}
	for _, kind := range []*resource.Type{userType, groupType, entitlementType, roleType} {
		governed := kind == entitlementType || kind == roleType
		extensions := []map[string]any{}
		for _, definition := range append([]schema.Schema{kind.Core}, kind.Extensions...) {
			d.add(base, definition.ToMap(), governed)
			if definition.ID != kind.Core.ID {
				extensions = append(extensions, map[string]any{"schema": definition.ID, "required": false})
			}
		}
		d.types = append(d.types, entry{kind.Name, mustMarshal(map[string]any{
			"schemas": []string{resourceTypeURN},
			"id":      kind.Name, "name": kind.Name, "description": kind.Description, "endpoint": kind.Endpoint,
			"schema": kind.Core.ID, "schemaExtensions": extensions,
			"meta": map[string]any{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + kind.Name},
		}), governed})
	}
	for _, described := range ownSchemas() {
		d.add(base, described, false)
	}
	return d
}

func (d *discovery) add(base string, described map[string]any, governed bool) {
	id := described["id"].(string)
	described["schemas"] = []string{schemaURN}
	described["meta"] = map[string]any{"resourceType": "Schema", "location": base + "/Schemas/" + id}
	d.schemas = append(d.schemas, entry{id, mustMarshal(described), governed})
}

// providerConfig says what is supported (RFC 7643, section 5; RFC 9865, section 4), and nothing more.
// documentationUri is left out: where the handbook of an installation stands is not known here.
func providerConfig(base string) map[string]any {
	return map[string]any{
		"schemas":        []string{providerConfigURN},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": true, "maxOperations": maxOperations, "maxPayloadSize": maxBody},
		"filter":         map[string]any{"supported": true, "maxResults": maxResults},
		"changePassword": map[string]any{"supported": false},
		"sort":           map[string]any{"supported": true},
		"etag":           map[string]any{"supported": true},
		"pagination": map[string]any{
			"cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": defaultCount, "maxPageSize": maxResults,
			"cursorTimeout": int(cursorLife.Seconds()),
		},
		"authenticationSchemes": []map[string]any{
			{
				"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
				"description": "A token of the connection, in the Authorization header",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc6750",
			},
			{
				"type": "oauth2", "name": "OAuth 2.0 client credentials", "primary": false,
				"description": "An access token from " + strings.TrimSuffix(base, root) + tokenPath + ", for a client of the connection or for an assertion of its identity provider",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
			},
		},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": base + "/ServiceProviderConfig"},
	}
}

// withSecurityEvents adds the events of RFC 9967 that something tells of, if there is any. Requests are answered at once.
func withSecurityEvents(config map[string]any, events []string) map[string]any {
	if len(events) > 0 {
		config["securityEvents"] = map[string]any{"asyncRequest": "none", "eventUris": events}
	}
	return config
}

func mustMarshal(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // maps of strings and numbers of ours
	}
	return body
}

func (d *discovery) configuration(r *request) (answer, error) {
	if r.connection.Provisioning.SecurityEvents {
		return answer{status: http.StatusOK, body: d.eventful}, nil
	}
	return answer{status: http.StatusOK, body: d.provider}, nil
}

func (d *discovery) listSchemas(r *request) (answer, error) { return catalogue(r, d.schemas) }
func (d *discovery) schema(r *request) (answer, error)      { return one(r, d.schemas, "schema") }
func (d *discovery) listTypes(r *request) (answer, error)   { return catalogue(r, d.types) }
func (d *discovery) resourceType(r *request) (answer, error) {
	return one(r, d.types, "resource type")
}

// shows reports whether the entry is there for the connection that asks.
func (e entry) shows(r *request) bool { return !e.governed || r.governs() == nil }

// catalogue answers with all entries; paging is ignored and filtering refused, as RFC 7644, section 4,
// asks.
func catalogue(r *request, entries []entry) (answer, error) {
	if r.parameters.Has("filter") {
		return answer{}, scimerrors.ScimError{Status: http.StatusForbidden, Detail: "this list cannot be filtered"}
	}
	var shown []json.RawMessage
	for _, one := range entries {
		if one.shows(r) {
			shown = append(shown, one.body)
		}
	}
	return answer{status: http.StatusOK, body: mustMarshal(map[string]any{
		"schemas":      []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"},
		"totalResults": len(shown), "startIndex": 1, "itemsPerPage": len(shown), "Resources": shown,
	})}, nil
}

func one(r *request, entries []entry, noun string) (answer, error) {
	for _, entry := range entries {
		if strings.EqualFold(entry.name, r.id) && entry.shows(r) {
			return answer{status: http.StatusOK, body: entry.body}, nil
		}
	}
	return answer{}, core.NotFound(noun)
}
