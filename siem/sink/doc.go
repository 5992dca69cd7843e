// Package sink delivers events from Kafka to one receiver, and never gives up.
//
//	stream.Assignment.Fetch ──► Receiver.Send ──accepted──► Commit
//	                              ├─ busy ──────────► wait (full jitter), send again, for as long as it takes
//	                              ├─ misconfigured ─► paused, with the reason in words; probed now and then
//	                              ├─ too large ─────► sent in halves
//	                              └─ refused ───────► the one event goes to the dead letters, the rest is sent again
//	gap in Kafka ──► refilled from PostgreSQL
//
// An offset is committed only after the receiver said yes to everything before it. Each sink is a
// consumer group of its own: a receiver that is down holds up no other. Events may come twice, with
// the same id, and those of one workspace come in order.
//
// It drops nothing, and puts no secret into a reason, an event or a log.
package sink
