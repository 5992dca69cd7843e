package apps

import (
	"io"
	"os"
	"path/filepath"
)

// copyTree copies a folder with everything its links lead to, for applications that find their
// configuration beside their own files.
func copyTree(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		info, err := os.Stat(source)
		if err != nil {
			continue // a link that leads nowhere
		}
		if info.IsDir() {
			err = copyTree(source, target)
		} else if info.Mode().IsRegular() {
			err = copyFile(source, target)
		}
		// Some configuration files are for the web server's user alone; the site has its own.
		if err != nil && !os.IsPermission(err) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return err
	}
	return target.Close()
}

// once runs make unless an earlier run has finished it; a half made folder is made anew.
func once(folder string, make func() error) error {
	marker := filepath.Join(folder, "made")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := make(); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o644)
}

// write writes files that only who runs the site reads.
func write(files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
