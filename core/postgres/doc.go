// Package postgres opens the database, runs transactions and brings the schema up to date.
//
//	slice ── db.Tx(ctx, func(tx pgx.Tx) error { state · events · jobs }) ──► commit, or nothing
//	cli   ── postgres.Migrate ──► migrations/*.sql, in order, once, under an advisory lock
//
// A transaction commits whole or not at all; one that lost a deadlock or a serialization race is run
// again. Migrations only go forward, and a file that changed after it ran is refused by checksum.
// A database that cannot be reached is reported as core.KindUnavailable.
//
// It knows no table but its own schema_migrations: each slice owns its SQL.
package postgres
