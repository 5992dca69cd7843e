package resource_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/core"
	"postern/scim/resource"
)

const (
	userURN  = `"urn:ietf:params:scim:schemas:core:2.0:User"`
	patchURN = `"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]`
)

// read reads a body as it comes with POST, or with PATCH when it has operations, and says what became
// of a person.
func read(t testing.TB, kind *resource.Type, body string, profile resource.Profile) (*resource.Object, error) {
	t.Helper()
	sent := decode(t, body)
	if _, patch := sent.Get("Operations"); !patch {
		return kind.Normalise(sent, profile)
	}
	o := decode(t, `{"userName":"ana","active":true,"title":"T","emails":[{"type":"work","value":"a@x","primary":true}],"`+ent+`":{"department":"D","manager":{"value":"m"}}}`)
	changes, err := kind.Changes(sent, profile)
	if err != nil {
		return nil, err
	}
	return o, kind.Patch(o, changes, profile)
}

func post(attributes string) string {
	return `{"schemas":[` + userURN + `],"userName":"ana",` + attributes + `}`
}

func operations(list string) string { return `{` + patchURN + `,"Operations":[` + list + `]}` }

// Every rule fires alone for the shape it is about, and the strict profile refuses that shape.
func TestRules(t *testing.T) {
	type rules = []resource.Rule
	seen := rules{ // these are about members, which the wing reads
		resource.RuleMemberString, resource.RuleMemberAlone, resource.RuleMemberReferenceOnly, resource.RuleMemberDisplayName,
	}
	for _, test := range []struct {
		body string
		want rules
		code string
	}{
		{post(`"active":"True"`), rules{resource.RuleStringBoolean}, "invalidValue"},
		{operations(`{"op":"replace","path":"active","value":"False"}`), rules{resource.RuleStringBoolean}, "invalidValue"},
		{post(`"externalId":701984`), rules{resource.RuleNumberForString}, "invalidValue"},
		{operations(`{"op":"replace","path":"title","value":{"value":"V"}}`), rules{resource.RuleWrappedValue}, "invalidValue"},
		{operations(`{"op":"replace","path":"active","value":[false]}`), rules{resource.RuleListForOne}, "invalidValue"},
		{operations(`{"op":"add","path":"emails","value":{"value":"b@x"}}`), rules{resource.RuleOneForList}, "invalidValue"},
		{post(`"emails":["b@x"]`), rules{resource.RuleStringForObject}, "invalidValue"},
		{operations(`{"op":"add","path":"` + ent + `:manager","value":"u2"}`), rules{resource.RuleManagerString}, "invalidValue"},
		{operations(`{"op":"add","path":"` + ent + `:manager","value":[{"$ref":"http://x/Users/u2","value":"u2"}]}`), rules{resource.RuleManagerList}, "invalidValue"},
		{operations(`{"op":"replace","path":"` + ent + `:manager","value":""}`), rules{resource.RuleEmptyRemoves}, "invalidValue"},
		{operations(`{"op":"replace","path":"title","value":[]}`), rules{resource.RuleEmptyRemoves}, "invalidValue"},
		{operations(`{"op":"replace","path":"emails[type eq \"work\"].value","value":""}`), rules{resource.RuleEmptyRemoves}, "invalidValue"},
		{operations(`{"op":"replace","path":"title","value":null}`), rules{resource.RuleNullRemoves}, "invalidValue"},
		{operations(`{"op":"replace","value":{"title":null}}`), rules{resource.RuleNullRemoves}, "invalidValue"},
		{operations(`{"op":"add","path":"` + ent + `:manager","value":{"$ref":null,"value":"u2"}}`), rules{resource.RuleNullReference}, "invalidValue"},
		{post(`"roles":[{"value":"{\"id\":\"06\",\"value\":\"25\",\"displayName\":\"R\"}"}]`), rules{resource.RuleRoleJSON}, "invalidValue"},
		{operations(`{"op":"Replace","path":"title","value":"V"}`), rules{resource.RuleOperationCase}, "invalidSyntax"},
		{`{` + patchURN + `,"operations":[{"op":"remove","path":"title"}]}`, rules{resource.RuleMessageCase}, "invalidSyntax"},
		{operations(`{"op":"remove","Path":"title"}`), rules{resource.RuleMessageCase}, "invalidSyntax"},
		{`{"Operations":[{"op":"remove","path":"title"}]}`, rules{resource.RuleMessageSchema}, "invalidSyntax"},
		{`{"schemas":[],"Operations":[{"op":"remove","path":"title"}]}`, rules{resource.RuleMessageSchema}, "invalidSyntax"},
		{operations(`{"name":"x","op":"remove","path":"title"}`), rules{resource.RuleOperationExtra}, "invalidSyntax"},
		{operations(`{"op":"replace","path":"","value":{"title":"V"}}`), rules{resource.RuleEmptyPath}, "invalidPath"},
		{operations(`{"op":"remove","path":"emails[type eq work]"}`), rules{resource.RuleBareValue}, "invalidPath"},
		{operations(`{"op":"remove","path":"emails[type eq 'work']"}`), rules{resource.RuleBareValue}, "invalidPath"},
		{operations(`{"op":"remove","path":"emails[primary eq \"True\"]"}`), rules{resource.RuleStringInFilter}, "invalidFilter"},
		{operations(`{"op":"replace","value":{"name.givenName":"G"}}`), rules{resource.RuleDottedKey}, "invalidSyntax"},
		{post(`"name.givenName":"G"`), rules{resource.RuleDottedKey}, "invalidSyntax"},
		{operations(`{"op":"replace","value":{"` + ent + `:employeeNumber":"7"}}`), rules{resource.RuleURNKey}, "invalidSyntax"},
		{operations(`{"op":"replace","path":"URN:ietf:params:scim:schemas:extension:enterprise:2.0:user:division","value":"V"}`), rules{resource.RuleURNSpelling}, "invalidSyntax"},
		{`{"schemas":[` + userURN + `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],"userName":"ana"}`, rules{resource.RuleURNSpelling}, "invalidSyntax"},
		{operations(`{"op":"replace","path":"department","value":"V"}`), rules{resource.RuleExtensionBare}, "invalidPath"},
		{post(userURN + `:{"title":"V"}`), rules{resource.RuleCoreContainer}, "invalidSyntax"},
		{`{"userName":"ana"}`, rules{resource.RuleSchemasMissing}, "invalidValue"},
		{`{"schemas":[],"userName":"ana"}`, rules{resource.RuleSchemasMissing}, "invalidValue"},
		{`{"schemas":[` + userURN + `,"urn:x:y"],"userName":"ana"}`, rules{resource.RuleSchemaUnknown}, "invalidValue"},
		{post(`"` + ent + `":{"department":"V"}`), rules{resource.RuleSchemaUnlisted}, "invalidValue"},
		{post(`"shoeSize":44`), rules{resource.RuleUnknownAttribute}, "invalidSyntax"},
		{post(`"name":{"givenName":"G","nick":"N"}`), rules{resource.RuleUnknownAttribute}, "invalidSyntax"},
		{operations(`{"op":"add","path":"shoeSize","value":44}`), rules{resource.RuleUnknownAttribute}, "invalidPath"},
		{operations(`{"op":"add","value":{"shoeSize":44}}`), rules{resource.RuleUnknownAttribute}, "invalidSyntax"},
		{operations(`{"op":"add","path":"` + ent + `","value":{"shoeSize":44}}`), rules{resource.RuleUnknownAttribute}, "invalidSyntax"},
		{operations(`{"op":"replace","value":{"id":"x","title":"V"}}`), rules{resource.RuleReadOnlyIgnored}, "mutability"},
		{post(`"password":"x"`), rules{resource.RulePasswordDropped}, "invalidValue"},
		{operations(`{"op":"replace","value":{"password":"x"}}`), rules{resource.RulePasswordDropped}, "invalidValue"},
		{post(`"emails":[{"value":"a","primary":true},{"value":"b","primary":true}]`), rules{resource.RuleSecondPrimary}, "invalidValue"},
		{operations(`{"op":"replace","path":"emails[type eq \"home\"].value","value":"h@x"}`), rules{resource.RuleReplaceCreates}, "noTarget"},
		{operations(`{"op":"add","path":"addresses[type eq \"work\"].locality","value":"Rome"},{"op":"add","path":"addresses[type eq \"work\"].country","value":"IT"}`), rules{resource.RuleAddCreates}, "noTarget"},
		{operations(`{"op":"remove","path":"emails","value":[{"value":"a@x"}]}`), rules{resource.RuleRemoveNamesValues}, "invalidSyntax"},
		{operations(`{"op":"remove","path":"emails[type eq \"fax\"]"}`), rules{resource.RuleRemoveFindsNothing}, "noTarget"},
		{operations(`{"op":"add","path":"members[value eq \"x\"]"}`), rules{resource.RuleMemberByFilter}, "invalidPath"},
	} {
		kind := users
		if strings.Contains(test.body, "members") {
			kind = groups
		}
		profile := resource.Profile{BareValues: true, ReplaceCreates: true, Rules: &resource.Rules{}}
		sent := decode(t, test.body)
		var err error
		if kind == groups {
			_, err = kind.Changes(sent, profile)
		} else {
			_, err = read(t, kind, test.body, profile)
		}
		if diff := cmp.Diff(test.want, profile.Rules.List()); err != nil || diff != "" {
			t.Errorf("%s: %v %s", test.body, err, diff)
		}
		seen = append(seen, profile.Rules.List()...)
		strict := resource.Profile{Strict: true, Rules: &resource.Rules{}}
		if _, err := read(t, kind, test.body, strict); core.KindOf(err) != core.KindInvalid || core.AsError(err).Code != test.code {
			t.Errorf("strictly %s is %v, want %s", test.body, err, test.code)
		}
		if fired := strict.Rules.List(); fired != nil {
			t.Errorf("strictly %s fires %v", test.body, fired)
		}
	}
	for _, rule := range resource.AllRules {
		if !slices.Contains(seen, rule) {
			t.Errorf("%s is never seen to fire", rule)
		}
		if said := resource.Explain(rule); len(said) < 20 || !strings.HasSuffix(said, ".") || strings.Count(said, "; ") == 0 {
			t.Errorf("%s is explained as %q", rule, said)
		}
	}
	if said := resource.Explain("of another version"); said == "" {
		t.Error("an unknown rule has no explanation")
	}
}

