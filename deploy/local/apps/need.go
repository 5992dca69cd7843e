package apps

import (
	"os"
	"os/exec"
	"path/filepath"

	"postern/core"
)

// part is a program, or the folder of one (which begins with a slash), and the package of Debian's that has it.
type part struct{ name, debianPackage string }

// php serves most of the applications.
var php = part{"php", "php-cli"}

// need returns where a part is, or NotFound naming the package that has it.
func need(p part) (string, error) {
	if filepath.IsAbs(p.name) {
		if _, err := os.Stat(p.name); err == nil {
			return p.name, nil
		}
		return "", missing(p.debianPackage)
	}
	if path, err := exec.LookPath(p.name); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin/", "/usr/local/sbin/", "/sbin/"} {
		if info, err := os.Stat(folder + p.name); err == nil && info.Mode()&0o111 != 0 {
			return folder + p.name, nil
		}
	}
	return "", missing(p.debianPackage)
}

func missing(debianPackage string) error {
	return core.NotFound("package " + debianPackage + " on this machine; `make tools` installs it")
}
