package cli_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"postern/core/seal"
)

// Nothing of a process that knows passwords, nor of what it starts, is written to a file when it dies.
func TestServeLeavesNoCore(t *testing.T) {
	key := file(t, seal.GenerateLocalKey().Reveal())
	code, _, told := run("serve", "--roles", "relay", "--database", "postgres://u@127.0.0.1:1/x", "--public-url", "https://postern.example.com",
		"--kafka", "127.0.0.1:1", "--key", key, "--audit-key", key)
	if code == 0 || !strings.Contains(told, "database cannot be reached") {
		t.Fatalf("%d %s", code, told)
	}
	if dumps, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumps != 0 {
		t.Errorf("the process may be dumped: %d, %v", dumps, err)
	}
	limits, err := exec.Command("cat", "/proc/self/limits").Output()
	if err != nil || !regexp.MustCompile(`Max core file size +1 +1 +bytes`).Match(limits) {
		t.Errorf("what it starts: %v\n%s", err, limits)
	}
}
