// Package sinks is where workspaces have their own events delivered to: each sets up its sinks, and sees and
// changes no other's.
//
//	                       ┌─ lane: acme's Splunk ──► filter ─► redaction ─► sink.Delivery ─► its receiver
//	Kafka ─ one partition ─┼─ lane: acme's archive        ▲
//	                       └─ lane: globex's Splunk       └── PostgreSQL's log: what a lane is behind, and replays
//
// One consumer group reads the stream for all of them, and never waits for a receiver: a lane that is paused or
// slow falls behind, keeps a bounded part in memory (nothing while its receiver takes nothing) and reads the rest from
// the log, from its own cursor. So no
// workspace's flood and no dead receiver holds up another workspace, and what Kafka forgot is not lost. A lane
// delivers one request at a time, in order; a replay takes turns with what is new.
//
// It never delivers an event of another workspace, never tells a credential again, and keeps no credential of a
// receiver whose address changes.
package sinks
