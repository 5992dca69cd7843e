package scim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

const (
	userURN  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN = "urn:ietf:params:scim:schemas:core:2.0:Group"
)

// Each claim of the configuration is tried.
func TestTheConfigurationTellsTheTruth(t *testing.T) {
	h := open(t, directory.Okta).acme
	provider := h.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200)
	provider.is(t, publicURL+"/scim/v2/ServiceProviderConfig", "meta", "location")
	for _, name := range []string{"ana", "bob", "eve"} {
		h.join(t, name)
	}
	user := h.join(t, "zoe")
	claims := func(path ...any) bool { return provider.at(t, path...).(bool) }

	changed := h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"title","value":"x"}]}`)
	if claims("patch", "supported") != (changed.status == 200) {
		t.Errorf("PATCH answers %d", changed.status)
	}
	if got := h.call(t, "GET", "/Users/"+user, "", "If-None-Match", changed.header.Get("ETag")).status; claims("etag", "supported") != (got == 304) {
		t.Errorf("If-None-Match answers %d", got)
	}
	if got := h.call(t, "GET", "/Users"+query(`userName eq "zoe"`), "").status; claims("filter", "supported") != (got == 200) {
		t.Errorf("a filter answers %d", got)
	}
	if got := h.call(t, "POST", "/Bulk", bulkRequest+`[{"method":"DELETE","path":"/Users/`+core.NewID().String()+`"}]}`).status; claims("bulk", "supported") != (got == 200) {
		t.Errorf("a Bulk answers %d", got)
	}
	sorted := h.call(t, "GET", "/Users?sortBy=userName&sortOrder=descending", "").want(t, 200)
	if got := sorted.at(t, "Resources", 0, "userName") == "zoe"; claims("sort", "supported") != got {
		t.Errorf("sorted: %s", sorted.text)
	}
	h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"password","value":"x"}]}`)
	if claims("changePassword", "supported") || strings.Contains(h.stored(t), "password") {
		t.Error("passwords are said to be kept, or are")
	}

	most := int(provider.at(t, "filter", "maxResults").(float64))
	_, err := h.DB.Exec(t.Context(), `insert into users (id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role, attributes, version, created, updated)
		select gen_random_uuid(), $1, $2, 'many' || n, '', '', '', '', '', true, 'user', '{}', 1, now(), now() from generate_series(1, $3) n`,
		h.workspace, h.connection.ID, most+1)
	must(t, err)
	if got := len(h.call(t, "GET", fmt.Sprintf("/Users?count=%d", most+1), "").want(t, 200).at(t, "Resources").([]any)); got != most || float64(got) != provider.at(t, "pagination", "maxPageSize") {
		t.Errorf("a page has %d", got)
	}
	if got := len(h.call(t, "GET", "/Users", "").want(t, 200).at(t, "Resources").([]any)); float64(got) != provider.at(t, "pagination", "defaultPageSize") {
		t.Errorf("a page nobody asked a size for has %d", got)
	}
	first := h.call(t, "GET", "/Users?cursor&count=2", "").want(t, 200)
	if next, _ := first.body["nextCursor"].(string); claims("pagination", "cursor") != (next != "") {
		t.Errorf("by cursor: %.300s", first.text)
	}
	if second := h.call(t, "GET", "/Users?startIndex=2&count=1", "").want(t, 200); claims("pagination", "index") != (second.body["startIndex"] == 2.0) {
		t.Errorf("by index: %.300s", second.text)
	}
	provider.is(t, "index", "pagination", "defaultPaginationMethod")
	provider.is(t, "oauthbearertoken", "authenticationSchemes", 0, "type")
	provider.is(t, "oauth2", "authenticationSchemes", 1, "type")
}

// shape is what a schema says, down to the names that a value has to have.
func shape(t *testing.T, schema map[string]any) map[string]map[string]any {
	t.Helper()
	attributes := map[string]map[string]any{}
	list, _ := schema["attributes"].([]any)
	for _, one := range list {
		attribute := one.(map[string]any)
		for _, name := range []string{"name", "type", "multiValued", "required", "mutability", "returned"} {
			if attribute[name] == nil {
				t.Errorf("%v says nothing about %s: %v", schema["id"], name, attribute)
			}
		}
		attributes[attribute["name"].(string)] = attribute
	}
	return attributes
}

