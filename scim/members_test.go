package scim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/lifecycle"
	"postern/scim/resource"
)

// membersOf is what operations come to, by the names the ids have in the test.
func membersOf(t testing.TB, operations string, profile resource.Profile, ids map[string]core.ID) (add, remove []string, replace *[]string, err error) {
	t.Helper()
	for name, id := range ids {
		operations = strings.ReplaceAll(operations, "{"+name+"}", id.String())
	}
	body, err := resource.Decode([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":` + operations + `}`))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := groupType.Changes(body, profile)
	if err != nil {
		return nil, nil, nil, err
	}
	m := newMembership(profile)
	for _, change := range changes {
		if err := m.apply(change); err != nil {
			return nil, nil, nil, err
		}
	}
	var edit lifecycle.TeamEdit
	m.edit(&edit)
	named := func(list []core.ID) []string {
		var found []string
		for _, name := range []string{"a", "b", "c"} {
			for _, id := range list {
				if id == ids[name] {
					found = append(found, name)
				}
			}
		}
		return found
	}
	if edit.Replace != nil {
		replace = new(named(*edit.Replace))
	}
	return named(edit.Add), named(edit.Remove), replace, nil
}

func TestMembers(t *testing.T) {
	ids := map[string]core.ID{"a": core.NewID(), "b": core.NewID(), "c": core.NewID()}
	only := func(names ...string) *[]string { return &names }
	none := new([]string)
	for name, test := range map[string]struct {
		operations  string
		add, remove []string
		replace     *[]string
		rules       []resource.Rule
	}{
		"add":                   {operations: `[{"op":"add","path":"members","value":[{"value":"{a}"},{"value":"{b}","display":"B","type":"User","$ref":"x"}]}]`, add: []string{"a", "b"}},
		"add without a path":    {operations: `[{"op":"add","value":{"members":[{"value":"{a}"}]}}]`, add: []string{"a"}},
		"remove":                {operations: `[{"op":"remove","path":"members[value eq \"{a}\"]"}]`, remove: []string{"a"}},
		"remove several":        {operations: `[{"op":"remove","path":"members[value eq \"{a}\" or value eq \"{b}\"]"}]`, remove: []string{"a", "b"}},
		"remove all":            {operations: `[{"op":"remove","path":"members"}]`, replace: none},
		"replace":               {operations: `[{"op":"replace","path":"members","value":[{"value":"{b}"}]}]`, replace: only("b")},
		"replace by nothing":    {operations: `[{"op":"replace","path":"members","value":[]}]`, replace: none},
		"the last word counts":  {operations: `[{"op":"add","path":"members","value":[{"value":"{a}"}]},{"op":"remove","path":"members[value eq \"{a}\"]"}]`, remove: []string{"a"}},
		"replace, then remove":  {operations: `[{"op":"replace","path":"members","value":[{"value":"{a}"},{"value":"{b}"}]},{"op":"remove","path":"members[value eq \"{a}\"]"},{"op":"add","path":"members","value":[{"value":"{c}"}]}]`, replace: only("b", "c")},
		"the schema's URN":      {operations: `[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group:members","value":[{"value":"{a}"}]}]`, add: []string{"a"}},
		"Entra adds":            {operations: `[{"op":"Add","path":"members","value":[{"$ref":null,"value":"{a}"}]}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleOperationCase, resource.RuleNullReference}},
		"Entra removes":         {operations: `[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"{a}"}]}]`, remove: []string{"a"}, rules: []resource.Rule{resource.RuleOperationCase, resource.RuleRemoveNamesValues, resource.RuleNullReference}},
		"removes nobody":        {operations: `[{"op":"remove","path":"members","value":[]}]`, rules: []resource.Rule{resource.RuleRemoveNamesValues}},
		"removes what is no id": {operations: `[{"op":"remove","path":"members","value":[{"value":"nobody"}]},{"op":"remove","path":"members[value eq \"nobody\"]"}]`, rules: []resource.Rule{resource.RuleRemoveNamesValues}},
		"the id alone":          {operations: `[{"op":"add","path":"members","value":["{a}"]}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleMemberString}},
		"one alone":             {operations: `[{"op":"add","path":"members","value":{"value":"{a}"}}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleMemberAlone}},
		"one id alone":          {operations: `[{"op":"remove","path":"members","value":"{a}"}]`, remove: []string{"a"}, rules: []resource.Rule{resource.RuleRemoveNamesValues, resource.RuleMemberAlone, resource.RuleMemberString}},
		"by $ref":               {operations: `[{"op":"add","path":"members","value":[{"$ref":"https://x/Users/{a}"}]}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleMemberReferenceOnly}},
		"displayName":           {operations: `[{"name":"addMember","op":"add","path":"members","value":[{"displayName":"A","value":"{a}"}]}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleOperationExtra, resource.RuleMemberDisplayName}},
		"added by a filter":     {operations: `[{"op":"add","path":"members[value eq \"{a}\"]"}]`, add: []string{"a"}, rules: []resource.Rule{resource.RuleMemberByFilter}},
		"null adds nobody":      {operations: `[{"op":"add","path":"members","value":null}]`, rules: []resource.Rule{resource.RuleNullRemoves}},
		"nothing quoted":        {operations: `[{"op":"remove","path":"members[value eq {a}]"}]`, remove: []string{"a"}, rules: []resource.Rule{resource.RuleBareValue}},
		"quoted singly":         {operations: `[{"op":"remove","path":"members[value eq '{a}']"}]`, remove: []string{"a"}, rules: []resource.Rule{resource.RuleBareValue}},
	} {
		t.Run(name, func(t *testing.T) {
			profile := resource.Profile{BareValues: true, Rules: &resource.Rules{}}
			add, remove, replace, err := membersOf(t, test.operations, profile, ids)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]any{test.add, test.remove, test.replace, test.rules}, []any{add, remove, replace, profile.Rules.List()}); diff != "" {
				t.Fatal(diff)
			}
			_, _, _, err = membersOf(t, test.operations, resource.Profile{Strict: true}, ids)
			if refused := core.KindOf(err) == core.KindInvalid; refused != (len(test.rules) > 0) {
				t.Fatalf("strictly it is %v", err)
			}
		})
	}
	for operations, code := range map[string]string{
		`[{"op":"add","path":"members","value":[{"value":"nobody"}]}]`:                  "invalidValue",
		`[{"op":"add","path":"members","value":[{}]}]`:                                  "invalidValue",
		`[{"op":"add","path":"members","value":[7]}]`:                                   "invalidValue",
		`[{"op":"add","path":"members","value":[{"value":"{a}","type":"Group"}]}]`:      "invalidValue",
		`[{"op":"replace","path":"members[value eq \"{a}\"].value","value":"{b}"}]`:     "mutability",
		`[{"op":"replace","path":"members[value eq \"{a}\"]","value":{"value":"{b}"}}]`: "invalidPath",
		`[{"op":"remove","path":"members[display eq \"A\"]"}]`:                          "invalidFilter",
		`[{"op":"remove","path":"members[value eq \"{a}\" and type eq \"User\"]"}]`:     "invalidFilter",
	} {
		if _, _, _, err := membersOf(t, operations, resource.Profile{}, ids); core.KindOf(err) != core.KindInvalid || core.AsError(err).Code != code {
			t.Errorf("%s: %v", operations, err)
		}
	}
}

// BenchmarkMembers reads 10,000 members added at once, and 10,000 removed by an operation each.
func BenchmarkMembers(b *testing.B) {
	var added, removed strings.Builder
	for i := range 10_000 {
		if i > 0 {
			added.WriteByte(',')
			removed.WriteByte(',')
		}
		id := core.NewID()
		fmt.Fprintf(&added, `{"value":"%s"}`, id)
		fmt.Fprintf(&removed, `{"op":"remove","path":"members[value eq \"%s\"]"}`, id)
	}
	for name, operations := range map[string]string{
		"add":    `[{"op":"add","path":"members","value":[` + added.String() + `]}]`,
		"remove": `[` + removed.String() + `]`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := membersOf(b, operations, resource.Profile{}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
