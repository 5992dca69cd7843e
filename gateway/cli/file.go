package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"postern/core"
)

// writeWhole writes a file anew beside the old one, readable to its owner alone, and then in its place: it is there
// whole, or as it was. An error of content that is classified stays what it is; any other is field's.
func writeWhole(field, path string, content func(file io.Writer) error) error {
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	file, err := os.CreateTemp(folder, name+"-*") // 0600 from the beginning
	if err == nil {
		if err = errors.Join(content(file), file.Close()); err == nil {
			err = os.Rename(file.Name(), path)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}
	if _, classified := errors.AsType[*core.Error](err); err == nil || classified {
		return err
	}
	return core.Invalid(field, "%s cannot be written", path).Because(err)
}
