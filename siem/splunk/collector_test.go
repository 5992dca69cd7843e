package splunk

import (
	"bytes"
	"strings"
	"testing"

	"postern/siem/sink"
	"postern/siem/transporttest"
)

// TestTheCollectorsReceiver sends to the splunkhecreceiver of the OpenTelemetry Collector: a receiver that nobody here
// wrote.
func TestTheCollectorsReceiver(t *testing.T) {
	running := transporttest.StartCollector(t)
	settings := Settings{URLs: []string{running.HEC}, Index: "audit", Host: "gateway"}
	collector := made(t, settings, Secrets{Token: transporttest.Secret(canary)})
	if places := collector.Check(t.Context()); len(places) != 1 || places[0].Answer.Verdict != sink.Accepted {
		t.Fatalf("%+v", places)
	}
	sent := transporttest.Events(t, 300)
	if got := collector.Send(t.Context(), sent[:150]); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	settings.Acknowledge, settings.MaxBytes = true, 50_000
	acknowledging := made(t, settings, Secrets{Token: transporttest.Secret(canary)})
	if got := acknowledging.Send(t.Context(), sent[150:]); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	transporttest.Eventually(t, "everything arrived", func() bool { return len(running.Records(t)) >= len(sent) })
	got := map[string]transporttest.Record{}
	for _, record := range running.Records(t) {
		got[record.Attributes["event_id"]] = record
	}
	if len(got) != len(sent) {
		t.Fatalf("%d events arrived of %d", len(got), len(sent))
	}
	for _, event := range sent {
		record := got[event.ID.String()]
		body, _ := record.Body.(map[string]any)
		metadata, _ := body["metadata"].(map[string]any)
		if record.Attributes["workspace"] != event.Workspace.String() || record.Attributes["hec.index"] != "audit" || record.Attributes["hec.sourcetype"] != "postern:ocsf" || record.Attributes["hec.host"] != "gateway" || metadata["uid"] != event.ID.String() {
			t.Fatalf("%+v", record)
		}
	}
}

// TestTheCollectorsRefusals sends what the collector's receiver refuses, and sees that its word is understood.
func TestTheCollectorsRefusals(t *testing.T) {
	running := transporttest.StartCollector(t)
	collector := made(t, Settings{URLs: []string{running.HEC}}, Secrets{Token: transporttest.Secret(canary)})
	sent := transporttest.Events(t, 5)
	// Which event it means it does not say: the sink cuts the batch.
	sent[3].Value = []byte(`{"broken":`)
	got := collector.Send(t.Context(), sent)
	if got.Verdict != sink.Refused || !strings.Contains(got.Reason, "code 6") || got.Event != -1 {
		t.Fatalf("%+v", got)
	}
	for value, code := range map[string]string{`""`: "code 13", `null`: "code 12"} {
		sent[3].Value = []byte(value)
		if got := collector.Send(t.Context(), sent); got.Verdict != sink.Refused || !strings.Contains(got.Reason, code) || got.Event != -1 {
			t.Fatalf("%s: %+v", value, got)
		}
	}
	sent[3].Value = bytes.Clone(sent[2].Value)
	if got := collector.Send(t.Context(), sent); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
}
