package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/scim/filter"
)

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

func comparison(name, sub string, operator filter.Operator, kind filter.Kind, text string) filter.Comparison {
	return filter.Comparison{Path: filter.Path{Name: name, Sub: sub}, Operator: operator, Value: filter.Value{Kind: kind, Text: text}}
}

func TestParse(t *testing.T) {
	userName := comparison("userName", "", filter.Equal, filter.String, "ana")
	title := filter.Comparison{Path: filter.Path{Name: "title"}, Operator: filter.Present}
	active := comparison("active", "", filter.Equal, filter.Boolean, "true")
	typed := func(kind string) filter.Expression {
		return comparison("type", "", filter.Equal, filter.String, kind)
	}
	for text, want := range map[string]filter.Expression{
		`userName eq "ana"`:                           userName,
		`  userName  EQ  "ana" `:                      userName,
		`title pr`:                                    title,
		`(title pr)`:                                  title,
		`( ( title pr ) )`:                            title,
		`active eq True`:                              active,
		`name.familyName co "O'Malley"`:               comparison("name", "familyName", filter.Contains, filter.String, "O'Malley"),
		`userName sw "J\"\u00e9\\"`:                   comparison("userName", "", filter.StartsWith, filter.String, `J"é\`),
		`displayName eq "a ) ] and b"`:                comparison("displayName", "", filter.Equal, filter.String, "a ) ] and b"),
		`manager eq null`:                             comparison("manager", "", filter.Equal, filter.Null, "null"),
		`level ge -1.5e3`:                             comparison("level", "", filter.GreaterOrEqual, filter.Number, "-1.5e3"),
		`members.$ref eq "x"`:                         comparison("members", "$ref", filter.Equal, filter.String, "x"),
		`meta.lastModified gt "2011-05-13T04:42:34Z"`: comparison("meta", "lastModified", filter.Greater, filter.String, "2011-05-13T04:42:34Z"),
		enterprise + `:manager.value eq "u"`: filter.Comparison{
			Path: filter.Path{URN: enterprise, Name: "manager", Sub: "value"}, Operator: filter.Equal, Value: filter.Value{Kind: filter.String, Text: "u"},
		},
		`title pr and userName eq "ana" or active eq true`:    filter.Or{filter.And{title, userName}, active},
		`title pr or userName eq "ana" and active eq true`:    filter.Or{title, filter.And{userName, active}},
		`(title pr or userName eq "ana") and active eq true`:  filter.And{filter.Or{title, userName}, active},
		`title pr and userName eq "ana" and active eq true`:   filter.And{title, userName, active},
		`title pr and (userName eq "ana" and active eq true)`: filter.And{title, filter.And{userName, active}},
		`not (title pr) and userName eq "ana"`:                filter.And{filter.Not{title}, userName},
		`NOT(title pr)`:                                       filter.Not{title},
		`notes pr`:                                            filter.Comparison{Path: filter.Path{Name: "notes"}, Operator: filter.Present},
		`emails[type eq "work"]`:                              filter.Has{Path: filter.Path{Name: "emails", Filter: typed("work")}},
		`emails[ type eq "work" and not (type eq "home") ] and title pr`: filter.And{
			filter.Has{Path: filter.Path{Name: "emails", Filter: filter.And{typed("work"), filter.Not{typed("home")}}}}, title,
		},
		`emails[type eq "work"].value eq "ana"`: filter.Comparison{
			Path: filter.Path{Name: "emails", Filter: typed("work"), Sub: "value"}, Operator: filter.Equal, Value: filter.Value{Kind: filter.String, Text: "ana"},
		},
		`id eq "g" and members eq "u"`: filter.And{comparison("id", "", filter.Equal, filter.String, "g"), comparison("members", "", filter.Equal, filter.String, "u")},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := filter.Parse(text, filter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
			again, err := filter.Parse(got.String(), filter.Options{})
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if diff := cmp.Diff(want, again); diff != "" {
				t.Fatalf("%s: %s", got, diff)
			}
		})
	}
}

func TestParseBareValues(t *testing.T) {
	for text, want := range map[string]filter.Comparison{
		`externalId eq jyoung`:                               comparison("externalId", "", filter.Equal, filter.String, "jyoung"),
		`externalId eq 7f4bc1a3-285e-48ae-8202-5accb43efb0e`: comparison("externalId", "", filter.Equal, filter.String, "7f4bc1a3-285e-48ae-8202-5accb43efb0e"),
		`userName eq 'ana b'`:                                comparison("userName", "", filter.Equal, filter.String, "ana b"),
		`userName eq ana@example.com`:                        comparison("userName", "", filter.Equal, filter.String, "ana@example.com"),
	} {
		got, err := filter.Parse(text, filter.Options{BareValues: true})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(filter.Expression(want), got); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		if _, err := filter.Parse(text, filter.Options{}); err == nil {
			t.Fatalf("%s: accepted without the option", text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  ``,
		"spaces":                   `   `,
		"attribute alone":          `userName`,
		"no value":                 `userName eq`,
		"no value after a space":   `userName eq `,
		"unknown operator":         `userName is "ana"`,
		"operator cut":             `userName e "ana"`,
		"operator too long":        `userName equals "ana"`,
		"value glued":              `userName eq"ana"`,
		"string open":              `userName eq "ana`,
		"escape unknown":           `userName eq "a\q"`,
		"escape at the end":        `userName eq "a\`,
		"lone surrogate":           `userName eq "\ud800"`,
		"control character":        "userName eq \"a\nb\"",
		"invalid UTF-8":            "userName eq \"\xff\"",
		"number like no JSON":      `level eq 01`,
		"bare":                     `userName eq ana`,
		"trailing word":            `title pr x`,
		"and without right":        `title pr and`,
		"and without left":         `and title pr`,
		"and glued":                `title pr andtitle pr`,
		"parenthesis open":         `(title pr`,
		"parenthesis extra":        `title pr)`,
		"parenthesis empty":        `()`,
		"not without parenthesis":  `not title pr`,
		"bracket open":             `emails[type eq "work"`,
		"bracket extra":            `emails]`,
		"bracket empty":            `emails[]`,
		"bracket in bracket":       `emails[type[value eq "x"] eq "work"]`,
		"bracket after sub":        `name.x[type eq "work"]`,
		"sub of sub":               `a.b.c eq "x"`,
		"empty sub":                `emails[type eq "work"]. eq "x"`,
		"dot at the end":           `emails. eq "x"`,
		"name begins with a digit": `1a eq "x"`,
		"no URN":                   `foo:bar eq "x"`,
		"colon at the end":         `urn:a:b: eq "x"`,
		"too deep":                 strings.Repeat("(", 33) + `title pr` + strings.Repeat(")", 33),
		"far too deep":             strings.Repeat("(", 16000),
		"too deep by not":          strings.Repeat("not (", 3000),
		"too long":                 `userName eq "` + strings.Repeat("a", filter.MaxLength) + `"`,
		"zero byte in a name":      "user\x00Name eq \"a\"",
		"SQL":                      `userName eq "a" or 1=1; drop table users`,
	} {
		_, err := filter.Parse(text, filter.Options{})
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if _, ok := errors.AsType[*filter.SyntaxError](err); !ok {
			t.Errorf("%s: %T", name, err)
		}
	}
}

func TestParseKeepsWithinTheLimits(t *testing.T) {
	deep := strings.Repeat("(", 32) + `title pr` + strings.Repeat(")", 32)
	if _, err := filter.Parse(deep, filter.Options{}); err != nil {
		t.Fatal(err)
	}
	long := `title pr` + strings.Repeat(` or title pr`, 1300)
	if _, err := filter.Parse(long, filter.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestParsePath(t *testing.T) {
	for text, want := range map[string]filter.Path{
		`active`:                         {Name: "active"},
		`name.givenName`:                 {Name: "name", Sub: "givenName"},
		enterprise + `:manager`:          {URN: enterprise, Name: "manager"},
		enterprise + `:manager.value`:    {URN: enterprise, Name: "manager", Sub: "value"},
		`members[value eq "u"]`:          {Name: "members", Filter: comparison("value", "", filter.Equal, filter.String, "u")},
		`emails[type eq "work"].value`:   {Name: "emails", Filter: comparison("type", "", filter.Equal, filter.String, "work"), Sub: "value"},
		`roles[primary eq "True"].value`: {Name: "roles", Filter: comparison("primary", "", filter.Equal, filter.String, "True"), Sub: "value"},
		`urn:ietf:params:scim:schemas:core:2.0:User:emails[type eq "work"].value`: {
			URN: "urn:ietf:params:scim:schemas:core:2.0:User", Name: "emails", Filter: comparison("type", "", filter.Equal, filter.String, "work"), Sub: "value",
		},
	} {
		got, err := filter.ParsePath(text, filter.Options{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		if got.String() != text {
			t.Fatalf("%s reads back as %s", text, got)
		}
	}
	for _, text := range []string{``, ` active`, `active `, `a.b.c`, `.a`, `a.`, `emails[`, `emails[type]`, `emails[type eq "work"]x`, `emails[type eq "work"].`, `emails[type eq "work"].a.b`, `a b`, `a[b pr][c pr]`, `/userName`, "a\xff"} {
		if _, err := filter.ParsePath(text, filter.Options{}); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

func TestErrorsDoNotRepeatTheText(t *testing.T) {
	_, err := filter.Parse(`password eq hunter2`, filter.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("got %v", err)
	}
}

func TestPathIs(t *testing.T) {
	if !(filter.Path{Name: "USERNAME"}).Is("userName") || (filter.Path{Name: "name", Sub: "x"}).Is("name") || (filter.Path{URN: "urn:x", Name: "a"}).Is("a") {
		t.Fatal("Is compares the plain name without regard to case")
	}
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"userName":  `userName eq "test.user@okta.local"`,
		"valuePath": `emails[type eq "work"].value eq "ana@example.com"`,
		"complex":   `userType eq "Employee" and (emails co "example.com" or emails.value co "example.org") and not (meta.lastModified gt "2011-05-13T04:42:34Z")`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := filter.Parse(text, filter.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