// What a strict profile refuses beyond the rules.
func TestStrict(t *testing.T) {
	for body, code := range map[string]string{
		operations(`{"op":"replace","path":"id","value":"x"}`):                                 "mutability",
		operations(`{"op":"replace","path":"groups","value":[]}`):                              "mutability",
		operations(`{"op":"replace","path":"meta.created","value":"x"}`):                       "mutability",
		operations(`{"op":"replace","path":"schemas","value":[]}`):                             "mutability",
		operations(`{"op":"remove","path":"userName"}`):                                        "mutability",
		operations(`{"op":"remove"}`):                                                          "noTarget",
		operations(`{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"x"}}`): "noTarget",
		operations(`{"op":"replace","path":"emails[kind eq \"home\"].value","value":"x"}`):     "invalidFilter",
		operations(`{"op":"replace","path":"title.x","value":"x"}`):                            "invalidPath",
		operations(`{"op":"replace","path":"name[type eq \"x\"].givenName","value":"x"}`):      "invalidPath",
		operations(`{"op":"replace","path":"emails[type eq","value":"x"}`):                     "invalidPath",
		operations(`{"op":"move","path":"title","value":"x"}`):                                 "invalidSyntax",
		operations(`{"op":"add","path":"title"}`):                                              "invalidValue",
		operations(`{"op":"add","path":"title","value":7}`):                                    "invalidValue",
		operations(`{"op":"add","path":"emails","value":[{"value":"b","kind":"x"}]}`):          "invalidSyntax",
		operations(`{"op":"add","path":"urn:x:y:User:z","value":1}`):                           "invalidPath",
		operations(`{"op":"remove","path":"shoeSize"}`):                                        "invalidPath",
		post(`"urn:x:y:User":{"a":1}`):                                                         "invalidValue",
		post(`"name":"Ana"`):                                                                   "invalidValue",
		post(`"title":["a","b"]`):                                                              "invalidValue",
	} {
		if _, err := read(t, users, body, resource.Profile{Strict: true}); core.KindOf(err) != core.KindInvalid || core.AsError(err).Code != code {
			t.Errorf("%s: %v, want %s", body, err, code)
		}
	}
	replaced, err := read(t, users, operations(`{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"b@x"}}`), resource.Profile{Strict: true})
	if emails, _ := replaced.Get("emails"); err != nil || !resource.Equal(emails, []any{resource.NewObject("value", "b@x")}) {
		t.Fatalf("a value is replaced as a whole: %s, %v", replaced.Append(nil), err)
	}
}

