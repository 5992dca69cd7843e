package passwordrules_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/passwordrules"
	"postern/core/seal"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":               "",
		" ; ;":           "",
		"minlength: 20;": "minlength: 20",
		"MinLength: 8; maxlength: 16; minlength: 10; maxlength: 20":        "minlength: 10; maxlength: 16",
		"required: lower; required: upper; required: digit; allowed: [-_]": "required: lower; required: upper; required: digit; allowed: lower, upper, digit, [-_]",
		"required: lower, upper; max-consecutive: 2":                       "max-consecutive: 2; required: lower, upper",
		"required: digit; allowed: ascii-printable":                        "required: digit; allowed: ascii-printable",
		"allowed: unicode":                    "",
		"allowed: [abc;,:]]; minlength: 9":    "minlength: 9; allowed: [,:;abc]]",
		"required: [!#$]; allowed: lower":     "required: [!#$]; allowed: lower, [!#$]",
		"required: special; allowed: special": "required: special",
	} {
		rules, err := passwordrules.Parse(text)
		if err != nil || rules.String() != want {
			t.Errorf("%q: %q, want %q (%v)", text, rules.String(), want, err)
		}
		if again, err := passwordrules.Parse(rules.String()); err != nil || again.String() != want {
			t.Errorf("%q again: %q, %v", text, again.String(), err)
		}
	}
	for _, text := range []string{
		"minlength", "minlength:", "minlength: x", "minlength: -1", "minlength: 0", "maxlength: 99999", "length: 8", "required: letters", "allowed: [ab",
		"allowed: [äöü]", "minlength: 20; maxlength: 10", "required:,", strings.Repeat("minlength: 8;", 100), "required: [\xff]",
	} {
		if rules, err := passwordrules.Parse(text); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "password_rules" || !rules.IsZero() {
			t.Errorf("%q: %v, %v", text, rules, err)
		}
	}
}

func parse(t testing.TB, text string) passwordrules.Rules {
	t.Helper()
	rules, err := passwordrules.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return rules
}

func TestGenerate(t *testing.T) {
	for _, text := range []string{
		"", "minlength: 40", "maxlength: 8", "minlength: 12; maxlength: 12; required: lower; required: upper; required: digit; required: [!]",
		"allowed: digit", "allowed: lower; max-consecutive: 1", "required: [-]; required: [_]; required: [.]; required: [!]; required: [?]; allowed: lower; maxlength: 8",
		"required: special; allowed: lower, upper", "required: upper, lower; allowed: digit; max-consecutive: 2; maxlength: 9", "maxlength: 128; minlength: 128",
		"required: [<>&]; allowed: digit", "allowed: [O0l1Iabcdefgh]",
	} {
		rules := parse(t, text)
		for range 50 {
			made, err := rules.Generate(seal.PasswordPolicy{})
			if err != nil || !rules.Allows(made.Reveal()) {
				t.Fatalf("%q: %q, %v", text, made.Reveal(), err)
			}
		}
	}
	for _, text := range []string{"maxlength: 7", "allowed: [abc]", "minlength: 200", "required: lower; required: upper; required: [!]; required: [?]; required: [-]; required: [_]; required: [.]; required: [,]; required: digit; maxlength: 8", "allowed: [ab]; minlength: 128"} {
		if made, err := parse(t, text).Generate(seal.PasswordPolicy{}); core.KindOf(err) != core.KindConflict || !made.IsZero() {
			t.Errorf("%q: %v", text, err)
		}
	}
	// Nothing both allow.
	both := parse(t, "allowed: lower").And(parse(t, "allowed: digit"))
	if _, err := both.Generate(seal.PasswordPolicy{}); core.KindOf(err) != core.KindConflict || both.Allows("a") || both.Allows("aa") {
		t.Errorf("%s: %v", both, err)
	}
	// Without rules it is what seal makes.
	made, err := passwordrules.Rules{}.Generate(seal.PasswordPolicy{Length: 16, Classes: seal.Lower | seal.Digits})
	if text := made.Reveal(); err != nil || len(text) != 16 || strings.Trim(text, "abcdefghijkmnopqrstuvwxyz23456789") != "" {
		t.Errorf("%q, %v", text, err)
	}
	// Some apps want two digits, and say so only when they refuse.
	for range 500 {
		made, err := parse(t, "minlength: 8").Generate(seal.PasswordPolicy{})
		if digits := strings.Map(func(c rune) rune {
			if c < '0' || c > '9' {
				return -1
			}
			return c
		}, made.Reveal()); err != nil || len(digits) < 2 {
			t.Fatalf("%q, %v", made.Reveal(), err)
		}
	}
}

