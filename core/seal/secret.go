package seal

import (
	"crypto/subtle"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that must not be seen: a password, a token, a key. It prints as "[redacted]" under
// every fmt verb, in slog, in JSON and in every other encoding, also as an unexported field deep in
// another struct. Only Reveal gives the text. The zero Secret is empty.
//
// Secrets do not compare with ==; use Equal.
type Secret struct {
	// A closure, because fmt and other reflecting printers cannot look inside one, and cannot call our
	// methods on somebody's unexported field either.
	reveal func() string
}

// NewSecret hides a text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }}
}

// Reveal gives the text. Each call is a place to review: pass the Secret on instead where you can.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal compares in constant time (the lengths are not hidden).
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String redacts.
func (Secret) String() string { return redacted }

// GoString redacts.
func (Secret) GoString() string { return redacted }

// Format redacts under every verb and flag.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue redacts.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON redacts.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText redacts.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Value refuses: a secret handed to a database would be stored in clear, or as "[redacted]".
func (Secret) Value() (driver.Value, error) {
	return nil, errors.New("seal: a secret is stored only sealed, in a vault")
}
