package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/scim/resource"
)

const groupURN = `"urn:ietf:params:scim:schemas:core:2.0:Group"`

// The examples of the RFCs need no rule, and are taken strictly. The one exception is the full user of
// RFC 7643, section 8.2: they have a password.
func TestExamplesOfTheRFCs(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want []resource.Rule
	}{
		"RFC 7643 8.1": {body: `{"schemas":[` + userURN + `],"id":"2819c223-7f76-453a-919d-413861904646","userName":"bjensen@example.com",
			"meta":{"resourceType":"User","created":"2010-01-23T04:56:22Z","lastModified":"2011-05-13T04:42:34Z","version":"W\/\"3694e05e9dff590\"","location":"https://example.com/v2/Users/2819c223-7f76-453a-919d-413861904646"}}`},
		"RFC 7643 8.2": {body: `{"schemas":[` + userURN + `],"id":"2819c223-7f76-453a-919d-413861904646","externalId":"701984","userName":"bjensen@example.com",
			"name":{"formatted":"Ms. Barbara J Jensen, III","familyName":"Jensen","givenName":"Barbara","middleName":"Jane","honorificPrefix":"Ms.","honorificSuffix":"III"},
			"displayName":"Babs Jensen","nickName":"Babs","profileUrl":"https://login.example.com/bjensen",
			"emails":[{"value":"bjensen@example.com","type":"work","primary":true},{"value":"babs@jensen.org","type":"home"}],
			"addresses":[{"streetAddress":"100 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608","country":"USA","formatted":"100 Universal City Plaza\nHollywood, CA 91608 USA","type":"work"},
				{"streetAddress":"456 Hollywood Blvd","locality":"Hollywood","region":"CA","postalCode":"91608","country":"USA","formatted":"456 Hollywood Blvd\nHollywood, CA 91608 USA","type":"home"}],
			"phoneNumbers":[{"value":"555-555-5555","type":"work"},{"value":"555-555-4444","type":"mobile"}],
			"ims":[{"value":"someaimhandle","type":"aim"}],"photos":[{"value":"https://photos.example.com/profilephoto/72930000000Ccne/F","type":"photo"},{"value":"https://photos.example.com/profilephoto/72930000000Ccne/T","type":"thumbnail"}],
			"userType":"Employee","title":"Tour Guide","preferredLanguage":"en-US","locale":"en-US","timezone":"America/Los_Angeles","active":true,"password":"t1meMa$heen",
			"groups":[{"value":"e9e30dba-f08f-4109-8486-d5c6a331660a","$ref":"https://example.com/v2/Groups/e9e30dba-f08f-4109-8486-d5c6a331660a","display":"Tour Guides"}],
			"x509Certificates":[{"value":"MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMC"}],
			"meta":{"resourceType":"User","created":"2010-01-23T04:56:22Z","lastModified":"2011-05-13T04:42:34Z","version":"W\/\"a330bc54f0671c9\"","location":"https://example.com/v2/Users/2819c223-7f76-453a-919d-413861904646"}}`,
			want: []resource.Rule{resource.RulePasswordDropped}},
		"RFC 7643 8.3": {body: `{"schemas":[` + userURN + `,"` + ent + `"],"id":"2819c223-7f76-453a-919d-413861904646","externalId":"701984","userName":"bjensen@example.com",
			"emails":[{"value":"bjensen@example.com","type":"work","primary":true}],
			"` + ent + `":{"employeeNumber":"701984","costCenter":"4130","organization":"Universal Studios","division":"Theme Park","department":"Tour Operations",
				"manager":{"value":"26118915-6090-4610-87e4-49d8ca9f808d","$ref":"../Users/26118915-6090-4610-87e4-49d8ca9f808d","displayName":"John Smith"}},
			"meta":{"resourceType":"User"}}`},
		"RFC 7643 2.5, unassigned": {body: post(`"nickName":null,"emails":[],"addresses":null`)},
		"RFC 7643 8.4": {body: `{"schemas":[` + groupURN + `],"id":"e9e30dba-f08f-4109-8486-d5c6a331660a","displayName":"Tour Guides",
			"members":[{"value":"2819c223-7f76-453a-919d-413861904646","$ref":"https://example.com/v2/Users/2819c223-7f76-453a-919d-413861904646","display":"Babs Jensen"}],"meta":{"resourceType":"Group"}}`},
		"RFC 7644 3.3":                   {body: `{"schemas":[` + userURN + `],"userName":"bjensen","externalId":"bjensen","name":{"formatted":"Ms. Barbara J Jensen III","familyName":"Jensen","givenName":"Barbara"}}`},
		"RFC 7644 3.5.1":                 {body: `{"schemas":[` + userURN + `],"id":"2819c223-7f76-453a-919d-413861904646","userName":"bjensen","externalId":"bjensen","name":{"formatted":"Ms. Barbara J Jensen III","familyName":"Jensen","givenName":"Barbara","middleName":"Jane"},"roles":[],"emails":[{"value":"bjensen@example.com"},{"value":"babs@jensen.org"}]}`},
		"RFC 7644 3.5.2, add a member":   {body: operations(`{"op":"add","path":"members","value":[{"display":"Babs Jensen","$ref":"https://example.com/v2/Users/2819c223-7f76-453a-919d-413861904646","value":"2819c223-7f76-453a-919d-413861904646"}]}`)},
		"RFC 7644 3.5.2.1":               {body: operations(`{"op":"add","value":{"emails":[{"value":"babs@jensen.org","type":"home"}],"nickName":"Babs"}}`)},
		"RFC 7644 3.5.2.2, one member":   {body: operations(`{"op":"remove","path":"members[value eq \"2819c223-7f76-453a-919d-413861904646\"]"}`)},
		"RFC 7644 3.5.2.2, all members":  {body: operations(`{"op":"remove","path":"members"}`)},
		"RFC 7644 3.5.2.2, complex":      {body: operations(`{"op":"remove","path":"emails[type eq \"work\" and value ew \"x\"]"}`)},
		"RFC 7644 3.5.2.2, two":          {body: operations(`{"op":"remove","path":"members[value eq \"2819c223-7f76-453a-919d-413861904646\"]"},{"op":"add","path":"members","value":[{"display":"James Smith","$ref":"https://example.com/v2/Users/08e1d05d-1","value":"08e1d05d-1"}]}`)},
		"RFC 7644 3.5.2.3, members":      {body: operations(`{"op":"replace","path":"members","value":[{"display":"Babs Jensen","$ref":"https://example.com/v2/Users/2819c223","value":"2819c223"},{"display":"James Smith","$ref":"https://example.com/v2/Users/08e1d05d","value":"08e1d05d"}]}`)},
		"RFC 7644 3.5.2.3, work address": {body: operations(`{"op":"add","path":"addresses","value":[{"type":"work","locality":"X"}]},{"op":"replace","path":"addresses[type eq \"work\"]","value":{"type":"work","streetAddress":"911 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608","country":"US","formatted":"911 Universal City Plaza\nHollywood, CA 91608 US","primary":true}}`)},
		"RFC 7644 3.5.2.3, street":       {body: operations(`{"op":"add","path":"addresses","value":[{"type":"work","locality":"X"}]},{"op":"replace","path":"addresses[type eq \"work\"].streetAddress","value":"1010 Broadway Ave"}`)},
		"RFC 7644 3.5.2.3, no path":      {body: operations(`{"op":"replace","value":{"emails":[{"value":"bjensen@example.com","type":"work","primary":true},{"value":"babs@jensen.org","type":"home"}],"nickName":"Babs"}}`)},
		"RFC 7644 3.10, the core's URN":  {body: operations(`{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:name.givenName","value":"G"}`)},
		"an extension, by path":          {body: operations(`{"op":"replace","path":"` + ent + `:department","value":"V"},{"op":"add","path":"` + ent + `","value":{"division":"V"}},{"op":"add","value":{"` + ent + `":{"costCenter":"C"}}}`)},
		"names in any case":              {body: operations(`{"op":"replace","path":"NICKNAME","value":"V"},{"op":"add","value":{"Title":"V"}}`)},
	} {
		kind := users
		if sent := decode(t, test.body); strings.Contains(sent.Text("displayName"), "Guides") || strings.Contains(test.body, "members") {
			kind = groups
		}
		for _, profile := range []resource.Profile{{Rules: &resource.Rules{}}, {BareValues: true, ReplaceCreates: true, Guessed: true, Rules: &resource.Rules{}}} {
			if err := take(t, kind, test.body, profile); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(test.want, profile.Rules.List()); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if err := take(t, kind, test.body, resource.Profile{Strict: true}); (err != nil) != (test.want != nil) {
			t.Errorf("strictly %s is %v", name, err)
		}
	}
}

// take reads a body, but for what it does to members: those are rows.
func take(t testing.TB, kind *resource.Type, body string, profile resource.Profile) error {
	if kind == groups {
		sent := decode(t, body)
		if _, patch := sent.Get("Operations"); patch {
			_, err := kind.Changes(sent, profile)
			return err
		}
	}
	_, err := read(t, kind, body, profile)
	return err
}
