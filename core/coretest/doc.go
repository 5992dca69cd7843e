// Package coretest is core for tests: every slice over a real database, wired as the gateway wires them, and
// the few things every test of a slice or a wing does with them.
//
//	Open ──► a fresh database ──► directory · vault · accounts · rotations · lifecycle · signals · signing
//	On   ──► another process over the same database
//
//	Clock, Apps, Must, Wants ──► what a test is told of time, of the apps, and of errors
//
// No worker runs: what is planned stays planned. It never serves anything outside tests.
package coretest
