package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/seal"
)

func TestSealUnder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := seal.NewKey()
		binding := rapid.String().Draw(t, "binding")
		value := seal.NewSecret(rapid.String().Draw(t, "value"))
		sealed, err := seal.SealUnder(key, binding, value)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := seal.OpenUnder(key, binding, sealed)
		if err != nil || !opened.Equal(value) {
			t.Fatalf("got %v", err)
		}
		if _, err := seal.OpenUnder(seal.NewKey(), binding, sealed); err == nil {
			t.Fatal("another key opens it")
		}
		if _, err := seal.OpenUnder(key, binding+"x", sealed); err == nil {
			t.Fatal("another binding opens it")
		}
		place := rapid.IntRange(0, len(sealed)-1).Draw(t, "place")
		sealed[place] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := seal.OpenUnder(key, binding, sealed); err == nil {
			t.Fatal("a changed blob opens")
		}
		if _, err := seal.OpenUnder(key, binding, sealed[:place]); err == nil {
			t.Fatal("a cut blob opens")
		}
	})
	if _, err := seal.SealUnder(seal.NewSecret("short"), "", seal.NewSecret("x")); err == nil {
		t.Error("a short key was taken")
	}
}

func TestLocalKeyReadsEveryForm(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff, 0x01, 0x7e}, 8)
	forms := map[string][]byte{
		"raw":                      raw,
		"hex":                      []byte(hex.EncodeToString(raw)),
		"hex, upper case, newline": []byte(strings.ToUpper(hex.EncodeToString(raw)) + "\r\n"),
		"base64":                   []byte(base64.StdEncoding.EncodeToString(raw) + "\n"),
		"base64 without padding":   []byte(base64.RawStdEncoding.EncodeToString(raw)),
		"base64url":                []byte("  " + base64.URLEncoding.EncodeToString(raw)),
	}
	first, err := seal.NewLocalKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := first.Wrap(t.Context(), seal.NewSecret(canary), "workspace")
	if err != nil {
		t.Fatal(err)
	}
	for form, material := range forms {
		key, err := seal.NewLocalKey(material)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if key.Name() != first.Name() {
			t.Errorf("%s is named %s, not %s", form, key.Name(), first.Name())
		}
		if got, err := key.Unwrap(t.Context(), wrapped, "workspace"); err != nil || got.Reveal() != canary {
			t.Errorf("%s: %v", form, err)
		}
	}
	if _, err := first.Unwrap(t.Context(), wrapped, "another workspace"); err == nil {
		t.Error("another binding unwraps")
	}
	other, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	if other.Name() == first.Name() {
		t.Error("two keys have one name")
	}
	if _, err := other.Unwrap(t.Context(), wrapped, "workspace"); err == nil {
		t.Error("another key unwraps")
	}
	if text := fmt.Sprintf("%v %+v %#v", first, first, *first); strings.Contains(text, string(raw)) || strings.Contains(text, hex.EncodeToString(raw)) {
		t.Errorf("printing the provider shows the key: %s", text)
	}
	if strings.Contains(hex.EncodeToString(raw), strings.TrimPrefix(first.Name(), "local:")) {
		t.Error("the name is a part of the key")
	}
}

func TestLocalKeyRefusesWhatIsNoKey(t *testing.T) {
	for what, material := range map[string]string{
		"empty":         "",
		"short hex":     "3f2a",
		"half a key":    "0123456789abcdef0123456789abcdef",
		"a passphrase":  "correct horse battery staple abc",
		"too long":      hex.EncodeToString(make([]byte, 33)),
		"zeros":         hex.EncodeToString(make([]byte, 32)),
		"zero bytes":    string(make([]byte, 32)),
		"short base64":  base64.StdEncoding.EncodeToString([]byte("0123456789")),
		"a PEM":         "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
		"31 raw bytes":  string(bytes.Repeat([]byte{0xfe, 0x01}, 16)[:31]),
		"two hex lines": hex.EncodeToString(bytes.Repeat([]byte{1, 2}, 8)) + "\n" + hex.EncodeToString(bytes.Repeat([]byte{1, 2}, 8)),
	} {
		_, err := seal.NewLocalKey([]byte(material))
		if core.KindOf(err) != core.KindInvalid || err == nil {
			t.Errorf("%s was taken: %v", what, err)
		} else if material != "" && strings.Contains(err.Error(), material) {
			t.Errorf("%s: the message shows it: %v", what, err)
		}
	}
}

func FuzzNewLocalKey(f *testing.F) {
	f.Add([]byte(seal.GenerateLocalKey().Reveal()))
	f.Add([]byte("====="))
	f.Fuzz(func(t *testing.T, material []byte) {
		key, err := seal.NewLocalKey(material)
		if (key == nil) == (err == nil) {
			t.Fatal("neither a key nor an error")
		}
	})
}
