package seal_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/seal"
)

func vaultKey(t interface{ Fatal(...any) }) ([]byte, seal.Secret) {
	public, private, err := seal.GenerateVaultKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func binding() seal.Binding {
	return seal.Binding{Workspace: core.NewID(), Vault: core.NewID(), Item: core.NewID(), Field: "password", Version: 3, Epoch: 2}
}

func refusedValue(t testing.TB, what string, got seal.Secret, err error) {
	t.Helper()
	if classified := core.AsError(err); classified == nil || classified.Code != "sealed_value_refused" || !got.IsZero() {
		t.Errorf("%s: got %q, %v", what, got.Reveal(), err)
	}
}

func TestSealRoundTrip(t *testing.T) {
	public, private := vaultKey(t)
	if len(public) != 1216 || len(private.Reveal()) != 32 {
		t.Fatalf("an X-Wing key pair has 1216 and 32 bytes, this has %d and %d", len(public), len(private.Reveal()))
	}
	b := binding()
	for _, text := range []string{"", "x", canary, "pässwörd \x00 \xff", string(make([]byte, 100_000))} {
		sealed, err := seal.Seal(public, b, seal.NewSecret(text))
		if err != nil {
			t.Fatal(err)
		}
		if text != "" && len(text) > 5 && bytes.Contains(sealed, []byte(text)) {
			t.Error("the sealed value shows the text")
		}
		opened, err := seal.Open(private, b, sealed)
		if err != nil || opened.Reveal() != text {
			t.Errorf("%q came back as %q, %v", text, opened.Reveal(), err)
		}
	}
}

func TestSealIsNotRepeated(t *testing.T) {
	public, _ := vaultKey(t)
	b := binding()
	one, err := seal.Seal(public, b, seal.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	two, err := seal.Seal(public, b, seal.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one, two) {
		t.Error("equal passwords give equal blobs: their equality shows in the database")
	}
}

func TestOpenRefusesAnotherBinding(t *testing.T) {
	public, private := vaultKey(t)
	b := binding()
	sealed, err := seal.Seal(public, b, seal.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*seal.Binding){
		"workspace":    func(b *seal.Binding) { b.Workspace = core.NewID() },
		"vault":        func(b *seal.Binding) { b.Vault = core.NewID() },
		"item":         func(b *seal.Binding) { b.Item = core.NewID() },
		"field":        func(b *seal.Binding) { b.Field = "totp" },
		"longer field": func(b *seal.Binding) { b.Field += "\x00" },
		"no field":     func(b *seal.Binding) { b.Field = "" },
		"version":      func(b *seal.Binding) { b.Version++ },
		"negative":     func(b *seal.Binding) { b.Version = -b.Version },
		"epoch":        func(b *seal.Binding) { b.Epoch-- },
		"swapped":      func(b *seal.Binding) { b.Version, b.Epoch = b.Epoch, b.Version },
		"swapped ids":  func(b *seal.Binding) { b.Vault, b.Item = b.Item, b.Vault },
	} {
		other := b
		change(&other)
		got, err := seal.Open(private, other, sealed)
		refusedValue(t, what, got, err)
	}
	_, stranger := vaultKey(t)
	got, err := seal.Open(stranger, b, sealed)
	refusedValue(t, "another vault's key", got, err)
	got, err = seal.Open(seal.NewSecret("short"), b, sealed)
	refusedValue(t, "no key at all", got, err)
	if _, err := seal.Seal([]byte("short"), b, seal.NewSecret(canary)); core.KindOf(err) != core.KindInternal {
		t.Errorf("sealing to no key: %v", err)
	}
}

func TestOpenRefusesEveryCutAndEveryFlippedBit(t *testing.T) {
	public, private := vaultKey(t)
	b := binding()
	sealed, err := seal.Seal(public, b, seal.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	for length := range len(sealed) {
		if length > 4 && length < len(sealed)-60 && length%37 != 0 {
			continue
		}
		got, err := seal.Open(private, b, sealed[:length])
		refusedValue(t, "cut short", got, err)
	}
	got, err := seal.Open(private, b, append(bytes.Clone(sealed), 0))
	refusedValue(t, "made longer", got, err)
	for place := range sealed {
		changed := bytes.Clone(sealed)
		changed[place] ^= 1 << (place % 8)
		got, err := seal.Open(private, b, changed)
		refusedValue(t, "one bit changed", got, err)
	}
}

func TestBindingsNeverShareBytes(t *testing.T) {
	public, private := vaultKey(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) seal.Binding {
			id := func(part string) (id core.ID) {
				id[15] = rapid.ByteRange(0, 2).Draw(t, label+part)
				return id
			}
			return seal.Binding{
				Workspace: id(" workspace"), Vault: id(" vault"), Item: id(" item"),
				Field:   rapid.StringN(0, 4, 12).Draw(t, label+" field"),
				Version: rapid.IntRange(0, 3).Draw(t, label+" version"), Epoch: rapid.IntRange(0, 3).Draw(t, label+" epoch"),
			}
		}
		one, other := draw("one"), draw("other")
		value := seal.NewSecret(rapid.String().Draw(t, "value"))
		sealed, err := seal.Seal(public, one, value)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := seal.Open(private, one, sealed)
		if err != nil || !opened.Equal(value) {
			t.Fatalf("its own binding gives %v", err)
		}
		_, err = seal.Open(private, other, sealed)
		if (err == nil) != (one == other) {
			t.Fatalf("sealed as %+v, opened as %+v: %v", one, other, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	public, private := vaultKey(f)
	b := binding()
	sealed, err := seal.Seal(public, b, seal.NewSecret(canary))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:1])
	f.Add([]byte{})
	f.Add(append([]byte{9}, sealed[1:]...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		opened, err := seal.Open(private, b, blob)
		if err == nil && !bytes.Equal(blob, sealed) {
			t.Fatalf("a blob nobody sealed opened as %q", opened.Reveal())
		}
	})
}

func FuzzOpenUnder(f *testing.F) {
	key := seal.NewKey()
	sealed, err := seal.SealUnder(key, "vault", seal.NewSecret(canary))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("vault", sealed)
	f.Add("", []byte{1})
	f.Fuzz(func(t *testing.T, binding string, blob []byte) {
		_, err := seal.OpenUnder(key, binding, blob)
		if err == nil && (binding != "vault" || !bytes.Equal(blob, sealed)) {
			t.Fatal("a blob nobody sealed opened")
		}
	})
}
