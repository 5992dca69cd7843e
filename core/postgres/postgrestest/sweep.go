package postgrestest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sweep removes the folders of servers whose starting process is gone, and marks keep as ours.
func sweep(keep string) {
	_ = os.WriteFile(filepath.Join(keep, "owner"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), "postern-test-postgresql-*"))
	for _, folder := range folders {
		owner, err := os.ReadFile(filepath.Join(folder, "owner"))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(owner)))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(folder)
		}
	}
}
