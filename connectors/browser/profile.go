package browser

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const profilePrefix = "postern-browser-"

// newProfile makes the folder of one browser process. It is removed when that process has ended; if
// ours is killed first, the next one sweeps it.
func newProfile() (string, error) {
	folder, err := os.MkdirTemp("", profilePrefix)
	if err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "owner"), []byte(strconv.Itoa(os.Getpid())), 0o600)
}

// sweepProfiles removes the folders of processes that are gone: they may hold cookies.
func sweepProfiles() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), profilePrefix+"*"))
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
