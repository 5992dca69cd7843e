package scim

// The schemas by which the endpoint describes itself.
const (
	schemaURN         = "urn:ietf:params:scim:schemas:core:2.0:Schema"
	resourceTypeURN   = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	providerConfigURN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
)

// described is an attribute in a schema. Nothing that describes the endpoint can be written.
func described(name, kind, description string, required bool, inner ...map[string]any) map[string]any {
	attribute := map[string]any{
		"name": name, "type": kind, "multiValued": false, "description": description, "required": required, "mutability": "readOnly", "returned": "default",
	}
	switch kind {
	case "complex":
		attribute["subAttributes"] = inner
	case "string":
		attribute["caseExact"], attribute["uniqueness"] = false, "none"
	case "reference":
		attribute["caseExact"], attribute["uniqueness"], attribute["referenceTypes"] = true, "none", []string{"external"}
	}
	return attribute
}

// describedList is an attribute that is a list.
func describedList(name, kind, description string, required bool, inner ...map[string]any) map[string]any {
	attribute := described(name, kind, description, required, inner...)
	attribute["multiValued"] = true
	return attribute
}

// ownSchemas are those of ServiceProviderConfig (with the pagination of RFC 9865 and the events of RFC 9967), ResourceType and
// Schema: RFC 7643, section 8.7.2.
func ownSchemas() []map[string]any {
	supported := func() map[string]any {
		return described("supported", "boolean", "Whether the operation is supported.", true)
	}
	return []map[string]any{
		{"id": providerConfigURN, "name": "Service Provider Configuration", "description": "What the service provider supports", "attributes": []map[string]any{
			described("documentationUri", "reference", "Where a person can read how to use the service provider.", false),
			described("patch", "complex", "PATCH.", true, supported()),
			described("bulk", "complex", "Bulk.", true, supported(),
				described("maxOperations", "integer", "The most operations of one request.", true),
				described("maxPayloadSize", "integer", "The most bytes of one request.", true)),
			described("filter", "complex", "Filters.", true, supported(), described("maxResults", "integer", "The most resources of one answer.", true)),
			described("changePassword", "complex", "Changing a password.", true, supported()),
			described("sort", "complex", "Sorting.", true, supported()),
			described("etag", "complex", "Versions of resources.", true, supported()),
			described("pagination", "complex", "How long lists are read.", false,
				described("cursor", "boolean", "Whether by cursor.", true),
				described("index", "boolean", "Whether by startIndex.", true),
				described("defaultPaginationMethod", "string", "What a request without either gets.", false),
				described("defaultPageSize", "integer", "The resources of a page nobody asked a size for.", false),
				described("maxPageSize", "integer", "The most resources of a page.", false),
				described("cursorTimeout", "integer", "The seconds a cursor is good for.", false)),
			described("securityEvents", "complex", "What receivers of security event tokens can be told.", false,
				described("asyncRequest", "string", "Whether requests can be answered by an event.", true),
				describedList("eventUris", "string", "The events.", false)),
			describedList("authenticationSchemes", "complex", "How clients authenticate.", true,
				described("type", "string", "The scheme.", true),
				described("name", "string", "Its name.", true),
				described("description", "string", "What it is.", true),
				described("specUri", "reference", "Its specification.", false),
				described("documentationUri", "reference", "Where a person can read how to use it.", false),
				described("primary", "boolean", "Whether it is the preferred one.", false)),
		}},
		{"id": resourceTypeURN, "name": "Resource Type", "description": "A kind of resource and where it is", "attributes": []map[string]any{
			described("id", "string", "The id of the resource type.", false),
			described("name", "string", "Its name.", true),
			described("description", "string", "What it is.", false),
			described("endpoint", "reference", "Where its resources are, under the base address.", true),
			described("schema", "reference", "The URN of its schema.", true),
			describedList("schemaExtensions", "complex", "The extensions its resources may have.", true,
				described("schema", "reference", "The URN of the extension.", true),
				described("required", "boolean", "Whether each resource has it.", true)),
		}},
		{"id": schemaURN, "name": "Schema", "description": "What a kind of resource is made of", "attributes": []map[string]any{
			described("id", "string", "The URN of the schema.", true),
			described("name", "string", "Its name.", true),
			described("description", "string", "What it describes.", false),
			describedList("attributes", "complex", "The attributes of the schema.", true, append(attributeSchema(),
				describedList("subAttributes", "complex", "The attributes inside a complex one.", false, attributeSchema()...))...),
		}},
	}
}

// attributeSchema is what can be said about an attribute.
func attributeSchema() []map[string]any {
	return []map[string]any{
		described("name", "string", "The attribute's name.", true),
		described("type", "string", "Its data type.", true),
		described("multiValued", "boolean", "Whether it is a list.", true),
		described("description", "string", "What it is.", false),
		described("required", "boolean", "Whether it has to be given.", true),
		describedList("canonicalValues", "string", "Values that are usual.", false),
		described("caseExact", "boolean", "Whether upper and lower case differ.", false),
		described("mutability", "string", "Whether it can be written.", true),
		described("returned", "string", "When it is returned.", true),
		described("uniqueness", "string", "Among whom its values are unique.", false),
		describedList("referenceTypes", "string", "What it may refer to.", false),
	}
}