func TestAllows(t *testing.T) {
	rules := parse(t, "minlength: 4; maxlength: 6; max-consecutive: 2; required: digit; allowed: lower, [-]")
	for password, want := range map[string]bool{
		"ab1c": true, "aa1aa": true, "aaa1": false, "abcd": false, "ab1": false, "ab1cdef": false, "ab1-": true, "ab1_": false, "ab1ü": false, "AB12": false,
	} {
		if rules.Allows(password) != want {
			t.Errorf("%q: %t", password, !want)
		}
	}
	if !(passwordrules.Rules{}).Allows("pässword 😀") {
		t.Error("without rules everything is allowed")
	}
}

func TestPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		`.{8,}`:                               "minlength: 8",
		`^.{12,64}$`:                          "minlength: 12; maxlength: 64",
		`[A-Za-z0-9]{8,20}`:                   "minlength: 8; maxlength: 20; allowed: lower, upper, digit",
		`[\w!@\-]{10,}`:                       "minlength: 10; allowed: lower, upper, digit, [-!@_]",
		`(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}`: "minlength: 8; required: digit; required: lower; required: upper; allowed: ascii-printable",
		`^(?=.*[A-Z])(?=.*[!@#$])[A-Za-z!@#$]{8,16}$`: "minlength: 8; maxlength: 16; required: upper; required: [!#$@]; allowed: lower, upper, [!#$@]",
		`(?=.{10,})(?=.*\d).*`:                        "minlength: 10; required: digit; allowed: ascii-printable",
		`[^\s]{8}`:                                    "minlength: 8; maxlength: 8; allowed: lower, upper, digit, [-!\"#$%&'()*+,./:;<=>?@[\\^_`{|}~]]",
		`.+`:                                          "minlength: 1",
	} {
		rules, ok := passwordrules.Pattern(pattern)
		if !ok || rules.String() != want {
			t.Errorf("%q: %t, %q, want %q", pattern, ok, rules.String(), want)
		}
	}
	for _, pattern := range []string{"", `(a+)+$`, `(?!.*\s).{8,}`, `.{20,8}`, `[a-z]{8}|[0-9]{4}`, `\p{L}{8,}`, `[\u0041-\u005a]{8}`, `[z-a]{8}`, `(?=.*[^a-z]).{8,}`, `.{0}`, `abc`, strings.Repeat("a", 5000)} {
		if rules, ok := passwordrules.Pattern(pattern); ok {
			t.Errorf("%q: %s", pattern, rules)
		}
	}
}

