package resource_test

import (
	"errors"
	"strings"
	"testing"

	"postern/core"
	"postern/scim/resource"
)

var (
	users  = resource.User()
	groups = resource.Group()
	entra  = resource.Profile{BareValues: true, ReplaceCreates: true}
)

func decode(t testing.TB, text string) *resource.Object {
	t.Helper()
	o, err := resource.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func patch(t testing.TB, document, operations string, profile resource.Profile) (*resource.Object, error) {
	t.Helper()
	o, err := users.Normalise(decode(t, document), entra)
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	changes, err := users.Changes(decode(t, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`+operations+`}`), profile)
	if err != nil {
		return nil, err
	}
	return o, users.Patch(o, changes, profile)
}

const (
	ent  = `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`
	work = `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"h@x"}]}`
)

func TestPatch(t *testing.T) {
	for name, test := range map[string]struct{ document, operations, want string }{
		"Okta disables":                      {`{"userName":"ana","active":true}`, `[{"op":"replace","value":{"active":false}}]`, `{"userName":"ana","active":false}`},
		"Entra disables":                     {`{"userName":"ana","active":true}`, `[{"op":"Replace","path":"active","value":"False"}]`, `{"userName":"ana","active":false}`},
		"Entra disables with the flag":       {`{"userName":"ana","active":true}`, `[{"op":"replace","path":"active","value":false}]`, `{"userName":"ana","active":false}`},
		"add a string":                       {`{"userName":"ana"}`, `[{"op":"Add","path":"nickName","value":"Babs"}]`, `{"userName":"ana","nickName":"Babs"}`},
		"replace an absent one adds":         {`{"userName":"ana"}`, `[{"op":"replace","path":"title","value":"Vice"}]`, `{"userName":"ana","title":"Vice"}`},
		"sub-attribute":                      {`{"userName":"ana","name":{"familyName":"B"}}`, `[{"op":"Replace","path":"name.givenName","value":"Ana"}]`, `{"userName":"ana","name":{"familyName":"B","givenName":"Ana"}}`},
		"sub-attribute of nothing":           {`{"userName":"ana"}`, `[{"op":"Replace","path":"name.givenName","value":"Ana"}]`, `{"userName":"ana","name":{"givenName":"Ana"}}`},
		"complex merges":                     {`{"userName":"ana","name":{"familyName":"B"}}`, `[{"op":"replace","path":"name","value":{"givenName":"Ana"}}]`, `{"userName":"ana","name":{"familyName":"B","givenName":"Ana"}}`},
		"value path":                         {work, `[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b@x"}]`, `{"userName":"ana","emails":[{"type":"work","value":"b@x","primary":true},{"type":"home","value":"h@x"}]}`},
		"value path replace creates":         {`{"userName":"ana"}`, `[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b@x"}]`, `{"userName":"ana","emails":[{"type":"work","value":"b@x"}]}`},
		"value path add creates":             {`{"userName":"ana"}`, `[{"op":"Add","path":"emails[type eq \"work\" and primary eq true].value","value":"b@x"}]`, `{"userName":"ana","emails":[{"type":"work","primary":true,"value":"b@x"}]}`},
		"adds land in one element":           {`{"userName":"ana"}`, `[{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Rome"},{"op":"Add","path":"addresses[type eq \"work\"].country","value":"IT"}]`, `{"userName":"ana","addresses":[{"type":"work","locality":"Rome","country":"IT"}]}`},
		"boolean filter as a string":         {`{"userName":"ana","roles":[{"primary":true,"value":"a"}]}`, `[{"op":"Replace","path":"roles[primary eq \"True\"].value","value":"b"}]`, `{"userName":"ana","roles":[{"primary":true,"value":"b"}]}`},
		"boolean filter as a string creates": {`{"userName":"ana"}`, `[{"op":"Add","path":"roles[primary eq \"True\"].value","value":"b"}]`, `{"userName":"ana","roles":[{"primary":true,"value":"b"}]}`},
		"value path replaces the element":    {work, `[{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"n@x"}}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"n@x"}]}`},
		"value path adds to the element":     {work, `[{"op":"add","path":"emails[type eq \"home\"]","value":{"display":"H"}}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"h@x","display":"H"}]}`},
		"value path removes the element":     {work, `[{"op":"remove","path":"emails[type eq \"home\"]"}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"value path removes the value":       {work, `[{"op":"remove","path":"emails[type eq \"home\"].value"}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"value path null removes":            {work, `[{"op":"replace","path":"emails[type eq \"home\"].value","value":null}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"removing what is not there":         {work, `[{"op":"remove","path":"emails[type eq \"other\"]"},{"op":"remove","path":"title"},{"op":"remove","path":"` + ent + `:department"}]`, work},
		"the new primary is the only one":    {work, `[{"op":"replace","path":"emails[type eq \"home\"].primary","value":"True"}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"h@x","primary":true}]}`},
		"an added primary is the only one":   {work, `[{"op":"add","path":"emails","value":[{"type":"other","value":"o@x","primary":true}]}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"h@x"},{"type":"other","value":"o@x","primary":true}]}`},
		"adding what is there":               {work, `[{"op":"add","path":"emails","value":[{"type":"home","value":"h@x"}]}]`, work},
		"adding the same value of the type":  {work, `[{"op":"add","path":"emails","value":{"type":"home","value":"H@X","display":"d"}}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"H@X","display":"d"}]}`},
		"replacing a list":                   {work, `[{"op":"replace","path":"emails","value":[{"value":"n@x"}]}]`, `{"userName":"ana","emails":[{"value":"n@x"}]}`},
		"replacing a list by null":           {work, `[{"op":"replace","path":"emails","value":null}]`, `{"userName":"ana"}`},
		"replacing a list by nothing":        {work, `[{"op":"replace","path":"emails","value":[]}]`, `{"userName":"ana"}`},
		"adding nothing":                     {work, `[{"op":"add","path":"emails","value":[]}]`, work},
		"removing named values":              {work, `[{"op":"Remove","path":"emails","value":[{"$ref":null,"value":"h@x"}]}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"removing a list":                    {work, `[{"op":"remove","path":"emails"}]`, `{"userName":"ana"}`},
		"extension by URN":                   {`{"userName":"ana"}`, `[{"op":"Replace","path":"` + ent + `:employeeNumber","value":"7"}]`, `{"userName":"ana","` + ent + `":{"employeeNumber":"7"}}`},
		"extension by a malformed URN":       {`{"userName":"ana"}`, `[{"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department","value":"D"}]`, `{"userName":"ana","` + ent + `":{"department":"D"}}`},
		"extension as a whole":               {`{"userName":"ana"}`, `[{"op":"add","path":"` + ent + `","value":{"department":"D","costCenter":null}}]`, `{"userName":"ana","` + ent + `":{"department":"D"}}`},
		"extension nested, no path":          {`{"userName":"ana"}`, `[{"op":"replace","value":{"` + ent + `":{"department":"D"}}}]`, `{"userName":"ana","` + ent + `":{"department":"D"}}`},
		"extension removed":                  {`{"userName":"ana","` + ent + `":{"department":"D"}}`, `[{"op":"remove","path":"` + ent + `"}]`, `{"userName":"ana"}`},
		"last attribute of an extension":     {`{"userName":"ana","` + ent + `":{"department":"D"}}`, `[{"op":"remove","path":"` + ent + `:department"}]`, `{"userName":"ana"}`},
		"Entra in one operation":             {`{"userName":"ana"}`, `[{"op":"replace","value":{"displayName":"Ana","name.givenName":"Ana","emails[type eq \"work\"].value":"a@x","` + ent + `:employeeNumber":7}}]`, `{"userName":"ana","displayName":"Ana","name":{"givenName":"Ana"},"emails":[{"type":"work","value":"a@x"}],"` + ent + `":{"employeeNumber":"7"}}`},
		"core URN":                           {`{"userName":"ana"}`, `[{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:name.familyName","value":"B"},{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"title":"T"}}}]`, `{"userName":"ana","name":{"familyName":"B"},"title":"T"}`},
		"manager as a string":                {`{"userName":"ana"}`, `[{"op":"Add","path":"manager","value":"u2"}]`, `{"userName":"ana","` + ent + `":{"manager":{"value":"u2"}}}`},
		"manager by URN as a string":         {`{"userName":"ana"}`, `[{"op":"Replace","path":"` + ent + `:manager","value":"u2"}]`, `{"userName":"ana","` + ent + `":{"manager":{"value":"u2"}}}`},
		"manager as a list":                  {`{"userName":"ana"}`, `[{"op":"Add","path":"` + ent + `:manager","value":[{"$ref":"http://x/Users/u2","value":"u2"}]}]`, `{"userName":"ana","` + ent + `":{"manager":{"$ref":"http://x/Users/u2","value":"u2"}}}`},
		"manager.value":                      {`{"userName":"ana","` + ent + `":{"manager":{"value":"u1","$ref":"r","displayName":"B"}}}`, `[{"op":"replace","path":"` + ent + `:manager.value","value":"u2"}]`, `{"userName":"ana","` + ent + `":{"manager":{"value":"u2"}}}`},
		"another manager":                    {`{"userName":"ana","` + ent + `":{"manager":{"value":"u1","displayName":"B"}}}`, `[{"op":"replace","path":"manager","value":{"value":"u2"}}]`, `{"userName":"ana","` + ent + `":{"manager":{"value":"u2"}}}`},
		"manager replaced by nothing":        {`{"userName":"ana","` + ent + `":{"manager":{"value":"u1"}}}`, `[{"op":"Replace","path":"manager","value":""}]`, `{"userName":"ana"}`},
		"manager removed with its value":     {`{"userName":"ana","` + ent + `":{"manager":{"value":"u1"}}}`, `[{"op":"Remove","path":"` + ent + `:manager","value":"u1"}]`, `{"userName":"ana"}`},
		"manager.value removed":              {`{"userName":"ana","` + ent + `":{"manager":{"value":"u1","$ref":"r"}}}`, `[{"op":"remove","path":"` + ent + `:manager.value"}]`, `{"userName":"ana"}`},
		"JSON in a role":                     {`{"userName":"ana"}`, `[{"op":"Add","path":"roles","value":[{"value":"{\"id\":\"1\",\"displayName\":\"Role\"}"}]}]`, `{"userName":"ana","roles":[{"value":"1","id":"1","display":"Role"}]}`},
		"JSON in a role, and out again":      {`{"userName":"ana"}`, `[{"op":"Add","path":"roles","value":[{"value":"{\"id\":\"1\",\"value\":\"25\"}"}]},{"op":"Remove","path":"roles","value":[{"value":"{\"id\":\"1\",\"value\":\"25\"}"}]}]`, `{"userName":"ana"}`},
		"an e-mail address of nothing":       {work, `[{"op":"Replace","path":"emails[type eq \"work\"].value","value":""}]`, `{"userName":"ana","emails":[{"type":"home","value":"h@x"}]}`},
		"one value removed, not all":         {work, `[{"op":"remove","path":"emails","value":{"value":"h@x"}}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"a wrapped value":                    {`{"userName":"ana"}`, `[{"op":"Replace","path":"userName","value":[{"$ref":null,"value":"bob"}]}]`, `{"userName":"bob"}`},
		"an array around a boolean":          {`{"userName":"ana","active":true}`, `[{"op":"replace","path":"active","value":[false]}]`, `{"userName":"ana","active":false}`},
		"an extension of SCIM 1.1":           {`{"userName":"ana"}`, `[{"op":"replace","value":{"urn:scim:schemas:extension:enterprise:1.0":{"department":"D"}}}]`, `{"userName":"ana","` + ent + `":{"department":"D"}}`},
		"adding null to a list":              {work, `[{"op":"add","path":"emails","value":null}]`, work},
		"unknown attribute":                  {`{"userName":"ana"}`, `[{"op":"Add","path":"shoeSize","value":44},{"op":"Add","path":"pets[kind eq \"cat\"].name","value":"Tom"}]`, `{"userName":"ana","shoeSize":44,"pets":[{"kind":"cat","name":"Tom"}]}`},
		"unknown extension":                  {`{"userName":"ana"}`, `[{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:Custom:2.0:User:tag","value":"x"},{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:Custom:2.0:User","value":{"more":1}}]`, `{"userName":"ana","urn:ietf:params:scim:schemas:extension:Custom:2.0:User":{"tag":"x","more":1}}`},
		"names without regard to case":       {`{"userName":"ana","title":"a"}`, `[{"op":"REPLACE","PATH":"TITLE","Value":"b"}]`, `{"userName":"ana","title":"b"}`},
		"password is dropped":                {`{"userName":"ana"}`, `[{"op":"replace","value":{"password":"hunter2"}},{"op":"replace","path":"password","value":"hunter2"},{"op":"add","path":"x.password","value":"hunter2"}]`, `{"userName":"ana"}`},
		"what cannot change, in a value":     {`{"userName":"ana"}`, `[{"op":"replace","value":{"id":"x","meta":{},"groups":[],"schemas":[],"title":"T"}}]`, `{"userName":"ana","title":"T"}`},
		"sequential":                         {`{"userName":"ana"}`, `[{"op":"add","path":"title","value":"a"},{"op":"remove","path":"title"},{"op":"add","path":"title","value":"b"}]`, `{"userName":"ana","title":"b"}`},
		"every element's sub-attribute":      {work, `[{"op":"replace","path":"emails.display","value":"d"}]`, `{"userName":"ana","emails":[{"type":"work","value":"a@x","primary":true,"display":"d"},{"type":"home","value":"h@x","display":"d"}]}`},
		"empty string then null":             {`{"userName":"ana","title":"T"}`, `[{"op":"replace","path":"title","value":""},{"op":"replace","path":"title","value":null}]`, `{"userName":"ana"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := patch(t, test.document, test.operations, entra)
			if err != nil {
				t.Fatal(err)
			}
			want := decode(t, test.want)
			if !resource.Equal(got, want) {
				t.Fatalf("got  %s\nwant %s", got.Append(nil), want.Append(nil))
			}
		})
	}
}

