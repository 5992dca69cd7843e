package hooks

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// FuzzMessage looks for a signed body that is understood in a way the pipeline could not take: a kind there is not, an
// id that is missing or no text, or anything but an error that names the sender.
func FuzzMessage(f *testing.F) {
	for _, text := range [][]byte{vectors.StandardWebhook, vectors.SignedWebhook, vectors.OktaEventHook} {
		all, err := vectors.Hooks(text)
		if err != nil {
			f.Fatal(err)
		}
		for _, v := range all {
			f.Add([]byte(v.Body))
			f.Add([]byte(v.Raw))
		}
	}
	mapping := Mapping{
		Kinds: map[string]signals.Kind{"session.revoked": signals.SessionRevoked, "user.disabled": signals.AccountDisabled}, ID: "/id", Occurred: "/timestamp", Transaction: "/trace", Session: "/sid",
		Subjects: []Pointer{{Format: signals.FormatEmail, Pointer: "/data/email"}, {Format: signals.FormatOpaque, Pointer: "/data/people/0/id"}, {Format: signals.FormatIssSub, Pointer: "/data/~1sub~0"}},
	}
	connection := directory.Connection{Issuer: "https://idp.example.com"}
	check := func(t *testing.T, one happening) {
		if one.id == "" || !utf8.ValidString(one.id) || !slices.Contains(signals.Kinds, one.kind) || !utf8.ValidString(one.subject.String()) || len(one.digest) != 32 {
			t.Fatalf("%+v", one)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if one, err := mapping.read(connection, http.Header{}, body, time.Now()); err == nil {
			check(t, one)
		} else if core.KindOf(err) != core.KindInvalid {
			t.Fatal(err)
		}
		var said delivered
		if err := decode(body, &said); err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("what is no JSON was read")
		}
		events, err := readLog(said.Data.Events)
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatal(err)
		}
		for _, one := range events {
			check(t, one.happening(connection, said.EventID))
		}
	})
}
