package resource_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/scim/resource"
)

// Two other engines apply the same requests to the same documents, where the RFC says clearly what
// comes out: npm's scim-patch and scimmy. The shapes in which one of them decides differently are
// listed with the sentence of RFC 7644 that decides for us; each is shown to differ still.

type step struct{ shape, operation string }

const (
	merges    = `3.5.2.3: "a set of sub-attributes SHALL be specified in the value parameter that replaces any existing values or adds where an attribute did not previously exist": what is not mentioned stays`
	onlyOne   = `3.5.2: "a PATCH operation that sets a value's primary sub-attribute to true SHALL cause the server to automatically set primary to false for any other values in the array"`
	sameNames = `RFC 7643, 2.1: "Attribute names are case insensitive"`
)

var differences = map[string]map[string]string{
	"scim-patch": {"the second primary": onlyOne, "names in another case": sameNames},
	"scimmy":     {"replace a complex attribute": merges, "the second primary": onlyOne, "names in another case": sameNames},
}

// draw makes a person and what happens to them.
func draw(random *rand.Rand) (document string, steps []step) {
	word := func() string { return fmt.Sprintf("w%d", random.IntN(1000)) }
	types := []string{"work", "home", "other"}
	var emails []string
	for _, kind := range types[:1+random.IntN(2)] {
		emails = append(emails, fmt.Sprintf(`{"value":"%s@x","type":"%s"}`, word(), kind))
	}
	document = fmt.Sprintf(`{"schemas":[%s,"%s"],"userName":"ana","title":"%s","active":true,"name":{"givenName":"%s","familyName":"B"},"emails":[%s],"%s":{"department":"%s","division":"V"}}`,
		userURN, ent, word(), word(), strings.Join(emails, ","), ent, word())
	makers := []func() step{
		func() step {
			return step{"add a new attribute", `{"op":"add","path":"nickName","value":"` + word() + `"}`}
		},
		func() step {
			return step{"replace an attribute", `{"op":"replace","path":"title","value":"` + word() + `"}`}
		},
		func() step {
			return step{"replace an absent attribute", `{"op":"replace","path":"userType","value":"` + word() + `"}`}
		},
		func() step { return step{"replace a boolean", `{"op":"replace","path":"active","value":false}`} },
		func() step { return step{"remove an attribute", `{"op":"remove","path":"title"}`} },
		func() step {
			return step{"replace a sub-attribute", `{"op":"replace","path":"name.givenName","value":"` + word() + `"}`}
		},
		func() step {
			return step{"add a sub-attribute", `{"op":"add","path":"name.middleName","value":"` + word() + `"}`}
		},
		func() step { return step{"remove a sub-attribute", `{"op":"remove","path":"name.familyName"}`} },
		func() step {
			return step{"add a complex attribute", `{"op":"add","path":"name","value":{"formatted":"` + word() + `"}}`}
		},
		func() step {
			return step{"replace a complex attribute", `{"op":"replace","path":"name","value":{"formatted":"` + word() + `"}}`}
		},
		func() step {
			return step{"add to a list", `{"op":"add","path":"emails","value":[{"value":"` + word() + `@new","type":"other"}]}`}
		},
		func() step {
			return step{"replace a list", `{"op":"replace","path":"emails","value":[{"value":"` + word() + `@x","type":"work"}]}`}
		},
		func() step {
			return step{"remove a list", `{"op":"remove","path":"emails"},{"op":"add","path":"emails","value":[{"value":"` + word() + `@x","type":"work"}]}`}
		},
		func() step {
			return step{"replace inside a value", `{"op":"replace","path":"emails[type eq \"work\"].value","value":"` + word() + `@x"}`}
		},
		func() step {
			return step{"add inside a value", `{"op":"add","path":"emails[type eq \"work\"].display","value":"` + word() + `"}`}
		},
		func() step {
			return step{"remove a value", `{"op":"add","path":"phoneNumbers","value":[{"value":"1","type":"fax"},{"value":"2","type":"work"}]},{"op":"remove","path":"phoneNumbers[type eq \"fax\"]"},{"op":"remove","path":"phoneNumbers"}`}
		},
		func() step {
			return step{"replace without a path", `{"op":"replace","value":{"displayName":"` + word() + `","locale":"en-US"}}`}
		},
		func() step {
			return step{"add without a path", `{"op":"add","value":{"nickName":"` + word() + `","emails":[{"value":"` + word() + `@more","type":"other"}]}}`}
		},
		func() step {
			return step{"replace in an extension", `{"op":"replace","path":"` + ent + `:department","value":"` + word() + `"}`}
		},
		func() step {
			return step{"add in an extension", `{"op":"add","path":"` + ent + `:costCenter","value":"` + word() + `"}`}
		},
		func() step { return step{"remove in an extension", `{"op":"remove","path":"` + ent + `:division"}`} },
		func() step {
			return step{"the second primary", `{"op":"add","path":"photos","value":[{"value":"https://x/1","type":"photo","primary":true}]},{"op":"add","path":"photos","value":[{"value":"https://x/2","type":"thumbnail","primary":true}]}`}
		},
		func() step {
			return step{"names in another case", `{"op":"replace","path":"TITLE","value":"` + word() + `"}`}
		},
	}
	for range 1 + random.IntN(3) {
		steps = append(steps, makers[random.IntN(len(makers))]())
	}
	return document, steps
}

