package partstest

import (
	"os"
	"path/filepath"
	"testing"

	"postern/core"
)

// Suites is the folder of other people's conformance suites, servers and clients, which
// deploy/tools/install test fills and $POSTERN_SUITES names. Parts are paths in it that the test
// needs, such as "node_modules/scimmy", "venv/bin/python" or "java": without one of them the test is
// skipped by a line that names it.
func Suites(t testing.TB, parts ...string) string {
	t.Helper()
	folder := os.Getenv("POSTERN_SUITES")
	if folder == "" {
		Need(t, "conformance suites", missing("$POSTERN_SUITES names no folder: run 'make test-tools'"))
	}
	for _, part := range append([]string{"."}, parts...) {
		if _, err := os.Stat(filepath.Join(folder, part)); err != nil {
			Need(t, "conformance suites", missing(part+" is not in "+folder+": run 'make test-tools'"))
		}
	}
	return folder
}

func missing(what string) error { return &core.Error{Kind: core.KindNotFound, Message: what} }
