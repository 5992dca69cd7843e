package services_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/services"
)

func TestScopesAreWrittenInOneWay(t *testing.T) {
	id := "0198c7e2-1f00-7000-8000-000000000001"
	for _, text := range []string{"accounts:read", "accounts/" + id + ":read", "*:read", "accounts:*", "*:*", "service-accounts:write", "credentials/" + id + ":use"} {
		scope, err := services.ParseScope(text)
		if err != nil || scope.String() != text {
			t.Errorf("%s: %v, %v", text, scope, err)
		}
	}
	for _, text := range []string{
		"", ":", "read", "accounts", "accounts:", ":read", "accounts:read:write", "accounts: read", " accounts:read", "accounts:read\n", "Accounts:read", "accounts:READ",
		"*/" + id + ":read", "accounts/:read", "accounts/x:read", "accounts/" + strings.ToUpper(id) + ":read", "accounts/{" + id + "}:read", "accounts/" + id + "/x:read",
		"accounts/00000000-0000-0000-0000-000000000000:read", "**:read", "a*:read", "accounts:r*", "-a:read", "a-:read", "a--b:read", "ssf.read", "accounts:read\x00",
		strings.Repeat("a", 101) + ":read", "аccounts:read",
	} {
		if scope, err := services.ParseScope(text); err == nil || core.AsError(err).Code != "not_a_scope" {
			t.Errorf("%q is %v, %v", text, scope, err)
		}
	}
}

func scopes() *rapid.Generator[services.Scope] {
	ids := []core.ID{{}, core.NewID(), core.NewID()}
	return rapid.Custom(func(t *rapid.T) services.Scope {
		scope := services.Scope{Kind: rapid.SampledFrom([]string{"*", "accounts", "apps"}).Draw(t, "kind"), Verb: rapid.SampledFrom([]string{"*", "read", "write"}).Draw(t, "verb")}
		if scope.Kind != "*" {
			scope.ID = rapid.SampledFrom(ids).Draw(t, "id")
		}
		return scope
	})
}

// What a scope allows, one thing at a time: a verb on a resource of a kind. other stands for what no scope names.
func allowed(scope services.Scope, ids []core.ID) map[[3]string]bool {
	all := map[[3]string]bool{}
	for _, kind := range []string{"accounts", "apps", "other"} {
		for _, id := range ids {
			for _, verb := range []string{"read", "write", "other"} {
				if (scope.Kind == "*" || scope.Kind == kind) && (scope.ID.IsZero() || scope.ID == id) && (scope.Verb == "*" || scope.Verb == verb) {
					all[[3]string{kind, id.String(), verb}] = true
				}
			}
		}
	}
	return all
}

func TestCoversIsThatOneAllowsAllTheOtherDoes(t *testing.T) {
	any := scopes()
	rapid.Check(t, func(t *rapid.T) {
		one, other, third := any.Draw(t, "one"), any.Draw(t, "other"), any.Draw(t, "third")
		ids := []core.ID{one.ID, other.ID, core.NewID()}
		for i, id := range ids {
			if id.IsZero() {
				ids[i] = core.NewID()
			}
		}
		subset := true
		more := allowed(one, ids)
		for thing := range allowed(other, ids) {
			subset = subset && more[thing]
		}
		if one.Covers(other) != subset {
			t.Fatalf("%s covers %s: %v, but what it allows says %v", one, other, one.Covers(other), subset)
		}
		if !one.Covers(one) {
			t.Fatalf("%s does not cover itself", one)
		}
		if one.Covers(other) && other.Covers(one) && one != other {
			t.Fatalf("%s and %s cover each other", one, other)
		}
		if one.Covers(other) && other.Covers(third) && !one.Covers(third) {
			t.Fatalf("%s covers %s, that covers %s, but the first does not", one, other, third)
		}
		if again, err := services.ParseScope(one.String()); err != nil || again != one {
			t.Fatalf("%s is read as %v, %v", one, again, err)
		}
		if services.Allow([]string{"nonsense", one.String()}, other) != one.Covers(other) || services.Allow([]string{"nonsense"}, other) {
			t.Fatal("a list allows what none of it does, or less")
		}
	})
}

func FuzzParseScope(f *testing.F) {
	for _, text := range []string{"accounts:read", "*:*", "accounts/0198c7e2-1f00-7000-8000-000000000001:read", "a-b:c-d", "", ":", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := services.ParseScope(text)
		if err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		if scope.String() != text || !scope.Covers(scope) {
			t.Fatalf("%q is %s", text, scope)
		}
		if !(services.Scope{Kind: "*", Verb: "*"}).Covers(scope) {
			t.Fatalf("not everything covers %s", scope)
		}
	})
}
