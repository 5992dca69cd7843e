package jsonl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"postern/core"
	"postern/siem/stream"
)

// How files are called.
const (
	opening   = "open-"
	plain     = ".jsonl"
	packed    = ".jsonl.gz"
	openStamp = "20060102T150405.000000000Z"
	lockName  = ".lock"
)

// shelf is the folder of one workspace. What is known of the open file holds only while nobody else writes to it:
// it is read anew when its size is not what it was.
type shelf struct {
	folder   string
	compress bool

	open     string // the open file's name; "" if there is none
	size     int64
	began    time.Time
	written  map[int64]core.ID // the sequences in the open file
	finished *volume           // the finished file that was looked into last
}

func newShelf(folder string, compress bool) *shelf { return &shelf{folder: folder, compress: compress} }

// with does something while no other process writes to the folder.
func (s *shelf) with(work func() error) error {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.folder, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errLocked
		}
		return err
	}
	if err := s.refresh(); err != nil {
		return err
	}
	return work()
}

// refresh learns what the open file holds, unless it is known.
func (s *shelf) refresh() error {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}
	found := ""
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, ".") && name != lockName: // an unfinished copy of a process that died
			if err := os.Remove(filepath.Join(s.folder, name)); err != nil {
				return err
			}
		case strings.HasPrefix(name, opening) && strings.HasSuffix(name, plain):
			found = name
		}
	}
	if found == "" {
		s.open, s.size, s.written = "", 0, map[int64]core.ID{}
		return nil
	}
	info, err := os.Stat(filepath.Join(s.folder, found))
	if err != nil {
		return err
	}
	if found == s.open && info.Size() == s.size {
		return nil
	}
	return s.recover(found, info)
}

// recover reads an open file that this process has not written, and cuts off what a crash left of its last line.
func (s *shelf) recover(name string, info fs.FileInfo) error {
	file, err := os.OpenFile(filepath.Join(s.folder, name), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	written, size, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if size < info.Size() {
		if err := file.Truncate(size); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	s.open, s.size, s.written = name, size, written
	stamp := strings.TrimSuffix(strings.TrimPrefix(name, opening), plain)
	if s.began, err = time.Parse(openStamp, stamp); err != nil {
		s.began = info.ModTime()
	}
	return nil
}

var errDamaged = errors.New("a line of it is damaged, and whole ones follow: move the file away and look into it")

// read lists the sequences of a file with their events, and how far it is whole. What a crash cut short is at its end:
// it was never said to be there. Damage before other lines is not of a crash, and an error.
func read(from io.Reader) (map[int64]core.ID, int64, error) {
	written, size, position, damaged := map[int64]core.ID{}, int64(0), int64(0), false
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return written, size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		position += int64(len(line))
		var doc struct {
			Metadata struct {
				UID      core.ID `json:"uid"`
				Sequence int64   `json:"sequence"`
			} `json:"metadata"`
		}
		if json.Unmarshal(line, &doc) != nil || doc.Metadata.Sequence < 1 {
			damaged = true
			continue
		}
		if damaged {
			return nil, 0, errDamaged
		}
		written[doc.Metadata.Sequence] = doc.Metadata.UID
		size = position
	}
}

// due reports whether the open file is to be finished.
func (s *shelf) due(now time.Time, settings Settings) bool {
	return s.open != "" && (s.size >= settings.maxBytes() || now.Sub(s.began) >= settings.maxAge())
}

// add appends the events that are not there yet, and syncs them. When that fails, nothing of them stays.
func (s *shelf) add(events []stream.Event, now time.Time) error {
	var text []byte
	added := map[int64]core.ID{}
	for _, event := range events {
		there, err := s.holds(event)
		if err != nil {
			return err
		}
		if _, twice := added[event.Sequence]; there || twice {
			continue
		}
		if bytes.IndexByte(event.Value, '\n') >= 0 {
			return fmt.Errorf("the document of event %s is not on one line", event.ID)
		}
		text = append(append(text, event.Value...), '\n')
		added[event.Sequence] = event.ID
	}
	if len(text) == 0 {
		return nil
	}
	name, made := s.open, false
	if name == "" {
		name, made = opening+now.UTC().Format(openStamp)+plain, true
	}
	file, err := os.OpenFile(filepath.Join(s.folder, name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(text, s.size)
	if err == nil {
		err = file.Sync()
	}
	if err == nil && made {
		err = syncFolder(s.folder)
	}
	if err != nil {
		_ = file.Truncate(s.size) // if this fails too, the file is read anew
		s.open = ""
		return err
	}
	if made {
		s.open, s.began = name, now
	}
	s.size += int64(len(text))
	for sequence, id := range added {
		s.written[sequence] = id
	}
	return nil
}

// holds reports whether an event was written, to the open file or to a finished one.
func (s *shelf) holds(event stream.Event) (bool, error) {
	if id, there := s.written[event.Sequence]; there && id == event.ID {
		return true, nil
	}
	names, err := os.ReadDir(s.folder)
	if err != nil {
		return false, err
	}
	for _, entry := range names {
		first, last, ok := span(entry.Name())
		if !ok || event.Sequence < first || event.Sequence > last {
			continue
		}
		if s.finished == nil || s.finished.name != entry.Name() {
			if s.finished, err = openVolume(s.folder, entry.Name()); err != nil {
				return false, err
			}
		}
		if s.finished.written[event.Sequence] == event.ID {
			return true, nil
		}
	}
	return false, nil
}

func syncFolder(folder string) error {
	directory, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
