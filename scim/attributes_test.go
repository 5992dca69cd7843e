package scim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

func stored(attributes string) directory.User {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600_000, time.UTC)
	return directory.User{
		ID: core.NewID(), UserName: "ana", DisplayName: `A"na`, ExternalID: "x\\y", Email: "a@x", GivenName: "A", FamilyName: "B",
		Active: true, Attributes: json.RawMessage(attributes), Version: 3, Created: at, Updated: at,
	}
}

// A user is shown with everything that is stored, whatever it holds.
func TestUserResource(t *testing.T) {
	s := &Service{PublicURL: "https://postern.example.com"}
	enterprise := "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for name, test := range map[string]struct {
		attributes string
		schemas    []any
		want       map[string]string // members as JSON
	}{
		"nothing":              {`{}`, nil, map[string]string{"name": `{"givenName":"A","familyName":"B"}`, "emails": `[{"value":"a@x","type":"work","primary":true}]`}},
		"space":                {` { } `, nil, nil},
		"as the database does": {`{"name": {"givenName": "Z"}, "title": "a, b: \"c\" ", "emails": [], "` + enterprise + `": {"department": "D"}}`, []any{enterprise}, map[string]string{"name": `{"givenName":"Z"}`, "title": `"a, b: \"c\" "`, "emails": `[]`, enterprise: `{"department":"D"}`}},
		"a text that is a URN": {`{"urn:x:y": "urn:a:b", "x": {"urn:z:z": {}}, "y": ["urn:q:q", {"name": 1}]}`, nil, map[string]string{"urn:x:y": `"urn:a:b"`, "x": `{"urn:z:z":{}}`}},
		"names with escapes":   {`{"a\"b": "c\\", "d\\": "\\\"", "\u0041": 1}`, nil, map[string]string{`a"b`: `"c\\"`, `d\`: `"\\\""`, "A": "1"}},
		"the name of a column": {`{"userName": "other", "ID": "x", "title": "T"}`, nil, map[string]string{"userName": `"other"`, "title": `"T"`}},
		"deep and plain":       {`{"a": [[1, 2], {"b": [true, null, -1.50]}], "c": false}`, nil, map[string]string{"a": `[[1,2],{"b":[true,null,-1.50]}]`, "c": "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			user := stored(test.attributes)
			o, err := s.userResource(user)
			if err != nil {
				t.Fatal(err)
			}
			text := o.Append(nil)
			read, err := resource.Decode(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			schemas, _ := read.Get("schemas")
			if diff := cmp.Diff(append([]any{resource.UserURN}, test.schemas...), schemas); diff != "" {
				t.Error(diff)
			}
			want := map[string]string{"id": `"` + user.ID.String() + `"`, "externalId": `"x\\y"`, "userName": `"ana"`, "displayName": `"A\"na"`, "active": "true"}
			for name, value := range test.want {
				want[name] = value
			}
			for name, value := range want {
				wanted, err := resource.Decode([]byte(`{"v":` + value + `}`))
				if err != nil {
					t.Fatal(err)
				}
				v, _ := wanted.Get("v")
				if got, _ := read.Get(name); !resource.Equal(got, v) {
					t.Errorf("%s is %v in %s", name, got, text)
				}
			}
			meta, _ := read.Get("meta")
			if got := meta.(*resource.Object); got.Text("version") != `W/"3"` || got.Text("created") != "2026-01-02T03:04:05.0006Z" || got.Text("location") != s.location(userType, user.ID) || got.Text("resourceType") != "User" {
				t.Errorf("meta is %s", got.Append(nil))
			}
		})
	}
}

// BenchmarkShowUser is what showing a user costs beside the database.
func BenchmarkShowUser(b *testing.B) {
	s := &Service{PublicURL: "https://postern.example.com"}
	user := stored(`{"name": {"formatted": "givenName familyName", "givenName": "givenName", "familyName": "familyName"}, "title": "Tour Guide", "emails": [{"type": "work", "value": "a@x", "primary": true}], "addresses": [{"type": "work", "region": "CA", "country": "US", "locality": "Hollywood", "formatted": "100 Universal City Plaza", "postalCode": "91608"}], "phoneNumbers": [{"type": "work", "value": "+1 555 0100"}], "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d"}, "department": "Sales", "employeeNumber": "701984"}}`)
	b.ReportAllocs()
	for b.Loop() {
		o, err := s.userResource(user)
		if err != nil {
			b.Fatal(err)
		}
		o.Append(make([]byte, 0, 1024))
	}
}