func TestSchemas(t *testing.T) {
	h := open(t, directory.Okta).acme
	schemas := h.call(t, "GET", "/Schemas?startIndex=5&count=1", "").want(t, 200)
	found := map[string]map[string]map[string]any{}
	list := schemas.at(t, "Resources").([]any)
	for _, resource := range list {
		schema := resource.(map[string]any)
		id := schema["id"].(string)
		found[id] = shape(t, schema)
		alone := h.call(t, "GET", "/Schemas/"+strings.ReplaceAll(id, ":", "%3A"), "").want(t, 200)
		if diff := cmp.Diff(schema, alone.body); diff != "" {
			t.Error(diff)
		}
		alone.is(t, publicURL+"/scim/v2/Schemas/"+id, "meta", "location")
		alone.is(t, "urn:ietf:params:scim:schemas:core:2.0:Schema", "schemas", 0)
	}
	if len(list) != 6 || schemas.at(t, "totalResults") != 6.0 || schemas.at(t, "itemsPerPage") != 6.0 {
		t.Fatalf("schemas are %v", slices.Collect(maps.Keys(found)))
	}
	// What is returned is described, at every place where the endpoint describes itself or a resource.
	user := h.call(t, "POST", "/Users", file(t, "okta/create-user.json")).want(t, 201)
	group := h.team(t, "Sales", user.id(t))
	for path, urn := range map[string]string{
		"/Users/" + user.id(t): userURN, "/Groups/" + group: groupURN, "/ResourceTypes/User": "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
		"/ServiceProviderConfig": "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig", "/Schemas/" + userURN: "urn:ietf:params:scim:schemas:core:2.0:Schema",
	} {
		answered := h.call(t, "GET", path, "").want(t, 200)
		answered.is(t, urn, "schemas", 0)
		for name, value := range answered.body {
			switch name {
			case "schemas", "id", "externalId", "meta":
				continue
			}
			attribute := found[urn][name]
			if _, isList := value.([]any); attribute == nil || attribute["multiValued"] != isList {
				t.Errorf("%s has %s, which its schema describes as %v", path, name, attribute)
			}
		}
	}
	if found[userURN]["userName"]["uniqueness"] != "server" || found[userURN]["password"] != nil || found[enterprise]["manager"] == nil {
		t.Errorf("the user is described as %v", found[userURN])
	}
	h.call(t, "GET", "/ResourceTypes/group", "").want(t, 200).is(t, groupURN, "schema")
	types := h.call(t, "GET", "/ResourceTypes", "").want(t, 200)
	types.is(t, 2.0, "totalResults")
	types.is(t, enterprise, "Resources", 0, "schemaExtensions", 0, "schema")
	for i := range 2 {
		h.call(t, "GET", types.at(t, "Resources", i, "endpoint").(string), "").want(t, 200)
	}
	h.call(t, "GET", "/ResourceTypes"+query(`id eq "User"`), "").wantError(t, 403, "")
}

// What only some connections can do is there for them alone.
func TestEntitlementsAreDescribedToThoseWhoMayGrantThem(t *testing.T) {
	h := open(t, directory.Okta).acme
	h.Accounts = h.Lifecycle.Accounts
	for _, path := range []string{"/Entitlements", "/Roles", "/Entitlements/x", "/ResourceTypes/Role", "/Schemas/urn:okta:scim:schemas:core:1.0:Role"} {
		h.call(t, "GET", path, "").wantError(t, 404, "")
	}
	_, err := h.DB.Exec(t.Context(), `update connections set provisioning = '{"entitlements": true}' where workspace_id = $1 and id = $2`, h.workspace, h.connection.ID)
	must(t, err)
	types := h.call(t, "GET", "/ResourceTypes", "").want(t, 200)
	types.is(t, 4.0, "totalResults")
	for i := range 4 {
		h.call(t, "GET", types.at(t, "Resources", i, "endpoint").(string), "").want(t, 200)
		h.call(t, "GET", "/Schemas/"+types.at(t, "Resources", i, "schema").(string), "").want(t, 200)
	}
	h.call(t, "GET", "/Schemas", "").want(t, 200).is(t, 8.0, "totalResults")
}

// Whom streams of Shared Signals tell of provisioning is said where the connection asks for it, and
// nowhere else: clients that know RFC 7643 alone refuse what it does not name.
func TestSecurityEventsAreToldOfOnRequest(t *testing.T) {
	w := open(t, directory.Okta)
	events := []any{"urn:ietf:params:scim:event:prov:deactivate"}
	w.SecurityEvents = []string{events[0].(string)}
	w.engine = gin.New()
	w.Mount(w.engine)
	if _, told := w.acme.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200).body["securityEvents"]; told {
		t.Error("told without having been asked")
	}
	must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.Directory.ChangeConnection(t.Context(), tx, w.acme.cause(), w.acme.workspace, w.acme.connection.ID, func(c *directory.Connection) {
			c.Provisioning.SecurityEvents = true
		})
		return err
	}))
	config := w.acme.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200)
	config.is(t, "none", "securityEvents", "asyncRequest")
	if told := config.at(t, "securityEvents", "eventUris").([]any); !slices.Equal(told, events) {
		t.Errorf("%v", told)
	}
	if _, told := w.other.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200).body["securityEvents"]; told {
		t.Error("told in another workspace")
	}
	w.SecurityEvents, w.engine = nil, gin.New()
	w.Mount(w.engine)
	if _, told := w.acme.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200).body["securityEvents"]; told {
		t.Error("told by a gateway that tells nobody")
	}
}
