// Package relay publishes the log to Kafka.
//
//	audit_log ── After(cursor) ──► ocsf ──► stream.Producer ──yes──► cursor moves ──► again
//
// Every record is published at least once, in order, and the cursor moves only once Kafka has it
// on all in-sync replicas. Any number of relays may run; one leads. It outlasts a Kafka or a
// PostgreSQL that is away, and goes on where it stopped.
//
// A record that was damaged in the log stops nothing: a tombstone with its id, sequence and hashes is published in its
// place (audit.record_unreadable), and what is left of it is kept as a dead letter of the sink "relay".
//
// It changes no record and skips none.
package relay
