package scim

import (
	"net/http/httptest"
	"testing"

	"postern/core/directory"
	"postern/scim/resource"
)

func TestProfileOf(t *testing.T) {
	for name, test := range map[string]struct {
		kind    directory.ConnectionKind
		chosen  directory.ProvisioningProfile
		query   string
		agent   string
		want    string
		creates bool
	}{
		"Okta's connection":             {kind: directory.Okta, want: resource.Okta, creates: true},
		"Entra's connection":            {kind: directory.Entra, want: resource.Entra, creates: true},
		"the kind counts, not the name": {kind: directory.Entra, agent: "Okta SCIM Client 1.0.0", want: resource.Entra, creates: true},
		"nobody known":                  {kind: directory.Generic, agent: "curl/8", want: resource.Generic},
		"no agent at all":               {kind: directory.Generic, want: resource.Generic},
		"Okta by its agent":             {kind: directory.Generic, agent: "Okta SCIM Client 1.0.0", want: resource.Okta, creates: true},
		"Entra by its flag":             {kind: directory.Generic, query: "aadOptscim062020", want: resource.Entra, creates: true},
		"Entra by its flag with more":   {kind: directory.Generic, query: "filter=x&aadOptscim062020=&count=1", want: resource.Entra, creates: true},
		"Entra by its other flag":       {kind: directory.Generic, query: "AzureAdScimPatch2017", want: resource.Entra, creates: true},
		"chosen":                        {kind: directory.Generic, chosen: directory.ProfileEntra, want: resource.Entra, creates: true},
		"chosen against the kind":       {kind: directory.Okta, chosen: directory.ProfileGeneric, query: "aadOptscim062020", want: resource.Generic},
		"strict":                        {kind: directory.Entra, chosen: directory.ProfileStrict, query: "aadOptscim062020", want: resource.Strict},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/scim/v2/Users?"+test.query, nil)
			r.Header.Set("User-Agent", test.agent)
			got := profileOf(directory.Connection{Kind: test.kind, Provisioning: directory.Provisioning{Profile: test.chosen}}, r)
			if got.Named() != test.want || got.ReplaceCreates != test.creates || got.Strict != (test.want == resource.Strict) || got.BareValues == got.Strict || got.Rules == nil {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

// What the body tells counts for the rest of the request.
func TestProfileByTheBody(t *testing.T) {
	connection := directory.Connection{Kind: directory.Generic}
	body, err := resource.Decode([]byte(`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"a@x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	profile := profileOf(connection, httptest.NewRequest("PATCH", "/scim/v2/Users/1", nil))
	changes, err := userType.Changes(body, profile)
	if err != nil {
		t.Fatal(err)
	}
	o := resource.NewObject("userName", "ana")
	if err := userType.Patch(o, changes, profile); err != nil || profile.Named() != resource.Entra {
		t.Fatalf("read as %s: %v", profile.Named(), err)
	}
	group, err := resource.Decode([]byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"displayName":"G"}`))
	if err != nil {
		t.Fatal(err)
	}
	profile = profileOf(connection, httptest.NewRequest("POST", "/scim/v2/Groups", nil))
	if _, err := groupType.Normalise(group, profile); err != nil || profile.Named() != resource.Entra {
		t.Fatalf("read as %s: %v", profile.Named(), err)
	}
}
