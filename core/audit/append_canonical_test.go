package audit

import (
	"testing"
	"time"

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
	})
}
