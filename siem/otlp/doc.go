// Package otlp sends events as log records by the OpenTelemetry protocol over HTTP (OTLP/HTTP 1.x, binary protobuf).
//
//	[]stream.Event ── a LogRecord each, gzip ──► POST /v1/logs ──► ExportLogsServiceResponse ──► sink.Answer
//	                    log.record.uid   the event's id, by which copies are recognised
//	                    event name, body the event's type, its OCSF document
//
// What a partial success rejects is not lost: the protocol does not say which records it means, so the events are sent
// in smaller requests until those that are rejected stand alone.
//
// It does not retry, follows no redirect, and shows the authorization to nobody but the receiver.
package otlp