func TestHeard(t *testing.T) {
	for said, want := range map[string]string{
		"Your password must be at least 30 characters long.":                            "minlength: 30",
		"Password is too long (maximum is 20 characters)":                               "maxlength: 20",
		"Password is too short (minimum is 28 characters)":                              "minlength: 28",
		"The password is too short.":                                                    "minlength: 32",
		"Use 8 to 16 characters.":                                                       "minlength: 8; maxlength: 16",
		"The password may not be longer than 16 characters.":                            "maxlength: 16",
		"The password must be longer than 30 characters.":                               "minlength: 31",
		"Das Kennwort muss mindestens 26 Zeichen haben.":                                "minlength: 26",
		"Le mot de passe doit comporter au moins 12 caractères et une majuscule.":       "minlength: 12; required: upper; allowed: ascii-printable",
		"The password must be less than 20 characters":                                  "maxlength: 19",
		"Passwords longer than 16 characters are not allowed":                           "maxlength: 16",
		"Passwords shorter than 12 characters are not allowed":                          "minlength: 12",
		"A password must not be longer than 16 characters":                              "maxlength: 16",
		"It cannot exceed 18 characters":                                                "maxlength: 18",
		"La contraseña debe tener entre 8 y 20 caracteres":                              "minlength: 8; maxlength: 20",
		"A senha deve ter no máximo 15 caracteres":                                      "maxlength: 15",
		"パスワードは8文字以上16文字以下で入力してください":                                                    "minlength: 8; maxlength: 16",
		"It must contain an uppercase letter, a digit and a special character (!@#$%).": "required: upper; required: digit; required: [!#$%@]; allowed: lower, upper, digit, [!#$%@]",
		"Special characters are not allowed.":                                           "allowed: lower, upper, digit",
		"Only letters and numbers may be used":                                          "allowed: lower, upper, digit",
		"Use letters and numbers only":                                                  "allowed: lower, upper, digit",
		"You have used this password before.":                                           "",
		"You have 3 attempts left, wait 30 minutes.":                                    "",
		"Passwords must not contain your name or numbers in a row":                      "",
		"at least 30 characters, at most 10 characters":                                 "",
	} {
		if heard := passwordrules.Heard(said); heard.String() != want {
			t.Errorf("%q: %q, want %q", said, heard.String(), want)
		}
	}
	for said, want := range map[string]bool{
		"You cannot reuse an old password": true, "This password was previously used": true, "Das Kennwort wurde bereits verwendet.": true,
		"Must differ from your current password": true, "The password is in your history": true, "このパスワードは使用済みです": true,
		"Too short": false, "At least 12 characters must be used": false, "": false,
	} {
		if passwordrules.Reused(said) != want {
			t.Errorf("%q: %t", said, !want)
		}
	}
}

func TestWhatIsMadeFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			parts = append(parts, rapid.SampledFrom([]string{
				"minlength: 8", "minlength: 30", "maxlength: 12", "maxlength: 64", "max-consecutive: 1", "max-consecutive: 3", "required: lower", "required: upper, digit",
				"required: special", "required: [-_]", "allowed: ascii-printable", "allowed: digit", "allowed: [+/=]",
			}).Draw(t, "part"))
		}
		rules, err := passwordrules.Parse(strings.Join(parts, "; "))
		if err != nil {
			return // minlength over maxlength
		}
		policy := seal.PasswordPolicy{Length: rapid.IntRange(0, 40).Draw(t, "length"), Classes: seal.Classes(rapid.Byte().Draw(t, "classes"))}
		made, err := rules.Generate(policy)
		if err != nil {
			if core.KindOf(err) != core.KindConflict {
				t.Fatal(err)
			}
			return
		}
		if !rules.Allows(made.Reveal()) || len(made.Reveal()) < 8 {
			t.Fatalf("%s: %q", rules, made.Reveal())
		}
	})
}

// FuzzText has every reader read any text: what is read is bounded, has one form, and what is made of it fits.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"minlength: 12; required: lower, upper; allowed: [-_]; max-consecutive: 2", "allowed: []]", "required: [[]]", `(?=.*\d)[a-z\-]{8,20}`, "at least 8 characters (!@#)", "\xff[;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := passwordrules.Parse(text)
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatal(err)
		}
		pattern, _ := passwordrules.Pattern(text)
		for _, rules := range []passwordrules.Rules{read, pattern, passwordrules.Heard(text)} {
			again, err := passwordrules.Parse(rules.String())
			if err != nil || again.String() != rules.String() {
				t.Fatalf("%q becomes %q (%v)", rules.String(), again.String(), err)
			}
			if made, err := rules.Generate(seal.PasswordPolicy{}); err == nil && !rules.Allows(made.Reveal()) {
				t.Fatalf("%s: %q", rules, made.Reveal())
			}
		}
	})
}
