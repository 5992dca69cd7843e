package stream

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"postern/core"
	"postern/core/audit"
)

// attribute is the name of a CloudEvents attribute (CloudEvents 1.0 §3).
var attribute = regexp.MustCompile(`^ce_[a-z0-9]{1,20}$`)

func TestHeadersAreCloudEventsInBinaryMode(t *testing.T) {
	workspace, account := core.NewID(), core.NewID()
	when := time.Date(2026, 11, 21, 1, 2, 3, 4_000, time.UTC)
	cause := core.NewCause(core.System, when)
	told := core.NewEvent(core.AccountShared, workspace, cause, when, core.Target{Kind: "account", ID: account, Name: "Wiki"}, core.Target{Kind: "user", ID: core.NewID()})
	for name, record := range map[string]audit.Record{
		"about something": {Event: told, Sequence: 7, Position: 99},
		"about nothing":   {Event: core.NewEvent(core.CheckpointSigned, workspace, cause, when), Sequence: 8, Position: 100},
	} {
		t.Run(name, func(t *testing.T) {
			event := NewEvent(record, []byte(`{}`))
			got := map[string]string{}
			for _, header := range event.headers() {
				if _, twice := got[header.Key]; twice || header.Key != "content-type" && !attribute.MatchString(header.Key) || len(header.Value) == 0 {
					t.Errorf("%s: %q", header.Key, header.Value)
				}
				got[header.Key] = string(header.Value)
			}
			want := map[string]string{
				"content-type": "application/json", "ce_specversion": "1.0", "ce_id": record.Event.ID.String(), "ce_source": "/workspaces/" + workspace.String(),
				"ce_type": string(record.Event.Type), "ce_time": "2026-11-21T01:02:03.000004Z", "ce_partitionkey": workspace.String(), "ce_workspace": workspace.String(),
				"ce_correlation": cause.Correlation.String(), "ce_sequence": map[int64]string{7: "7", 8: "8"}[record.Sequence], "ce_position": map[int64]string{99: "99", 100: "100"}[record.Position],
			}
			if len(record.Event.Targets) > 0 {
				want["ce_subject"] = "account/" + account.String()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if id, err := uuid.Parse(got["ce_id"]); err != nil || id.Version() != 7 {
				t.Errorf("%s is no UUIDv7", got["ce_id"])
			}
			back := read(kafka.Message{Headers: event.headers(), Value: event.Value})
			if back.Fault != nil {
				t.Fatal(back.Fault)
			}
			if diff := cmp.Diff(event, back.Event); diff != "" {
				t.Error(diff)
			}
		})
	}
}
