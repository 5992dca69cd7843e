package audit

import (
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"postern/core"
)

// Whatever an event holds, it is written as the rules of JSON alone would have it.
func TestCanonicalIsWhatJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "<&>\u2028", "\x00\x1f\x7f\"\\/\b\f\n\r\t", "\xff\xfe", "é😀"}))
		id := rapid.Custom(func(t *rapid.T) core.ID {
			if rapid.Bool().Draw(t, "zero") {
				return core.ID{}
			}
			return core.NewID()
		})
		event := core.Event{
			ID: id.Draw(t, "id"), Workspace: id.Draw(t, "workspace"), Type: core.EventType(text.Draw(t, "type")),
			Occurred:    time.Unix(rapid.Int64Range(-70_000_000_000, 260_000_000_000).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "rest")),
			Actor:       core.Actor{Kind: core.ActorKind(text.Draw(t, "actor")), ID: id.Draw(t, "actor's id"), Name: text.Draw(t, "actor's name")},
			Outcome:     core.Outcome(text.Draw(t, "outcome")),
			Reason:      text.Draw(t, "reason"),
			Correlation: id.Draw(t, "correlation"),
			Origin:      core.Origin{Address: text.Draw(t, "address"), UserAgent: text.Draw(t, "agent")},
			Data:        rapid.MapOfN(text, text, 0, 5).Draw(t, "data"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "targets") {
			event.Targets = append(event.Targets, core.Target{Kind: text.Draw(t, "kind"), ID: id.Draw(t, "target"), Name: text.Draw(t, "name")})
		}
		got, err := Canonical(event)
		event.Occurred = event.Occurred.UTC().Truncate(time.Microsecond)
		want, wantErr := canonicalize(event)
		if string(got) != string(want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("got %s %v\nwant %s %v", got, err, want, wantErr)
		}
		if err == nil {
			sameReading(t, got)
		}
	})
}

// Whatever a text is, it is read as the rules of JSON alone would have it.
func FuzzReadEvent(f *testing.F) {
	for _, text := range []string{
		`{"actor":{"kind":""},"correlation":"","id":"","occurred":"2026-11-22T10:00:00Z","outcome":"","type":"","workspace":""}`,
		`{"actor":{"id":"0198c7e2-0000-7000-8000-000000000001","kind":"user","name":"ana"},"correlation":"0198c7e2-0000-7000-8000-000000000002","data":{"a":"1","b":"\u0000"},"id":"0198c7e2-0000-7000-8000-000000000003","occurred":"2026-11-22T10:00:00.000001Z","origin":{"address":"192.0.2.1","user_agent":"curl"},"outcome":"failure","reason":"no","targets":[{"id":"0198c7e2-0000-7000-8000-000000000004","kind":"account","name":"Harbour"},{"kind":"app"}],"type":"a.b","workspace":"0198c7e2-0000-7000-8000-000000000005"}`,
		`{"actor":{"kind":"system"},"correlation":"","data":{"a":"1","a":"2"},"id":"","occurred":"2026-11-22T10:00:00+01:00","origin":{"user_agent":"x"},"outcome":"","type":"","workspace":""}`,
		`{"actor":{"kind":"system"},"correlation":"","data":{},"id":"","occurred":"2026-11-22T24:00:00Z","origin":{},"outcome":"","targets":[],"type":"","workspace":""} `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameReading(t, text) })
}

// What Append writes needs no other way of reading, unless a text has an escape.
func TestAnOrdinaryEventIsReadAsItStands(t *testing.T) {
	cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID(), Name: "ana é"}, time.Now())
	cause.Origin = core.Origin{Address: "192.0.2.7", UserAgent: "curl"}
	event := core.NewEvent(core.AccountShared, core.NewID(), cause, time.Now(), core.Target{Kind: "account", ID: core.NewID(), Name: "Harbour"}, core.Target{Kind: "app"})
	for _, one := range []core.Event{event, event.With("role", "owner").With("until", "").Failed("no"), core.NewEvent(core.UserDeprovisioned, core.NewID(), core.NewCause(core.System, time.Now()), time.Now())} {
		text, err := Canonical(one)
		r := reader{rest: text, plain: true}
		if got := r.event(); err != nil || !r.plain || len(r.rest) > 0 || !reflect.DeepEqual(got, one) {
			t.Errorf("%s: %v\n%#v\n%#v", text, err, got, one)
		}
	}
}

func sameReading(t interface{ Fatalf(string, ...any) }, text []byte) {
	got, err := readEvent(text)
	var want core.Event
	wantErr := json.Unmarshal(text, &want)
	if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\ngot  %#v %v\nwant %#v %v", text, got, err, want, wantErr)
	}
}
