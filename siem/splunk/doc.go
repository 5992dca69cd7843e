// Package splunk sends events to Splunk's HTTP Event Collector.
//
//	[]stream.Event ── envelope, gzip ──► POST /services/collector/event ──► code ──► sink.Answer
//
// Each event carries its time and, as indexed fields, its id, workspace and sequence, so that one
// tstats query shows duplicates and gaps. Every code of the collector has its meaning: accepted,
// busy, misconfigured, refused (with the number of the event) or too large.
//
// It does not retry, does not poll for indexer acknowledgement (Splunk Cloud has none), follows no
// redirect, and shows the token to nobody but the collector.
package splunk