// A client that fills in whole models repeats an extension's URN among the extension's attributes.
func TestSchemasInsideAnExtension(t *testing.T) {
	core := post(`"` + ent + `":{"department":"D"}`)
	core = strings.Replace(core, userURN, userURN+`,"`+ent+`"`, 1)
	for name, test := range map[string]struct {
		body string
		want []resource.Rule
	}{
		"its own, in a POST":      {strings.Replace(core, `{"department"`, `{"schemas":["`+ent+`"],"department"`, 1), nil},
		"its own, by its path":    {operations(`{"op":"add","path":"` + ent + `","value":{"schemas":["` + ent + `"],"department":"D"}}`), nil},
		"none":                    {operations(`{"op":"add","path":"` + ent + `","value":{"schemas":null,"department":"D"}}`), nil},
		"another's":               {operations(`{"op":"add","path":"` + ent + `","value":{"schemas":[` + userURN + `],"department":"D"}}`), []resource.Rule{resource.RuleSchemaUnknown}},
		"nobody's":                {strings.Replace(core, `{"department"`, `{"Schemas":[1],"department"`, 1), []resource.Rule{resource.RuleSchemaUnknown}},
		"what else is in nothing": {operations(`{"op":"add","path":"` + ent + `","value":{"shoe":[1]}}`), []resource.Rule{resource.RuleUnknownAttribute}},
	} {
		t.Run(name, func(t *testing.T) {
			rules := &resource.Rules{}
			kept, err := read(t, users, test.body, resource.Profile{Rules: rules})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, rules.List(), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			inner, _ := kept.Get(ent)
			if _, found := inner.(*resource.Object).Get("schemas"); found {
				t.Errorf("kept %s", kept.Append(nil))
			}
			_, err = read(t, users, test.body, resource.Profile{Strict: true})
			if refused := err != nil; refused != (test.want != nil) {
				t.Errorf("the strict profile says %v", err)
			}
		})
	}
}
