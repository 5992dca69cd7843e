package resource_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	peer "github.com/elimity-com/scim"
	"github.com/elimity-com/scim/schema"

	"postern/scim/resource"
)

// entraUser is as large as what Entra ID sends for a person.
const entraUser = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef","userName":"Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1","active":true,"displayName":"BobIsAmazing","title":"Tour Guide","preferredLanguage":"en-US","emails":[{"primary":true,"type":"work","value":"Test_User_fd0ea19b-0777-472c-9f96-4f70d2226f2e@testuser.com"}],"phoneNumbers":[{"type":"work","value":"+1 555 0100"},{"type":"mobile","value":"+1 555 0101"}],"addresses":[{"type":"work","formatted":"100 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608","country":"US"}],"meta":{"resourceType":"User"},"name":{"formatted":"givenName familyName","familyName":"familyName","givenName":"givenName"},"roles":[],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"701984","department":"Sales","manager":{"value":"26118915-6090-4610-87e4-49d8ca9f808d"}}}`

// engine is the library beside us, with nothing behind it: what it gets it gives back. It is measured
// without what its handler would do; its PATCH ends before anything is changed.
type engine struct{ kept peer.ResourceAttributes }

func (e *engine) resource() peer.Resource {
	return peer.Resource{ID: "1", Attributes: maps.Clone(e.kept)}
}

func (e *engine) Create(_ *http.Request, a peer.ResourceAttributes) (peer.Resource, error) {
	return peer.Resource{ID: "1", Attributes: a}, nil
}
func (e *engine) Get(*http.Request, string) (peer.Resource, error) { return e.resource(), nil }
func (e *engine) GetAll(*http.Request, peer.ListRequestParams) (peer.Page, error) {
	return peer.Page{}, nil
}
func (e *engine) Replace(_ *http.Request, _ string, a peer.ResourceAttributes) (peer.Resource, error) {
	return peer.Resource{ID: "1", Attributes: a}, nil
}
func (e *engine) Delete(*http.Request, string) error { return nil }
func (e *engine) Patch(*http.Request, string, []peer.PatchOperation) (peer.Resource, error) {
	return peer.Resource{}, nil
}

func library(b *testing.B) http.Handler {
	b.Helper()
	server, err := peer.NewServer(&peer.ServerArgs{ServiceProviderConfig: &peer.ServiceProviderConfig{}, ResourceTypes: []peer.ResourceType{
		{Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: &engine{}, SchemaExtensions: []peer.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}},
		{Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: &engine{}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return server
}

// BenchmarkBesideTheLibrary measures reading, changing and writing documents here and in the library
// whose schemas are used, for the same bodies.
func BenchmarkBesideTheLibrary(b *testing.B) {
	removes := make([]string, 100)
	for i := range removes {
		removes[i] = fmt.Sprintf(`{"op":"remove","path":"members[value eq \"2819c223-7f76-453a-919d-%012d\"]"}`, i)
	}
	members := make([]string, 1000)
	for i := range members {
		members[i] = fmt.Sprintf(`{"value":"2819c223-7f76-453a-919d-%012d"}`, i)
	}
	stored := decode(b, entraUser)
	for _, one := range []struct {
		name, method, path, body string
		kind                     *resource.Type
		changes                  bool // of the document; those of members are made elsewhere
	}{
		{"create_user", "POST", "/Users", entraUser, users, false},
		{"patch_active", "PATCH", "/Users/1", operations(`{"op":"replace","path":"active","value":false}`), users, true},
		{"patch_five", "PATCH", "/Users/1", operations(strings.Join([]string{
			`{"op":"Replace","path":"displayName","value":"Pvlo"}`, `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"TestBcwqnm@test.microsoft.com"}`,
			`{"op":"Replace","path":"name.givenName","value":"Gtfd"}`, `{"op":"Replace","path":"externalId","value":"Eqpj"}`,
			`{"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber","value":"Eqpj"}`}, ",")), users, true},
		{"add_1000_members", "PATCH", "/Groups/1", operations(`{"op":"add","path":"members","value":[` + strings.Join(members, ",") + `]}`), groups, false},
		{"remove_100_members", "PATCH", "/Groups/1", operations(strings.Join(removes, ",")), groups, false},
	} {
		b.Run(one.name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				profile := resource.Profile{BareValues: true, Rules: &resource.Rules{}}
				sent, err := resource.Decode([]byte(one.body))
				if err != nil {
					b.Fatal(err)
				}
				o := stored
				if one.method == "POST" {
					o, err = one.kind.Normalise(sent, profile)
				} else {
					var changes []resource.Change
					changes, err = one.kind.Changes(sent, profile)
					if err == nil && one.changes {
						o = stored.Clone()
						err = one.kind.Patch(o, changes, profile)
					}
				}
				if err != nil {
					b.Fatal(err)
				}
				if one.kind == users {
					o.Append(make([]byte, 0, 1024))
				}
			}
		})
		b.Run(one.name+"/library", func(b *testing.B) {
			server := library(b)
			b.ReportAllocs()
			for b.Loop() {
				recorder := httptest.NewRecorder()
				server.ServeHTTP(recorder, httptest.NewRequest(one.method, one.path, strings.NewReader(one.body)))
				if recorder.Code >= 300 {
					b.Fatal(recorder.Code, recorder.Body)
				}
			}
		})
	}
}
