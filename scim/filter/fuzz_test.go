package filter_test

import (
	"reflect"
	"strings"
	"testing"

	"postern/scim/filter"
)

// FuzzParse holds that no text breaks the parser and that what it accepted prints as a filter that
// reads back the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`userName eq "ana"`, `externalId eq jyoung`, `emails[type eq "work"].value eq "a"`, `id eq "g" and members eq "u"`,
		`not (a pr) or b ne null and (c gt 1.5e-3)`, enterprise + `:manager.value eq 'x'`, `emails[type eq "work" and not (value co "@x")]`,
		strings.Repeat("(", 40), strings.Repeat("a pr or ", 200) + "a pr", strings.Repeat("not (", 33), `a eq "` + strings.Repeat(`\\`, 99) + `"`,
		`emails[type eq "work" and value co "@x"]`, `urn:x:y:User:a.b le -1.5e-2`, `roles[primary eq "True"].value pr`, `meta.lastModified ge "2026-01-01T00:00:00Z"`,
		`members[value eq "x" or $ref ew "y"]`, `a eq 'it' and b pr`, `a[b pr].c[d pr]`, `a eq 1e999`, `a eq "\ud800"`, "a\x00 pr", `a eq "\ud83d\ude00"`, `a[`, `not (`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, bare bool) {
		first, err := filter.Parse(text, filter.Options{BareValues: bare})
		if err != nil {
			return
		}
		printed := first.String()
		if len(printed) > filter.MaxLength {
			return // escapes may make the print longer than what may be read
		}
		second, err := filter.Parse(printed, filter.Options{})
		if err != nil {
			t.Fatalf("%q printed as %q: %v", text, printed, err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q printed as %q", text, printed)
		}
	})
}

// FuzzParsePath is FuzzParse for paths.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		`active`, `name.givenName`, `members[value eq "u"]`, `emails[type eq "work"].value`, `roles[primary eq "True"].value`,
		enterprise + `:manager.value`, enterprise, `addresses[type eq work].$ref`, `a[`, `a]`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, bare bool) {
		first, err := filter.ParsePath(text, filter.Options{BareValues: bare})
		if err != nil {
			return
		}
		printed := first.String()
		if len(printed) > filter.MaxLength {
			return
		}
		second, err := filter.ParsePath(printed, filter.Options{})
		if err != nil {
			t.Fatalf("%q printed as %q: %v", text, printed, err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q printed as %q", text, printed)
		}
	})
}
