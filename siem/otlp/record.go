package otlp

import (
	"cmp"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"

	"postern/siem/ocsf"
	"postern/siem/stream"
)

// severities of OpenTelemetry by those of OCSF.
var severities = map[int]logs.SeverityNumber{
	1: logs.SeverityNumber_SEVERITY_NUMBER_INFO, 2: logs.SeverityNumber_SEVERITY_NUMBER_INFO2, 3: logs.SeverityNumber_SEVERITY_NUMBER_WARN,
	4: logs.SeverityNumber_SEVERITY_NUMBER_ERROR, 5: logs.SeverityNumber_SEVERITY_NUMBER_ERROR2, 6: logs.SeverityNumber_SEVERITY_NUMBER_FATAL,
}

var severityTexts = map[int]string{1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}

func (s Settings) request(events []stream.Event) *collector.ExportLogsServiceRequest {
	records := make([]*logs.LogRecord, len(events))
	for place, event := range events {
		severity := ocsf.Severity(event.Value)
		at := uint64(event.Occurred.UnixNano())
		records[place] = &logs.LogRecord{
			TimeUnixNano: at, ObservedTimeUnixNano: at, SeverityNumber: severities[severity], SeverityText: severityTexts[severity],
			EventName: string(event.Type), Body: text(string(event.Value)),
			Attributes: []*common.KeyValue{
				// Of OpenTelemetry's semantic conventions: records with the same one are the same.
				{Key: "log.record.uid", Value: text(event.ID.String())},
				{Key: "postern.workspace", Value: text(event.Workspace.String())},
				{Key: "postern.sequence", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: event.Sequence}}},
				{Key: "postern.correlation", Value: text(event.Correlation.String())},
			},
		}
	}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: text(cmp.Or(s.ServiceName, "postern"))}}},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "postern/audit"}, LogRecords: records}},
	}}}
}

func text(value string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}
}
