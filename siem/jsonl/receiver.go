package jsonl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// Receiver writes files below one folder. New makes it; it is safe for concurrent use.
type Receiver struct {
	Clock transport.Clock // the system's; change it before the first use

	settings Settings
	mutex    sync.Mutex // one batch at a time
	shelves  map[core.ID]*shelf
	tending  sync.Once
	stop     context.CancelFunc
	life     context.Context
}

var _ sink.Receiver = (*Receiver)(nil)

// New makes a receiver. An error is Invalid and names the setting.
func New(settings Settings) (*Receiver, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	receiver := &Receiver{Clock: transport.System{}, settings: settings, shelves: map[core.ID]*shelf{}}
	receiver.life, receiver.stop = context.WithCancel(context.Background())
	return receiver, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return 4_000_000 }

// Send implements sink.Receiver. It finishes files that are full or old, then adds the events.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	r.tending.Do(func() { go r.tend() })
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for start := 0; start < len(events); {
		end := start + 1
		for end < len(events) && events[end].Workspace == events[start].Workspace {
			end++
		}
		if ctx.Err() != nil {
			return transport.Failed(ctx.Err())
		}
		if err := r.write(events[start].Workspace, events[start:end]); err != nil {
			return failed(err)
		}
		start = end
	}
	return sink.Answer{Verdict: sink.Accepted, Event: -1}
}

// write adds events of one workspace.
func (r *Receiver) write(workspace core.ID, events []stream.Event) error {
	shelf := r.shelves[workspace]
	if shelf == nil {
		shelf = newShelf(filepath.Join(r.settings.Folder, workspace.String()), !r.settings.Uncompressed)
		r.shelves[workspace] = shelf
	}
	return shelf.with(func() error {
		if shelf.due(r.Clock.Now(), r.settings) {
			if err := shelf.finish(); err != nil {
				return err
			}
		}
		return shelf.add(events, r.Clock.Now())
	})
}

// Rotate finishes files that are old, of all workspaces in the folder. It happens by itself from the first event on.
func (r *Receiver) Rotate() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entries, err := os.ReadDir(r.settings.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		workspace, err := core.ParseID(entry.Name())
		if err != nil || !entry.IsDir() {
			continue
		}
		if err := r.write(workspace, nil); err != nil && !errors.Is(err, errLocked) {
			return err
		}
	}
	return nil
}

// tend rotates for as long as the receiver is there. What fails is tried again, and said with the next event.
func (r *Receiver) tend() {
	for r.Clock.Sleep(r.life, max(time.Second, r.settings.maxAge()/4)) == nil {
		_ = r.Rotate()
	}
}

// Close ends the rotation. Files that are open stay open, for the next process to go on with.
func (r *Receiver) Close() error {
	r.stop()
	return nil
}

var errLocked = errors.New("another process writes to the folder")

// failed tells what a person must change from what passes.
func failed(err error) sink.Answer {
	reason := "the file cannot be written: " + cause(err)
	switch {
	case errors.Is(err, errLocked):
		return sink.Answer{Verdict: sink.Busy, Event: -1, Reason: errLocked.Error()}
	case errors.Is(err, errDamaged):
		return transport.Misconfigured(reason)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return transport.Misconfigured(reason + ": the folder must belong to the user Postern runs as")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return sink.Answer{Verdict: sink.Busy, Event: -1, Reason: reason + ": make room"}
	}
	return sink.Answer{Verdict: sink.Busy, Event: -1, Reason: reason}
}

// cause is what went wrong, without a path that may be long.
func cause(err error) string {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Op + ": " + failed.Err.Error()
	}
	if failed, ok := errors.AsType[*os.LinkError](err); ok {
		return failed.Op + ": " + failed.Err.Error()
	}
	return err.Error()
}
