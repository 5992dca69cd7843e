package jsonl

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"postern/core"
)

// volume is a finished file.
type volume struct {
	name    string
	written map[int64]core.ID
}

// span reads the sequences in a finished file's name.
func span(name string) (first, last int64, ok bool) {
	stem, compressed := strings.CutSuffix(name, packed)
	if !compressed {
		var is bool
		if stem, is = strings.CutSuffix(name, plain); !is {
			return 0, 0, false
		}
	}
	from, to, two := strings.Cut(stem, "-")
	to, _, _ = strings.Cut(to, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil || !two {
		return 0, 0, false
	}
	last, err = strconv.ParseInt(to, 10, 64)
	return first, last, err == nil && len(from) == 20 && len(to) == 20
}

func openVolume(folder, name string) (*volume, error) {
	file, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var content io.Reader = file
	if strings.HasSuffix(name, packed) {
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", name, err)
		}
		content = unpacked
	}
	written, _, err := read(content)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return &volume{name, written}, nil
}

// finish gives the open file its final name, compressed if it should be. A crash at any point leaves the open file or
// the finished one, or both with the same content: then the open one is finished again, to the same name.
func (s *shelf) finish() error {
	if len(s.written) == 0 {
		err := os.Remove(filepath.Join(s.folder, s.open))
		s.open = ""
		return err
	}
	sequences := slices.Collect(maps.Keys(s.written))
	stem := fmt.Sprintf("%020d-%020d", slices.Min(sequences), slices.Max(sequences))
	from := filepath.Join(s.folder, s.open)
	ending := plain
	if s.compress {
		ending = packed
		var err error
		if from, err = s.pack(from, stem); err != nil {
			return err
		}
	}
	name, err := s.free(stem, ending)
	if err != nil {
		return err
	}
	if err := os.Rename(from, filepath.Join(s.folder, name)); err != nil {
		return err
	}
	if err := syncFolder(s.folder); err != nil {
		return err
	}
	if s.compress {
		if err := os.Remove(filepath.Join(s.folder, s.open)); err != nil {
			return err
		}
	}
	s.open, s.size, s.written = "", 0, map[int64]core.ID{}
	return nil
}

// free is a name that no other content has. Events that were held back and come after others make a file of the same
// span as one before.
func (s *shelf) free(stem, ending string) (string, error) {
	for number := 1; ; number++ {
		name := stem + ending
		if number > 1 {
			name = fmt.Sprintf("%s-%d%s", stem, number, ending)
		}
		there, err := openVolume(s.folder, name)
		switch {
		case os.IsNotExist(err):
			return name, nil
		case err != nil:
			return "", err
		case maps.Equal(there.written, s.written): // finished before, by a process that died right after
			return name, nil
		}
	}
}

// pack writes a compressed copy, under a name that nobody takes for a finished file, and syncs it.
func (s *shelf) pack(from, stem string) (string, error) {
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	to := filepath.Join(s.folder, "."+stem+packed)
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer target.Close()
	writer := gzip.NewWriter(target)
	if _, err := io.Copy(writer, source); err != nil {
		return "", err
	}
	if err := writer.Close(); err != nil {
		return "", err
	}
	return to, target.Sync()
}
