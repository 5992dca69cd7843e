// Package siem is the wing that tells security information systems what happened. It is only a
// name for its rooms:
//
//	audit_log ── relay ──► Kafka ── stream ──► sink ──► splunk · sumologic · elasticsearch · otlp ──► the receiver
//	            (ocsf)                          │       syslog · webhook · jsonl    (over transport)
//	                                            └─ refused for itself ──► dead letters
//
// Every event reaches every receiver at least once, in the order of its workspace, with an id by
// which copies are recognised and a sequence by which a gap is. An event is never dropped because
// a receiver is down, full, misconfigured or offended by another event.
package siem
