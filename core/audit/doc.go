// Package audit records what happened, once, in order, so that it can be proved.
//
//	command's transaction ── Append ──► audit_outbox
//	                                        │ Sequencer, one leader: sequence, chain, checkpoints
//	                                        ▼
//	                                    audit_log ──► After (relay), List (console), Verify
//
// An event is durable exactly when the command that made it true is. Each workspace's events get
// a gap-free sequence from 1 and a SHA-256 chain over their canonical JSON (RFC 8785); signed
// checkpoints let anybody with the public key notice an edit, a gap, a swap or a removed tail. The log
// is a table per month: retention drops tables, and a page looks once into each month's index.
//
// It never locks a command behind another, never drops or changes an event, and never holds a
// secret.
package audit
