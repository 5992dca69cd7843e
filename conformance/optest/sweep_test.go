package optest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestSweepRemovesWhatNobodyUses(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	folder := func(owner string) string {
		t.Helper()
		made, err := os.MkdirTemp("", folders)
		if err == nil && owner != "" {
			err = os.WriteFile(filepath.Join(made, "owner"), []byte(owner), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	mine, alive, unmarked := folder(""), folder(strconv.Itoa(os.Getppid())), folder("")
	gone, old, odd := folder(strconv.Itoa(ended.Process.Pid)), folder(""), folder("not a number")
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	sweep(mine)
	for path, stays := range map[string]bool{mine: true, alive: true, unmarked: true, odd: true, gone: false, old: false} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, want there: %v", path, err, stays)
		}
	}
}
