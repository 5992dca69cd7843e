// Package partstest decides what a test does on a machine that lacks a real part it drives.
//
//	part there     ─► the test runs
//	part missing   ─► skipped, by a line that names it; failed when $POSTERN_TEST_REQUIRE is 1
//	go test -short ─► skipped: it is for what takes a browser, a JVM or a web application
//
// It is for tests alone and never linked into the binary.
package partstest