func TestPatchRefuses(t *testing.T) {
	for name, test := range map[string]struct{ operations, code string }{
		"no operations":               {`[]`, "invalidSyntax"},
		"operations are no list":      {`{}`, "invalidSyntax"},
		"operation is no object":      {`["replace"]`, "invalidSyntax"},
		"unknown op":                  {`[{"op":"move","path":"title","value":"x"}]`, "invalidSyntax"},
		"no op":                       {`[{"path":"title","value":"x"}]`, "invalidSyntax"},
		"add without value":           {`[{"op":"add","path":"title"}]`, "invalidValue"},
		"no path and a string":        {`[{"op":"replace","value":"x"}]`, "invalidValue"},
		"remove without path":         {`[{"op":"remove"}]`, "noTarget"},
		"path is a number":            {`[{"op":"replace","path":5,"value":"x"}]`, "invalidPath"},
		"path is malformed":           {`[{"op":"replace","path":"emails[type eq","value":"x"}]`, "invalidPath"},
		"filter on a single value":    {`[{"op":"replace","path":"name[type eq \"x\"].givenName","value":"x"}]`, "invalidPath"},
		"sub-attribute of a string":   {`[{"op":"replace","path":"title.x","value":"x"}]`, "invalidPath"},
		"id":                          {`[{"op":"replace","path":"id","value":"x"}]`, "mutability"},
		"groups":                      {`[{"op":"add","path":"groups","value":[{"value":"x"}]}]`, "mutability"},
		"userName removed":            {`[{"op":"remove","path":"userName"}]`, "mutability"},
		"userName null":               {`[{"op":"replace","path":"userName","value":null}]`, "mutability"},
		"active is a word":            {`[{"op":"replace","path":"active","value":"maybe"}]`, "invalidValue"},
		"title is an object":          {`[{"op":"replace","path":"title","value":{"a":1}}]`, "invalidValue"},
		"name is a string":            {`[{"op":"replace","path":"name","value":"Ana"}]`, "invalidValue"},
		"emails are numbers in lists": {`[{"op":"replace","path":"emails","value":[[1]]}]`, "invalidValue"},
		"nothing can be made":         {`[{"op":"add","path":"emails[type eq \"a\" or type eq \"b\"].value","value":"x"}]`, "noTarget"},
		"too many values":             {`[{"op":"add","path":"emails","value":[` + strings.Repeat(`{"value":"x"},`, 600) + `{"value":"y"}]}]`, "invalidValue"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := patch(t, `{"userName":"ana","title":"T"}`, test.operations, entra)
			classified, ok := errors.AsType[*core.Error](err)
			if !ok || classified.Kind != core.KindInvalid || classified.Code != test.code {
				t.Fatalf("got %v, want %s", err, test.code)
			}
		})
	}
	_, err := patch(t, `{"userName":"ana"}`, `[{"op":"replace","path":"emails[type eq \"work\"].value","value":"x"}]`, resource.Profile{})
	if classified := core.AsError(err); classified == nil || classified.Code != "noTarget" {
		t.Fatalf("a strict profile makes no element on replace: %v", err)
	}
	many := `[` + strings.Repeat(`{"op":"add","path":"title","value":"x"},`, resource.MaxOperations) + `{"op":"add","path":"title","value":"x"}]`
	if _, err := patch(t, `{"userName":"ana"}`, many, entra); core.KindOf(err) != core.KindTooLarge {
		t.Fatalf("too many operations: %v", err)
	}
}

func TestPatchCanBeAppliedAgain(t *testing.T) {
	changes, err := users.Changes(decode(t, `{"Operations":[{"op":"add","path":"emails","value":[{"value":"a@x"}]},{"op":"add","path":"emails[value eq \"a@x\"].display","value":"d"},{"op":"add","path":"x","value":{"y":[1]}},{"op":"add","path":"x.z","value":2}]}`), entra)
	if err != nil {
		t.Fatal(err)
	}
	var first *resource.Object
	for range 2 {
		o := decode(t, `{"userName":"ana"}`)
		if err := users.Patch(o, changes, entra); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = o
		} else if !resource.Equal(first, o) {
			t.Fatalf("first %s\nthen  %s", first.Append(nil), o.Append(nil))
		}
	}
}

func TestErrorsNeverRepeatValues(t *testing.T) {
	for _, operations := range []string{
		`[{"op":"replace","path":"active","value":"hunter2"}]`,
		`[{"op":"replace","path":"emails[type eq \"hunter2","value":"x"}]`,
		`[{"op":"replace","path":"title","value":{"hunter2":"hunter2"}}]`,
	} {
		if _, err := patch(t, `{"userName":"ana"}`, operations, entra); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", operations, err)
		}
	}
}
