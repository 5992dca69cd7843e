package partstest

import (
	"os"
	"testing"

	"postern/core"
)

// Need goes on when err is nil. An error of core.KindNotFound means that the machine lacks the
// part: the test is skipped or, where every part is required, fails. Any other error fails it.
func Need(t testing.TB, part string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if core.KindOf(err) == core.KindNotFound && os.Getenv("POSTERN_TEST_REQUIRE") != "1" {
		t.Skipf("skipped: %s: %v", part, err)
	}
	t.Fatalf("%s: %v", part, err)
}

// Long skips a test that starts a heavy part when only short tests are asked for.
func Long(t testing.TB, part string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("skipped: %s: -short", part)
	}
}
