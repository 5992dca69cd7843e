package otlp

import (
	"fmt"
	"testing"

	"postern/siem/sink"
	"postern/siem/transporttest"
)

// TestTheCollectorsReceiver sends to the otlpreceiver of the OpenTelemetry Collector: a receiver that nobody here wrote.
func TestTheCollectorsReceiver(t *testing.T) {
	running := transporttest.StartCollector(t)
	receiver, sent := made(t, Settings{URL: running.OTLP, ServiceName: "gateway"}), transporttest.Events(t, 200)
	if got := receiver.Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	transporttest.Eventually(t, "everything arrived", func() bool { return len(running.Records(t)) >= len(sent) })
	records := running.Records(t)
	if len(records) != len(sent) {
		t.Fatalf("%d records of %d events", len(records), len(sent))
	}
	for place, record := range records {
		event := sent[place]
		if record.Attributes["log.record.uid"] != event.ID.String() || record.Attributes["postern.sequence"] != fmt.Sprint(event.Sequence) || record.Attributes["service.name"] != "gateway" || record.Body != string(event.Value) || record.Event != string(event.Type) {
			t.Fatalf("%+v", record)
		}
	}
	if got := made(t, Settings{URL: running.OTLP + "/nowhere"}).Send(t.Context(), sent[:1]); got.Verdict != sink.Misconfigured {
		t.Fatalf("%+v", got)
	}
	if got := made(t, Settings{URL: running.HEC}).Send(t.Context(), sent[:1]); got.Verdict == sink.Accepted {
		t.Fatalf("another protocol took it: %+v", got)
	}
}
