package optest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// folders is how those begin that a Keycloak writes to.
const folders = "postern-test-keycloak-"

// sweep marks a folder as this process's and removes those of processes that are gone, however they ended.
func sweep(keep string) {
	_ = os.WriteFile(filepath.Join(keep, "owner"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), folders+"*"))
	for _, folder := range found {
		if over(folder) {
			_ = os.RemoveAll(folder)
		}
	}
}

// over reports whether nobody uses a folder any more. One that nobody marked is given a day.
func over(folder string) bool {
	owner, err := os.ReadFile(filepath.Join(folder, "owner"))
	if os.IsNotExist(err) {
		made, err := os.Stat(folder)
		return err == nil && time.Since(made.ModTime()) > 24*time.Hour
	}
	pid, failure := strconv.Atoi(strings.TrimSpace(string(owner)))
	return err == nil && failure == nil && syscall.Kill(pid, 0) == syscall.ESRCH
}
