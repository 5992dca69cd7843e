package resource_test

import (
	"strings"
	"testing"

	"postern/scim/resource"
)

// profiles are those a body is read with, by a number the fuzzer draws.
func profiles(number uint8) resource.Profile {
	p := resource.Profile{Name: resource.Generic, BareValues: true, Rules: &resource.Rules{}}
	switch number % 4 {
	case 1:
		p.ReplaceCreates = true
	case 2:
		p.Guessed = true
	case 3:
		p.BareValues, p.Strict = false, true
	}
	return p
}

// FuzzDecode holds that no body breaks decoding, and that what was decoded writes and reads back the
// same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":[1,{"b":null}],"C":"\u00e9"}`, `{"a":1,"A":2}`, `{"a":1e400}`, `{"a":-0.0e-5}`, strings.Repeat(`[`, 40), `{"a":"\ud83d\ude00"} `,
		strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32), "{\"a\":\"\xff\"}", `{"a":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := resource.Decode(body)
		if err != nil {
			return
		}
		text := o.Append(nil)
		again, err := resource.Decode(text)
		if err != nil || !resource.Equal(o, again) {
			t.Fatalf("%q became %q: %v", body, text, err)
		}
		written := resource.Written(text)
		written.Set("postern", "x")
		o.Set("postern", "x")
		if !resource.Equal(o, written) {
			t.Fatalf("%q with a member more is %q", body, written.Append(nil))
		}
	})
}

// FuzzNormalise holds that no resource breaks reading, that one read once reads the same again and
// needs no correction, and that what needed none is taken strictly too.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana","name":{"givenName":"A"},"emails":[{"value":"a@x","type":"work","primary":true}],"active":true}`,
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"userName":7,"active":"True","` + ent + `":{"manager":[{"$ref":null,"value":"u1"}],"department":null}}`,
		`{"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0User":{"manager":"u"},"department":"D","name.givenName":"G","emails[type eq \"work\"].value":"w@x"}`,
		`{"userName":"a","roles":[{"value":"{\"id\":\"1\",\"value\":\"25\",\"displayName\":\"R\"}"},"x"],"emails":["a@x",{"primary":"True"},{"primary":true}],"shoe":{"size":[1,null]}}`,
		`{"urn:ietf:params:scim:schemas:core:2.0:User":{"title":["T"]},"urn:a:b":{"c":1},"urn:ietf:params:scim:schemas:core:2.0:User:userName":{"value":"x"},"password":"p"}`,
	} {
		for number := range uint8(4) {
			f.Add([]byte(seed), number)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, number uint8) {
		sent, err := resource.Decode(body)
		if err != nil {
			return
		}
		before := sent.Append(nil)
		for _, kind := range []*resource.Type{users, groups} {
			profile := profiles(number)
			kept, err := kind.Normalise(sent, profile)
			if string(sent.Append(nil)) != string(before) {
				t.Fatalf("%s was changed", before)
			}
			if err != nil {
				continue
			}
			rules := profile.Rules.List()
			if profile.Strict && len(rules) > 0 {
				t.Fatalf("%s was read strictly with %v", body, rules)
			}
			if strict := profiles(3); len(rules) == 0 {
				if _, err := kind.Normalise(sent, strict); err != nil {
					t.Fatalf("%s needs no rule, and strictly is %v", body, err)
				}
			}
			mustSettle(t, kind, body, kept)
		}
	})
}

// mustSettle holds that a resource is in the form that is kept: it reads back, and reading it as if it
// had been sent changes nothing.
func mustSettle(t *testing.T, kind *resource.Type, body []byte, kept *resource.Object) {
	t.Helper()
	if kept.Check() != nil {
		return // it is refused before it is kept
	}
	text := kept.Append(nil)
	again, err := resource.Decode(text)
	if err != nil || !resource.Equal(kept, again) {
		t.Fatalf("%s leaves %s: %v", body, text, err)
	}
	profile := profiles(1)
	twice, err := kind.Normalise(again, profile)
	if err != nil || !resource.Equal(kept, twice) {
		t.Fatalf("%s leaves %s, and again %s: %v (%v)", body, text, twice.Append(nil), err, profile.Rules.List())
	}
}

// FuzzPatch holds that no body breaks PATCH, that changes can be applied again with the same end, that
// what is left is a resource, and that what needed no rule is taken strictly too.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`,
		`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b@x"},{"op":"Remove","path":"manager","value":"u"}]}`,
		`{"Operations":[{"op":"add","value":{"name.givenName":"A","` + ent + `:department":7,"x[y eq 1]":{"z":[null]}}}]}`,
		`{"Operations":[{"op":"add","path":"roles[primary eq \"True\"].value","value":"{\"value\":\"1\"}"},{"op":"remove","path":"emails","value":[{"value":"a@x"}]}]}`,
		`{"operations":[{"OP":"REMOVE","path":"` + ent + `"},{"op":"add","path":"urn:a:b:User","value":{"c":{}}}]}`,
		`{"Operations":[{"op":"replace","path":"emails[type eq home and not (value pr)]","value":[{"value":"n@x"}]},{"op":"remove","path":"emails[value co \"x\"].display"}]}`,
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"emails","value":[{"value":"c@x","primary":true}]},{"op":"replace","path":"name","value":{"formatted":"F"}}]}`,
	} {
		for number := range uint8(4) {
			f.Add([]byte(seed), number)
		}
	}
	start := `{"userName":"ana","name":{"givenName":"A"},"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"h@x"}],"roles":[{"value":"1"}],"x":[1,{"y":2}],"` + ent + `":{"manager":{"value":"m"}}}`
	f.Fuzz(func(t *testing.T, body []byte, number uint8) {
		sent, err := resource.Decode(body)
		if err != nil {
			return
		}
		for _, kind := range []*resource.Type{users, groups} {
			profile := profiles(number)
			changes, err := kind.Changes(sent, profile)
			if err != nil {
				continue
			}
			document, err := kind.Normalise(decode(t, start), profiles(1))
			if err != nil {
				t.Fatal(err)
			}
			first, second := document.Clone(), document.Clone()
			if kind.Patch(first, changes, profile) != nil {
				first.Append(nil) // half changed, and whole enough to be looked at
				continue
			}
			rules := profile.Rules.List()
			if profile.Strict && len(rules) > 0 {
				t.Fatalf("%s was read strictly with %v", body, rules)
			}
			if err := kind.Patch(second, changes, profile); err != nil || !resource.Equal(first, second) {
				t.Fatalf("%s leaves %s, and then %s: %v", body, first.Append(nil), second.Append(nil), err)
			}
			if len(rules) == 0 {
				strict := profiles(3)
				changes, err := kind.Changes(sent, strict)
				if err == nil {
					err = kind.Patch(document, changes, strict)
				}
				if err != nil {
					t.Fatalf("%s needs no rule, and strictly is %v", body, err)
				}
			}
			mustSettle(t, kind, body, first)
		}
	})
}
