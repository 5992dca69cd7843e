package transporttest

import (
	"fmt"
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/siem/ocsf"
	"postern/siem/stream"
)

// Secret is one that never changes.
func Secret(text string) func() (seal.Secret, error) {
	return func() (seal.Secret, error) { return seal.NewSecret(text), nil }
}

// Small makes events whose documents are numbers.
func Small(count int) []stream.Event {
	made, workspace := make([]stream.Event, count), core.NewID()
	for i := range made {
		made[i] = stream.Event{
			ID: core.NewID(), Workspace: workspace, Type: core.UserUpdated, Occurred: time.UnixMicro(1_800_000_000_123_456),
			Sequence: int64(i + 1), Position: int64(i + 1), Value: fmt.Appendf(nil, `{"n":%d}`, i),
		}
	}
	return made
}

// Events makes events of one workspace as the relay publishes them, with every document in OCSF.
func Events(t testing.TB, count int) []stream.Event {
	t.Helper()
	made, workspace, cause := make([]stream.Event, count), core.NewID(), core.NewCause(core.System, time.Now())
	for i := range made {
		target := core.Target{Kind: "user", ID: core.NewID(), Name: fmt.Sprint("Zoë Müller ", i)}
		record := audit.Record{Event: core.NewEvent(core.UserUpdated, workspace, cause, time.Now(), target), Sequence: int64(i + 1), Position: int64(i + 1), Sequenced: time.Now()}
		value, err := ocsf.Mapper{}.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = stream.NewEvent(record, value)
	}
	return made
}
