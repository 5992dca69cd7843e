package transport

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"postern/core"
	"postern/core/seal"
)

// Secret reads a secret whenever it is needed. A nil Secret is one that nobody gave.
type Secret func() (seal.Secret, error)

// Open reads a secret, without the white space around it. What it is called, such as "the token", is for the
// error, which is Invalid and says nothing of what was read.
func Open(read Secret, what string) (seal.Secret, error) {
	if read == nil {
		return seal.Secret{}, core.Invalid("", "%s is needed", what)
	}
	secret, err := read()
	if err != nil {
		return seal.Secret{}, core.Invalid("", "%s cannot be read", what)
	}
	text := strings.TrimSpace(secret.Reveal())
	if text == "" {
		return seal.Secret{}, core.Invalid("", "%s is empty", what)
	}
	return seal.NewSecret(text), nil
}

// Token is Open for what goes into a header: a secret on one line.
func Token(read Secret, what string) (seal.Secret, error) {
	secret, err := Open(read, what)
	if err == nil && strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return unicode.IsControl(r) || r > unicode.MaxASCII }) {
		return seal.Secret{}, core.Invalid("", "%s holds a character that cannot be sent", what)
	}
	return secret, err
}

// Clean keeps a foreign text in bounds, on one line, and free of secrets, should it echo them.
func Clean(text string, secrets ...seal.Secret) string {
	longest := slices.SortedFunc(slices.Values(secrets), func(a, b seal.Secret) int { return cmp.Compare(len(b.Reveal()), len(a.Reveal())) })
	for _, secret := range longest {
		if hidden := secret.Reveal(); hidden != "" {
			text = strings.ReplaceAll(text, hidden, "[redacted]")
		}
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	return core.Cut(text, 300)
}
