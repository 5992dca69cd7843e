package scim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func discoveryChecks() []Check {
	return []Check{
		must("rfc/discovery/service-provider-config", "ServiceProviderConfig says which features there are", "RFC 7644 §4, RFC 7643 §5", func(p *probe) {
			a := p.get("/ServiceProviderConfig").want("Serve /ServiceProviderConfig.", http.StatusOK)
			a.schema("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig")
			for _, feature := range []string{"patch", "bulk", "filter", "changePassword", "sort", "etag"} {
				if _, ok := a.at(feature, "supported").(bool); !ok {
					a.fail(feature+".supported is a boolean", show(a.at(feature, "supported")), "Say of each feature whether it is there; all are required.")
				}
			}
			for _, limit := range [][]any{{"bulk", "maxOperations"}, {"bulk", "maxPayloadSize"}, {"filter", "maxResults"}} {
				a.number("State the limit as a JSON integer.", limit...)
			}
		}),
		must("rfc/discovery/authentication-schemes", "ServiceProviderConfig lists how clients sign in", "RFC 7643 §5", func(p *probe) {
			a := p.get("/ServiceProviderConfig").want("Serve /ServiceProviderConfig.", http.StatusOK)
			schemes := entriesOf(a.at("authenticationSchemes"))
			if len(schemes) == 0 {
				a.fail("authenticationSchemes has an entry", show(a.at("authenticationSchemes")), "List each way to authenticate.")
			}
			for i := range schemes {
				for _, key := range []string{"type", "name", "description"} {
					a.filled("type, name and description are required.", "authenticationSchemes", i, key)
				}
			}
		}),
		must("rfc/discovery/schemas", "/Schemas lists every schema with its attributes", "RFC 7644 §4, RFC 7643 §7", func(p *probe) {
			a := p.get("/Schemas")
			resources := a.list()
			if with(resources, "id", userSchema) == nil {
				a.fail("an entry with id "+userSchema, show(ids(resources)), "List the schema of every resource type.")
			}
			for _, one := range resources {
				for _, attribute := range entriesOf(one["attributes"]) {
					if fault := attributeFault(attribute); fault != "" {
						a.fail("attributes described as RFC 7643, section 7 says", show(one["id"])+": "+fault, "Correct the description.")
					}
				}
				if len(entriesOf(one["attributes"])) == 0 {
					a.fail("attributes of "+show(one["id"]), "none", "Describe every attribute.")
				}
			}
		}),
		must("rfc/discovery/schema", "Each schema is at /Schemas/{its URN}", "RFC 7644 §4", func(p *probe) {
			for _, id := range ids(p.get("/Schemas").list()) {
				p.get("/Schemas/"+url.PathEscape(id)).want("Serve each schema at its URN.", http.StatusOK).equals("Serve each schema at its URN.", id, "id")
			}
			p.get("/Schemas/urn:example:"+p.name()).refused("Answer 404 for an unknown schema.", http.StatusNotFound)
		}),
		must("rfc/discovery/resource-types", "/ResourceTypes lists name, endpoint and schema; the endpoints answer, the schemas are in /Schemas", "RFC 7644 §4, RFC 7643 §6", func(p *probe) {
			known := ids(p.get("/Schemas").list())
			a := p.get("/ResourceTypes")
			resources := a.list()
			if with(resources, "schema", userSchema) == nil {
				a.fail("an entry with schema "+userSchema, show(resources), "List every resource type.")
			}
			for _, one := range resources {
				for _, key := range []string{"name", "endpoint", "schema"} {
					if nothing(one[key]) {
						a.fail(key+" of each resource type", show(one), "name, endpoint and schema are required.")
					}
				}
				named := []any{one["schema"]}
				for _, extension := range entriesOf(one["schemaExtensions"]) {
					named = append(named, extension["schema"])
				}
				for _, name := range named {
					if text, _ := name.(string); !slices.Contains(known, text) {
						a.fail("/Schemas lists "+show(name), show(known), "List in /Schemas what a resource type is made of.")
					}
				}
				endpoint, _ := one["endpoint"].(string)
				p.get(strings.TrimPrefix(endpoint, p.target.base), "count", "1").list()
			}
		}),
		must("rfc/discovery/resource-type", "Each resource type is at /ResourceTypes/{its name}", "RFC 7644 §4", func(p *probe) {
			for _, one := range p.get("/ResourceTypes").list() {
				name, _ := one["name"].(string)
				p.get("/ResourceTypes/"+url.PathEscape(name)).want("Serve each resource type at its name.", http.StatusOK).equals("Serve it.", name, "name")
			}
			p.get("/ResourceTypes/"+p.name()).refused("Answer 404 for an unknown resource type.", http.StatusNotFound)
		}),
		should("rfc/discovery/filter", "A filter on a discovery endpoint is refused with 403", "RFC 7644 §4", func(p *probe) {
			for _, endpoint := range []string{"/Schemas", "/ResourceTypes"} {
				p.get(endpoint, "filter", `id eq "x"`).want("Refuse a filter here with 403, so that nobody takes the answer for a filtered one.", http.StatusForbidden)
			}
		}),
		must("rfc/discovery/paging", "Paging and sorting parameters are ignored there", "RFC 7644 §4", func(p *probe) {
			all := len(p.get("/Schemas").list())
			if some := len(p.get("/Schemas", "startIndex", "2", "count", "1", "sortBy", "id").list()); some != all {
				p.fail("all "+show(all)+" schemas", show(some), "Ignore paging on discovery endpoints.")
			}
		}),
		should("rfc/discovery/meta", "What discovery serves has meta.resourceType and meta.location", "RFC 7643 §3.1, §5-§7", func(p *probe) {
			const advice = "Schemas, resource types and the configuration are resources: they have meta."
			p.get("/ServiceProviderConfig").equals(advice, "ServiceProviderConfig", "meta", "resourceType").filled(advice, "meta", "location")
			for endpoint, kind := range map[string]string{"/Schemas": "Schema", "/ResourceTypes": "ResourceType"} {
				a := p.get(endpoint)
				for i := range a.list() {
					a.equals(advice, kind, "Resources", i, "meta", "resourceType").filled(advice, "Resources", i, "meta", "location")
				}
			}
		}),
		must("rfc/discovery/read-only", "Discovery endpoints cannot be written", "RFC 7644 §4", func(p *probe) {
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				if a := p.send(method, "/ServiceProviderConfig", object{}); a.status < 400 || a.status >= 500 {
					a.fail("a refusal, such as 405", show(a.status), "Only GET is for discovery endpoints.")
				}
			}
		}),
		must("rfc/discovery/user-name", "userName is described as required and unique", "RFC 7643 §4.1.1, §8.7.1", func(p *probe) {
			a := p.get("/Schemas/"+userSchema).want("Serve the core User schema.", http.StatusOK)
			attribute := with(entriesOf(a.at("attributes")), "name", "userName")
			if attribute["required"] != true || attribute["uniqueness"] == "none" || attribute["caseExact"] == true {
				a.fail("userName required, unique and not case-exact", show(attribute), "Describe userName as RFC 7643 does, and keep to it.")
			}
		}),
		must("rfc/discovery/password", "password, when listed, is writeOnly and never returned", "RFC 7643 §7, §8.7.1", func(p *probe) {
			a := p.get("/Schemas/"+userSchema).want("Serve the core User schema.", http.StatusOK)
			attribute := with(entriesOf(a.at("attributes")), "name", "password")
			if attribute != nil && (attribute["mutability"] != "writeOnly" || attribute["returned"] != "never") {
				a.fail("password with mutability writeOnly and returned never", show(attribute), "A password is never read.")
			}
		}),
	}
}

