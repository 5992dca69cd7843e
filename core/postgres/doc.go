// Package postgres opens the database, runs transactions and brings the schema up to date.
//
//	slice ──┬─ Tx       state · events · jobs ──────────────► commit, or nothing
//	        ├─ Batch    the same, in one way there and back ──► commit, or nothing
//	        └─ Command  first with begin · work · last with commit ──► commit, or nothing
//	worker ── KeepStatistics ──► analyse, where a table outgrew what the planner knows
//	cli ───── Migrate ──► migrations/*.sql, in order, once, under an advisory lock
//
// A transaction commits whole or not at all; one that lost a deadlock or a serialization race is run
// again, so its work touches nothing but the transaction. When Batch or Command returns without an
// error, it is committed. Named arguments are read once for each statement, not each time it is sent.
// A database that cannot be reached is core.KindUnavailable, a unique violation a conflict.
//
// Each connection speaks UTC, prefers an index to reading a table whole, compiles nothing, and ends a
// transaction that idles for a minute. The database's user owns the tables: others may not analyse them.
// Migrations only go forward, and a file that changed after it ran is refused by checksum.
//
// It knows no table but its own schema_migrations: each slice owns its SQL. It never repeats the URL of
// a database, which may hold a password.
package postgres
