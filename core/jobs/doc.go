// Package jobs queues work in the transaction that makes it necessary and runs it afterwards. It is
// the only importer of River.
//
//	command ── queue.Add(ctx, tx, job) ──► river_job ──► Worker ──► handler(ctx, job, attempt)
//	                  commit                   ▲            │ error: cancel, retry, snooze (core.Kind)
//	                                           └────────────┘ worker killed: back within seconds
//
// A job is there if and only if its transaction committed. It runs at least once, lower priority
// numbers first and prompt ones beside all others, and is never given up while its error may pass.
// The jobs of a worker that died run again within seconds, whoever notices; so a handler must bear
// being run twice, even at once.
//
// Nothing is notified: PostgreSQL takes one lock over all committing transactions that carry a
// NOTIFY, which would line up every command behind it. Workers ask instead, 20 times a second,
// and 5 for prompt ones.
//
// It decides nothing about the work and holds no secret: a job's arguments are ids.
package jobs
