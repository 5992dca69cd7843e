package seal_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core/seal"
)

const canary = "canary-7f3a-secret"

type holder struct {
	Name   string
	Secret seal.Secret
	hidden seal.Secret
	nested struct{ deep *seal.Secret }
	list   []seal.Secret
	byName map[string]seal.Secret
}

type document struct{ Secret seal.Secret }

func newHolder() holder {
	secret := seal.NewSecret(canary)
	h := holder{Name: "h", Secret: secret, hidden: secret, list: []seal.Secret{secret}, byName: map[string]seal.Secret{"k": secret}}
	h.nested.deep = &secret
	return h
}

// shows reports whether a text holds the canary in clear, hexadecimal or as numbers.
func shows(text string) bool {
	hexadecimal := fmt.Sprintf("%x", canary)
	numbers := strings.Trim(fmt.Sprint([]byte(canary)), "[]")
	spaced := fmt.Sprintf("% x", canary)
	for _, form := range []string{canary, hexadecimal, strings.ToUpper(hexadecimal), spaced, numbers} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestSecretRedactsUnderEveryVerb(t *testing.T) {
	h := newHolder()
	verbs := "vsqxXdotTbceEfFgGUp"
	for _, flags := range []string{"", "+", "#", " ", "-20", "020", ".3", "+#"} {
		for _, verb := range verbs {
			format := "%" + flags + string(verb)
			for _, value := range []any{h, &h, h.Secret, &h.Secret, h.list, h.byName, h.nested} {
				if text := fmt.Sprintf(format, value); shows(text) {
					t.Errorf("%s of %T shows the secret: %s", format, value, text)
				}
			}
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(format, h.Secret); got != "[redacted]" {
			t.Errorf("%s gives %q", format, got)
		}
	}
	var out bytes.Buffer
	fmt.Fprint(&out, h, &h, h.Secret)
	fmt.Fprintln(&out, h.Secret.String(), h.Secret.GoString())
	if shows(out.String()) {
		t.Errorf("Fprint shows the secret: %s", out.String())
	}
	if text := fmt.Errorf("signing in with %v: %w", h.Secret, errors.ErrUnsupported).Error(); shows(text) {
		t.Error(text)
	}
}

func TestSecretRedactsInLogsAndEncodings(t *testing.T) {
	h := newHolder()
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		log := slog.New(handler)
		log.Info("x", "secret", h.Secret, "pointer", &h.Secret, "holder", h, "list", h.list, "map", h.byName, slog.Group("g", "s", h.Secret))
	}
	text, err := json.Marshal(map[string]any{"holder": h, "secret": h.Secret, "pointer": &h.Secret, "map": h.byName})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	text, err = xml.Marshal(document{Secret: h.Secret})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	out.WriteString(cmp.Diff(h.Secret, seal.NewSecret("other")))
	if shows(out.String()) {
		t.Errorf("the secret shows: %s", out.String())
	}
	if _, err := h.Secret.Value(); err == nil {
		t.Error("a secret was handed to a database")
	}
	if err := json.Unmarshal([]byte(`"[redacted]"`), &h.Secret); err == nil { //nolint:staticcheck // that it cannot be read is the point
		t.Error("a redacted text was read as a secret")
	}
}

func TestSecretRevealsAndCompares(t *testing.T) {
	secret := seal.NewSecret(canary)
	if secret.Reveal() != canary || secret.IsZero() {
		t.Error("the secret lost its text")
	}
	if !secret.Equal(seal.NewSecret(canary)) || secret.Equal(seal.NewSecret(canary+"x")) || secret.Equal(seal.Secret{}) {
		t.Error("Equal is wrong")
	}
	var zero seal.Secret
	if !zero.IsZero() || !seal.NewSecret("").IsZero() || zero.Reveal() != "" || !zero.Equal(seal.NewSecret("")) {
		t.Error("the zero secret is not empty")
	}
}