func TestAgreesWithOtherEngines(t *testing.T) {
	folder := filepath.Join(partstest.Suites(t, "node_modules/scim-patch", "node_modules/scimmy"), "node_modules")
	random := rand.New(rand.NewPCG(7643, 7644))
	type made struct {
		document string
		steps    []step
	}
	cases := make([]made, 600)
	var input bytes.Buffer
	for i := range cases {
		cases[i].document, cases[i].steps = draw(random)
		fmt.Fprintf(&input, `{"document":%s,"operations":%s}`+"\n", cases[i].document, list(cases[i].steps))
	}
	node := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "differential", "peers.cjs"))
	node.Env = append(os.Environ(), "NODE_PATH="+folder)
	node.Stdin, node.Stderr = &input, os.Stderr
	output, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	if len(lines) != len(cases) {
		t.Fatalf("%d answers to %d requests", len(lines), len(cases))
	}
	differed := map[string]bool{}
	for i, one := range cases {
		var answers map[string]json.RawMessage
		if err := json.Unmarshal(lines[i], &answers); err != nil {
			t.Fatal(err)
		}
		ours, err := applied(t, one.document, list(one.steps))
		if err != nil {
			t.Fatalf("%s %s: %v", one.document, list(one.steps), err)
		}
		for engine, text := range answers {
			theirs, err := resource.Decode(text)
			for _, name := range []string{"schemas", "meta", "id"} {
				if err == nil {
					theirs.Delete(name)
				}
			}
			same := err == nil && resource.Equal(ours, theirs)
			known := false
			for _, s := range one.steps {
				if differences[engine][s.shape] != "" {
					known = true
					differed[engine+s.shape] = differed[engine+s.shape] || !same && len(one.steps) == 1
				}
			}
			if !same && !known {
				t.Errorf("%s: %s\n%s\nours   %s\ntheirs %s", engine, one.document, list(one.steps), ours.Append(nil), text)
			}
		}
	}
	for engine, shapes := range differences {
		for shape := range shapes {
			if !differed[engine+shape] {
				t.Errorf("%s no longer differs: %s", engine, shape)
			}
		}
	}
}

func list(steps []step) string {
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = s.operation
	}
	return "[" + strings.Join(texts, ",") + "]"
}

func applied(t testing.TB, document, steps string) (*resource.Object, error) {
	strict := resource.Profile{Strict: true}
	o, err := users.Normalise(decode(t, document), strict)
	if err != nil {
		return nil, err
	}
	changes, err := users.Changes(decode(t, `{`+patchURN+`,"Operations":`+steps+`}`), strict)
	if err != nil {
		return nil, err
	}
	return o, users.Patch(o, changes, strict)
}
