package accounts

import (
	"strings"
	"testing"

	"postern/core/seal"
)

func TestStrength(t *testing.T) {
	account := Account{AppName: "Harbour Master", Username: "dana.berg@acme.example"}
	for password, want := range map[string]Strength{
		"": Weak, "password": Weak, "P@ssw0rd!": Weak, "Summer2026!": Weak, "qwertyuiop": Weak, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": Weak,
		"harbour-dana": Weak, "Acme.Berg1": Weak,
		"correct horse battery staple": Strong, "kT9-wQm4zR": Strong, "kT9-wQm4zR.uP2x_Bn7H!cVe": Strong, "Grüße aus Lübeck 1634": Strong,
	} {
		if got := strengthOf(account, seal.NewSecret(password)); got != want {
			t.Errorf("%q is %s, want %s", password, got, want)
		}
	}
	for range 20 {
		if made := seal.GeneratePassword(seal.PasswordPolicy{}); strengthOf(account, made) != Strong {
			t.Error("what Postern makes is not strong")
		}
	}
}

// Somebody else chooses what is judged: whatever it is, it is judged.
func FuzzStrength(f *testing.F) {
	for _, text := range []string{strings.Repeat(maskSigns, 40), strings.Repeat("1|!7", 200), "İstanbul ß ẞ ﬁ", strings.Repeat("19871231", 100), strings.Repeat("ab1", 300), "\x00\xff"} {
		f.Add(text, "shared", "Wiki")
	}
	f.Fuzz(func(t *testing.T, password, username, app string) {
		got := strengthOf(Account{AppName: app, Username: username}, seal.NewSecret(password))
		if got != Weak && got != Fair && got != Strong {
			t.Errorf("%q", got)
		}
	})
}
