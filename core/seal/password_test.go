package seal_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/core/seal"
)

func classes(password string) (lower, upper, digits, symbols int) {
	for _, c := range password {
		switch {
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= '0' && c <= '9':
			digits++
		default:
			symbols++
		}
	}
	return
}

func TestDefaultPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		password := seal.GeneratePassword(seal.PasswordPolicy{}).Reveal()
		lower, upper, digits, symbols := classes(password)
		if len(password) != seal.DefaultPasswordLength || min(lower, upper, digits, symbols) < 2 {
			t.Fatalf("%q does not fit the default policy", password)
		}
		if strings.ContainsAny(password, "<>&\"'`\\$%+# 0O1lI") {
			t.Fatalf("%q is not safe to type or to post", password)
		}
		if strings.ContainsAny(password[:1]+password[len(password)-1:], seal.DefaultSymbols) {
			t.Fatalf("%q begins or ends with a symbol", password)
		}
		if seen[password] {
			t.Fatal("a password came twice")
		}
		seen[password] = true
	}
}

func TestPasswordFitsItsPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := seal.PasswordPolicy{
			Length:         rapid.IntRange(-5, 300).Draw(t, "length"),
			Classes:        seal.Classes(rapid.Byte().Draw(t, "classes")),
			AllowedSymbols: rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("!?#ab0ü ")))).Draw(t, "symbols"),
		}
		password := seal.GeneratePassword(policy).Reveal()
		want := policy.Length
		if want == 0 {
			want = seal.DefaultPasswordLength
		}
		want = min(max(want, seal.MinPasswordLength), seal.MaxPasswordLength)
		if len(password) != want {
			t.Fatalf("%q has %d characters, not %d", password, len(password), want)
		}
		lower, upper, digits, symbols := classes(password)
		chosen := policy.Classes & seal.AllClasses
		if chosen == 0 {
			chosen = seal.AllClasses
		}
		if chosen == seal.Symbols {
			return // with no symbol left it falls back to letters and digits
		}
		for class, count := range map[seal.Classes]int{seal.Lower: lower, seal.Upper: upper, seal.Digits: digits} {
			if (chosen&class != 0) != (count > 0) {
				t.Fatalf("%q does not fit %+v", password, policy)
			}
		}
		allowed := seal.DefaultSymbols
		if policy.AllowedSymbols != "" {
			allowed = policy.AllowedSymbols
		}
		if symbols > 0 && chosen&seal.Symbols == 0 {
			t.Fatalf("%q has symbols against %+v", password, policy)
		}
		for _, c := range password {
			if c >= 0x7f || c <= ' ' || (symbolOf(c) && !strings.ContainsRune(allowed, c)) {
				t.Fatalf("%q holds %q against %+v", password, c, policy)
			}
		}
	})
}

func symbolOf(c rune) bool {
	_, _, _, symbols := classes(string(c))
	return symbols > 0
}

// Every character of a class is equally likely in the inner places: a biased draw (a byte modulo
// the alphabet) would be off by up to a fourth and fail by far.
func TestPasswordsAreUnbiased(t *testing.T) {
	count := map[byte]int{}
	total := 0
	for range 10_000 {
		password := seal.GeneratePassword(seal.PasswordPolicy{Length: 26, Classes: seal.Lower | seal.Digits}).Reveal()
		for _, c := range []byte(password[1 : len(password)-1]) {
			count[c]++
			total++
		}
	}
	mean := float64(total) / float64(len(count))
	if len(count) != 25+8 {
		t.Fatalf("%d different characters", len(count))
	}
	for c, n := range count {
		if share := float64(n) / mean; share < 0.93 || share > 1.07 {
			t.Errorf("%q came %.3f times as often as it should", c, share)
		}
	}
}

func TestTokens(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		token := seal.NewToken("pst_scim").Reveal()
		if len(token) != len("pst_scim_")+43 || !strings.HasPrefix(token, "pst_scim_") || strings.ContainsAny(token[9:], "-_=+/") {
			t.Fatalf("%q has another form", token)
		}
		if seen[token] {
			t.Fatal("a token came twice")
		}
		seen[token] = true
	}
	if token := seal.NewToken("pst_api_").Reveal(); !strings.HasPrefix(token, "pst_api_") || strings.HasPrefix(token, "pst_api__") {
		t.Errorf("%q has another prefix", token)
	}
	if got := seal.HashToken("a"); len(got) != 32 || string(got) == string(seal.HashToken("b")) {
		t.Error("tokens' hashes are wrong")
	}
}
