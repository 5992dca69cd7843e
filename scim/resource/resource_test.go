package resource_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/core"
	"postern/scim/filter"
	"postern/scim/resource"
)

func TestDecodeRefuses(t *testing.T) {
	large := strings.Builder{}
	for i := range 1001 {
		fmt.Fprintf(&large, `"a%d":1,`, i)
	}
	for name, body := range map[string]string{
		"nothing":                     ``,
		"space":                       `  `,
		"a list":                      `[]`,
		"a string":                    `"x"`,
		"cut":                         `{"a":`,
		"cut in a string":             `{"a":"b`,
		"garbage":                     `hello`,
		"garbage after":               `{"a":1} x`,
		"another object after":        `{"a":1}{"b":2}`,
		"trailing comma":              `{"a":1,}`,
		"single quotes":               `{'a':1}`,
		"comment":                     `{"a":1/*x*/}`,
		"duplicate":                   `{"a":1,"a":2}`,
		"duplicate in another case":   `{"userName":"a","USERNAME":"b"}`,
		"duplicate deep down":         `{"a":[{"b":1,"b":2}]}`,
		"duplicate in a large object": `{` + strings.ReplaceAll(large.String(), `"a900":1,`, `"a1":1,`)[:5000] + `"a1":1}`,
		"more than a thousand":        `{` + strings.TrimSuffix(large.String(), ",") + `}`,
		"invalid UTF-8":               "{\"a\":\"\xff\"}",
		"invalid UTF-8 in a name":     "{\"\xff\":1}",
		"lone surrogate":              `{"a":"\ud800"}`,
		"zero character":              `{"a":"\u0000"}`,
		"zero character in a name":    `{"a\u0000":1}`,
		"control character":           "{\"a\":\"\x01\"}",
		"leading zero":                `{"a":01}`,
		"NaN":                         `{"a":NaN}`,
		"deep objects":                strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33),
		"deep lists":                  `{"a":` + strings.Repeat(`[`, 500_000),
		"byte order mark":             "\ufeff{}",
		"UTF-16":                      "{\x00\"\x00",
	} {
		_, err := resource.Decode([]byte(body))
		if classified := core.AsError(err); classified == nil || classified.Kind != core.KindInvalid || classified.Code != "invalidSyntax" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeRefusesNumbers(t *testing.T) {
	for _, number := range []string{
		"1e999999", "1e400", "-1e400", "1e63", "1e-63", "1e-9999999", "0e99999999999999999999", strings.Repeat("1", 65), "0." + strings.Repeat("3", 63), "1e+9223372036854775808",
	} {
		_, err := resource.Decode([]byte(`{"a":[` + number + `]}`))
		if classified := core.AsError(err); classified == nil || classified.Kind != core.KindInvalid || classified.Code != "invalidValue" {
			t.Errorf("%s: %v", number, err)
		}
	}
}

func TestDecodeAndAppend(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"b":1,"a":[1,2.50,-0,1e5,{"x":null},[],{}],"c":"\"\\ é 漢 😀","d":true,"e":false}`,
		strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32),
	} {
		if got := string(decode(t, text).Append(nil)); got != text {
			t.Errorf("%s reads back as %s", text, got)
		}
	}
}

func TestNormalise(t *testing.T) {
	for name, test := range map[string]struct{ sent, want string }{
		"Okta": {
			`{"schemas":["x"],"userName":"ana","name":{"givenName":"Ana","familyName":"B"},"emails":[{"primary":true,"value":"a@x","type":"work"}],"externalId":"00u","groups":[],"password":"1mz050nq","active":true,"locale":"en-US"}`,
			`{"userName":"ana","name":{"givenName":"Ana","familyName":"B"},"emails":[{"primary":true,"value":"a@x","type":"work"}],"externalId":"00u","active":true,"locale":"en-US"}`,
		},
		"Entra": {
			`{"schemas":[],"externalId":"e","userName":"ana","active":true,"addresses":null,"displayName":"Ana","emails":[{"primary":"True","type":"work","value":"a@x"}],"meta":{"resourceType":"User"},"roles":[],"urn:ietf:params:scim:schemas:extension:enterprise:2.0User":{"department":"D","manager":"u1","division":null}}`,
			`{"externalId":"e","userName":"ana","active":true,"displayName":"Ana","emails":[{"primary":true,"type":"work","value":"a@x"}],"` + ent + `":{"department":"D","manager":{"value":"u1"}}}`,
		},
		"numbers for strings":         {`{"userName":7,"externalId":701984,"` + ent + `":{"employeeNumber":9}}`, `{"userName":"7","externalId":"701984","` + ent + `":{"employeeNumber":"9"}}`},
		"booleans as text":            {`{"active":"False"}`, `{"active":false}`},
		"extension without its URN":   {`{"department":"D"}`, `{"` + ent + `":{"department":"D"}}`},
		"URN with the attribute":      {`{"` + ent + `:department":"D","urn:ietf:params:scim:schemas:core:2.0:User:title":"T"}`, `{"` + ent + `":{"department":"D"},"title":"T"}`},
		"core URN around":             {`{"urn:ietf:params:scim:schemas:core:2.0:User":{"title":"T"}}`, `{"title":"T"}`},
		"unknown kept, nulls dropped": {`{"shoe":{"size":44,"lace":null},"urn:x:y":{"z":1},"n":null}`, `{"shoe":{"size":44},"urn:x:y":{"z":1}}`},
		"one object for a list":       {`{"emails":{"value":"a@x"}}`, `{"emails":[{"value":"a@x"}]}`},
		"a string for an e-mail":      {`{"emails":["a@x"]}`, `{"emails":[{"value":"a@x"}]}`},
		"two primaries":               {`{"emails":[{"value":"a","primary":true},{"value":"b","primary":true}]}`, `{"emails":[{"value":"a","primary":true},{"value":"b","primary":false}]}`},
		"unknown sub-attribute":       {`{"name":{"givenName":"A","nick":"N","password":"hunter2"}}`, `{"name":{"givenName":"A","nick":"N"}}`},
		"names in their own spelling": {`{"USERNAME":"ana","Name":{"GIVENNAME":"A"}}`, `{"userName":"ana","name":{"givenName":"A"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := users.Normalise(decode(t, test.sent), entra)
			if err != nil {
				t.Fatal(err)
			}
			if !resource.Equal(got, decode(t, test.want)) {
				t.Fatalf("got  %s\nwant %s", got.Append(nil), test.want)
			}
			again, err := users.Normalise(got, entra)
			if err != nil || !resource.Equal(got, again) {
				t.Fatalf("twice %s, %v", again.Append(nil), err)
			}
		})
	}
	for _, sent := range []string{
		`{"active":"maybe"}`, `{"active":1}`, `{"userName":{}}`, `{"userName":true}`, `{"name":"Ana"}`, `{"emails":[1]}`, `{"title":["a","b"]}`, `{"` + ent + `":"x"}`,
	} {
		if _, err := users.Normalise(decode(t, sent), entra); core.KindOf(err) != core.KindInvalid || core.AsError(err).Code != "invalidValue" {
			t.Errorf("%s: %v", sent, err)
		}
	}
}

