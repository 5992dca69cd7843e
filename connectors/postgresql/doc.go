// Package postgresql is the connector for roles of a PostgreSQL database.
//
//	postgres://db.example.com:5432/name?sslmode=verify-full
//
// A role changes its own password, or an administrator that of another role: one with CREATEROLE and the admin option on
// it, or a superuser. Such a one lets roles log in or not, and ends their sessions. What is sent is the SCRAM-SHA-256 verifier of it (RFC 5803), made here: the
// password itself is in no statement, and so in no log of the server's.
//
// sslmode is "verify-full", also when it is left out; only loopback may be without TLS, by saying "disable". The modes of
// PostgreSQL in between send a password to whoever answers, and are refused.
package postgresql
