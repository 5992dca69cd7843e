// Package postgrestest gives each test a migrated database of its own on a real PostgreSQL.
//
//	server (shared by the run, or private to the process) ─► template, migrated once ─► clone per test
//
// A test leaves its database to the next of its process, emptied; one whose schema it changed is dropped.
//
// $POSTERN_TEST_POSTGRES names a server to use, or with "file:" a file that does; without it the process
// starts a private one. Where PostgreSQL cannot be found the test is skipped by a line that says so, or fails when
// $POSTERN_TEST_REQUIRE is 1.
//
// It is for tests alone and never linked into the binary.
package postgrestest