func TestMatches(t *testing.T) {
	o := decode(t, `{"id":"u1","externalId":"Ext","userName":"Ana","active":true,"title":"","emails":[{"type":"work","value":"Ana@x","primary":true},{"type":"home","value":"h@y"}],
		"meta":{"created":"2026-01-02T03:04:05Z"},"level":5,"`+ent+`":{"department":"D","manager":{"value":"m1"}}}`)
	for text, want := range map[string]bool{
		`userName eq "ANA"`: true, `userName ne "ana"`: false, `userName co "N"`: true, `userName sw "a"`: true, `userName ew "A"`: true, `userName sw "n"`: false,
		`externalId eq "Ext"`: true, `externalId eq "ext"`: false, `id eq "u1"`: true,
		`active eq true`: true, `active eq "True"`: true, `active eq false`: false, `active gt false`: false,
		`title pr`: false, `nickName pr`: false, `userName pr`: true, `emails pr`: true, `nickName eq null`: true, `nickName ne "x"`: true, `userName eq null`: false, `userName ne null`: true,
		`emails eq "ana@x"`: true, `emails.value eq "h@y"`: true, `emails[type eq "work"].value eq "ana@x"`: true, `emails[type eq "work"].value eq "h@y"`: false,
		`emails[type eq "home" and value co "@y"]`: true, `emails[type eq "home" and primary eq true]`: false, `not (emails[type eq "fax"])`: true,
		ent + `:department eq "d"`: true, `department eq "d"`: true, `manager eq "m1"`: true, ent + `:manager.value eq "m1"`: true, `manager eq "m2"`: false,
		`meta.created gt "2026-01-02T04:04:04+01:00"`: true, `meta.created lt "2026-01-02T04:04:04+01:00"`: false,
		`level eq 5.0`: true, `level gt 4`: true, `level le 4`: false, `level eq "5"`: true,
		`userName eq "ana" and (title pr or active eq true)`: true, `urn:x:y:z eq "a"`: false,
	} {
		e, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := users.Matches(e, o); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestProjection(t *testing.T) {
	whole := `{"schemas":["s"],"id":"u1","userName":"ana","name":{"givenName":"A","familyName":"B"},"emails":[{"value":"a@x","type":"work"}],"shoe":44,"` + ent + `":{"department":"D","division":"V"},"meta":{"version":"1","location":"l"}}`
	for name, test := range map[string]struct{ attributes, excluded, want string }{
		"all":                    {"", "", whole},
		"one":                    {"userName", "", `{"schemas":["s"],"id":"u1","userName":"ana"}`},
		"spaces, case, URN":      {" USERNAME , urn:ietf:params:scim:schemas:core:2.0:User:shoe", "", `{"schemas":["s"],"id":"u1","userName":"ana","shoe":44}`},
		"sub-attributes":         {"name.givenName,emails.value,meta.version", "", `{"schemas":["s"],"id":"u1","name":{"givenName":"A"},"emails":[{"value":"a@x"}],"meta":{"version":"1"}}`},
		"sub-attribute and all":  {"name.givenName,name", "", `{"schemas":["s"],"id":"u1","name":{"givenName":"A","familyName":"B"}}`},
		"extension":              {ent, "", `{"schemas":["s"],"id":"u1","` + ent + `":{"department":"D","division":"V"}}`},
		"in an extension":        {ent + ":department", "", `{"schemas":["s"],"id":"u1","` + ent + `":{"department":"D"}}`},
		"in one without the URN": {"department", "", `{"schemas":["s"],"id":"u1","` + ent + `":{"department":"D"}}`},
		"what does not exist":    {"nonsense,[", "", `{"schemas":["s"],"id":"u1"}`},
		"excluded":               {"", "emails,shoe,name.familyName," + ent + ":division", `{"schemas":["s"],"id":"u1","userName":"ana","name":{"givenName":"A"},"` + ent + `":{"department":"D"},"meta":{"version":"1","location":"l"}}`},
		"excluded extension":     {"", ent + ",meta,emails,shoe,name", `{"schemas":["s"],"id":"u1","userName":"ana"}`},
		"id cannot be excluded":  {"", "id,schemas,name,emails,shoe,meta,userName," + ent, `{"schemas":["s"],"id":"u1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := users.Projection(test.attributes, test.excluded).Apply(decode(t, whole))
			if !resource.Equal(got, decode(t, test.want)) {
				t.Fatalf("got  %s\nwant %s", got.Append(nil), test.want)
			}
		})
	}
	if users.Projection("", "").Wants("groups") || !users.Projection("groups.value", "").Wants("groups") {
		t.Error("groups are returned when asked for")
	}
	if !groups.Projection("", "").Wants("members") || groups.Projection("", "members").Wants("members") || groups.Projection("displayName", "").Wants("members") {
		t.Error("members are returned unless excluded")
	}
}
