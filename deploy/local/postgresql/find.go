package postgresql

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"postern/core"
)

// Find returns the folder that holds the binaries postgres and initdb: $POSTERN_POSTGRESQL_BIN, the
// newest of Debian's versioned folders, the folder of a postgres on the PATH, or one of extra.
func Find(extra ...string) (string, error) {
	candidates := []string{os.Getenv("POSTERN_POSTGRESQL_BIN")}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(versions, func(a, b string) int { return major(b) - major(a) })
	candidates = append(candidates, versions...)
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(resolved))
		}
	}
	candidates = append(candidates, extra...)
	for _, folder := range candidates {
		if folder != "" && executable(filepath.Join(folder, "postgres")) && executable(filepath.Join(folder, "initdb")) {
			return folder, nil
		}
	}
	return "", core.NotFound("PostgreSQL on this machine; `make tools` installs it, or set POSTERN_POSTGRESQL_BIN to its bin folder")
}

func major(folder string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	return number
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