// attributeFault says what is wrong with an attribute's description; empty when nothing is.
func attributeFault(attribute object) string {
	allowed := map[string][]string{
		"type":       {"string", "boolean", "decimal", "integer", "dateTime", "reference", "complex", "binary"},
		"mutability": {"", "readOnly", "readWrite", "immutable", "writeOnly"},
		"returned":   {"", "always", "never", "default", "request"},
		"uniqueness": {"", "none", "server", "global"},
	}
	for key, values := range allowed {
		if text, _ := attribute[key].(string); !slices.Contains(values, text) {
			return show(attribute["name"]) + " has " + key + " " + show(attribute[key])
		}
	}
	if nothing(attribute["name"]) {
		return "an attribute without a name"
	}
	if attribute["type"] == "complex" && len(entriesOf(attribute["subAttributes"])) == 0 {
		return show(attribute["name"]) + " is complex and has no subAttributes"
	}
	for _, inner := range entriesOf(attribute["subAttributes"]) {
		if inner["type"] == "complex" && attribute["name"] != "attributes" { // the schema of schemas describes itself
			return show(attribute["name"]) + " has a complex sub-attribute"
		}
		if fault := attributeFault(inner); fault != "" {
			return show(attribute["name"]) + ": " + fault
		}
	}
	return ""
}
