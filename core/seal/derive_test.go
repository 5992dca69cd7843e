package seal_test

import (
	"testing"

	"postern/core/seal"
)

func TestKeyOfToken(t *testing.T) {
	token := seal.NewToken("pst_session")
	key, err := seal.KeyOfToken(token, "id token")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.SealUnder(key, "row 1", seal.NewSecret("canary"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token   seal.Secret
		use     string
		binding string
		opens   bool
	}{
		"the token":       {token, "id token", "row 1", true},
		"another token":   {seal.NewToken("pst_session"), "id token", "row 1", false},
		"its hash":        {seal.NewSecret(string(seal.HashToken(token.Reveal()))), "id token", "row 1", false},
		"another use":     {token, "cookie", "row 1", false},
		"another binding": {token, "id token", "row 2", false},
	} {
		key, err := seal.KeyOfToken(test.token, test.use)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := seal.OpenUnder(key, test.binding, sealed); (err == nil) != test.opens || test.opens && opened.Reveal() != "canary" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
