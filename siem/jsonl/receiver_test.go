package jsonl

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transporttest"
)

func made(t testing.TB, settings Settings) (*Receiver, *transporttest.Clock) {
	t.Helper()
	receiver, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	clock := transporttest.NewClock()
	receiver.Clock = waiting{clock}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver, clock
}

// waiting is a clock whose time passes only when a test says so.
type waiting struct{ *transporttest.Clock }

func (waiting) Sleep(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return ctx.Err()
}

func send(t testing.TB, receiver *Receiver, events []stream.Event) {
	t.Helper()
	if got := receiver.Send(t.Context(), events); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
}

// files lists a workspace's files, finished ones unpacked, with the sequences in each.
func files(t testing.TB, folder string, workspace core.ID) map[string][]int64 {
	t.Helper()
	found := map[string][]int64{}
	entries, err := os.ReadDir(filepath.Join(folder, workspace.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, workspace.String(), entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(entry.Name(), ".gz") {
			unpacked, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if text, err = io.ReadAll(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		name := entry.Name()
		if strings.HasPrefix(name, opening) {
			name = "open"
		}
		found[name] = []int64{}
		for line := range bytes.Lines(text) {
			var doc struct{ Metadata struct{ Sequence int64 } }
			if err := json.Unmarshal(line, &doc); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
				t.Fatalf("%s: %q: %v", entry.Name(), line, err)
			}
			found[name] = append(found[name], doc.Metadata.Sequence)
		}
	}
	return found
}

func same(t testing.TB, got map[string][]int64, want map[string][]int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("files are\n%v, want\n%v", got, want)
	}
}

func to(first, last int64) []int64 {
	var list []int64
	for ; first <= last; first++ {
		list = append(list, first)
	}
	return list
}

func name(first, last int64, ending string) string {
	return fmt.Sprintf("%020d-%020d%s", first, last, ending)
}

func TestFilesAreFinishedBySizeAndAge(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "events")
	receiver, clock := made(t, Settings{Folder: folder, MaxBytes: 1000, MaxSeconds: 60})
	events := transporttest.Events(t, 7)
	workspace := events[0].Workspace
	send(t, receiver, events[:2])
	same(t, files(t, folder, workspace), map[string][]int64{"open": to(1, 2)})
	send(t, receiver, events[2:4]) // the file is too large by now
	same(t, files(t, folder, workspace), map[string][]int64{name(1, 2, packed): to(1, 2), "open": to(3, 4)})
	clock.Pass(59 * time.Second)
	if err := receiver.Rotate(); err == nil { // too large, not too old
		same(t, files(t, folder, workspace), map[string][]int64{name(1, 2, packed): to(1, 2), name(3, 4, packed): to(3, 4)})
	} else {
		t.Fatal(err)
	}
	small, clock := made(t, Settings{Folder: folder, MaxSeconds: 60, Uncompressed: true})
	send(t, small, events[4:6])
	clock.Pass(59 * time.Second)
	if err := small.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, folder, workspace); !slices.Equal(got["open"], to(5, 6)) {
		t.Fatal(got)
	}
	clock.Pass(time.Second)
	if err := small.Rotate(); err != nil {
		t.Fatal(err)
	}
	same(t, files(t, folder, workspace), map[string][]int64{name(1, 2, packed): to(1, 2), name(3, 4, packed): to(3, 4), name(5, 6, plain): to(5, 6)})
	// Nothing happens to files that are finished, and there is no empty one.
	if err := small.Rotate(); err != nil || len(files(t, folder, workspace)) != 3 {
		t.Fatal(err)
	}
	for _, entry := range []string{folder, filepath.Join(folder, workspace.String())} {
		if info, err := os.Stat(entry); err != nil || info.Mode().Perm() != 0o700 {
			t.Fatal(info.Mode(), err)
		}
	}
}

func TestWorkspacesHaveFoldersOfTheirOwn(t *testing.T) {
	folder := t.TempDir()
	receiver, _ := made(t, Settings{Folder: folder})
	one, other := transporttest.Events(t, 3), transporttest.Events(t, 2)
	send(t, receiver, []stream.Event{one[0], other[0], one[1], one[2], other[1]})
	same(t, files(t, folder, one[0].Workspace), map[string][]int64{"open": to(1, 3)})
	same(t, files(t, folder, other[0].Workspace), map[string][]int64{"open": to(1, 2)})
}

func TestAnEventIsWrittenOnce(t *testing.T) {
	folder := t.TempDir()
	receiver, clock := made(t, Settings{Folder: folder, MaxSeconds: 60})
	events := transporttest.Events(t, 9)
	send(t, receiver, events[:4])
	send(t, receiver, events[2:5]) // in the open file
	clock.Pass(time.Hour)
	send(t, receiver, events[4:8]) // 5 is in a finished one
	want := map[string][]int64{name(1, 5, packed): to(1, 5), "open": to(6, 8)}
	same(t, files(t, folder, events[0].Workspace), want)
	again, _ := made(t, Settings{Folder: folder, MaxSeconds: 60}) // another process
	send(t, again, events[:8])
	send(t, receiver, append(slices.Clone(events[:8]), events[7]))
	same(t, files(t, folder, events[0].Workspace), want)
	// Another event of the same number is not the same event: it is not for this to judge.
	other := transporttest.Events(t, 1)[0]
	other.Workspace = events[0].Workspace
	send(t, receiver, []stream.Event{other})
	if got := files(t, folder, events[0].Workspace); !slices.Equal(got["open"], []int64{6, 7, 8, 1}) {
		t.Fatal(got)
	}
}

func TestWhatWasHeldBackComesLater(t *testing.T) {
	folder := t.TempDir()
	receiver, clock := made(t, Settings{Folder: folder, MaxSeconds: 60})
	events := transporttest.Events(t, 3)
	send(t, receiver, []stream.Event{events[0], events[2]})
	clock.Pass(time.Hour)
	send(t, receiver, events[1:2]) // retried from the dead letters
	clock.Pass(time.Hour)
	if err := receiver.Rotate(); err != nil {
		t.Fatal(err)
	}
	same(t, files(t, folder, events[0].Workspace), map[string][]int64{name(1, 3, packed): {1, 3}, name(2, 2, packed): {2}})
}

// openFile is the path of the file being written.
func openFile(t testing.TB, folder string, workspace core.ID) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, workspace.String(), opening+"*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func TestACrashAtAnyByteLosesNothing(t *testing.T) {
	events := transporttest.Events(t, 3)
	whole := t.TempDir()
	receiver, _ := made(t, Settings{Folder: whole})
	send(t, receiver, events)
	text, err := os.ReadFile(openFile(t, whole, events[0].Workspace))
	if err != nil {
		t.Fatal(err)
	}
	const stride = 29 // odd, so that both ways of being cut come at every place of a line
	kept := 0
	for length := 0; length <= len(text); length += stride {
		folder := t.TempDir()
		at := filepath.Join(folder, events[0].Workspace.String())
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		// Once as a file cut short, once as one whose last blocks are zeros.
		torn := slices.Clone(text[:length])
		if length%2 == 1 {
			torn = append(torn, make([]byte, 512)...)
		}
		if err := os.WriteFile(filepath.Join(at, opening+time.Now().UTC().Format(openStamp)+plain), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		after, _ := made(t, Settings{Folder: folder})
		send(t, after, events)
		written, err := os.ReadFile(openFile(t, folder, events[0].Workspace))
		if err != nil || !bytes.Equal(written, text) {
			t.Fatalf("cut at byte %d the file is %d bytes, want %d: %v", length, len(written), len(text), err)
		}
		kept++
	}
	if kept < 3 {
		t.Fatal("nothing was tried")
	}
}

func TestACrashWhileFinishingLosesNothing(t *testing.T) {
	events := transporttest.Events(t, 4)
	for stage, crash := range map[string]func(at string, text []byte) error{
		"a part of the copy": func(at string, text []byte) error {
			return os.WriteFile(filepath.Join(at, "."+name(1, 3, packed)), []byte("\x1f\x8b"), 0o600)
		},
		"the copy has its name, the open file is there still": func(at string, text []byte) error {
			var compressed bytes.Buffer
			writer := gzip.NewWriter(&compressed)
			_, _ = writer.Write(text)
			_ = writer.Close()
			return os.WriteFile(filepath.Join(at, name(1, 3, packed)), compressed.Bytes(), 0o600)
		},
	} {
		folder := t.TempDir()
		receiver, _ := made(t, Settings{Folder: folder})
		send(t, receiver, events[:3])
		text, err := os.ReadFile(openFile(t, folder, events[0].Workspace))
		if err != nil {
			t.Fatal(err)
		}
		if err := crash(filepath.Join(folder, events[0].Workspace.String()), text); err != nil {
			t.Fatal(err)
		}
		after, clock := made(t, Settings{Folder: folder})
		clock.Pass(24 * time.Hour)
		send(t, after, events)
		t.Log(stage)
		same(t, files(t, folder, events[0].Workspace), map[string][]int64{name(1, 3, packed): to(1, 3), "open": {4}})
	}
}

func TestDamageIsNotCutOff(t *testing.T) {
	folder, events := t.TempDir(), transporttest.Events(t, 4)
	receiver, _ := made(t, Settings{Folder: folder})
	send(t, receiver, events[:3])
	at := openFile(t, folder, events[0].Workspace)
	text, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	text[5] = 0
	if err := os.WriteFile(at, text, 0o600); err != nil {
		t.Fatal(err)
	}
	after, _ := made(t, Settings{Folder: folder})
	if got := after.Send(t.Context(), events); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "damaged") {
		t.Fatalf("%+v", got)
	}
	if left, err := os.ReadFile(at); err != nil || !bytes.Equal(left, text) {
		t.Fatal("the file was changed", err)
	}
}

func TestOneWriterAtATime(t *testing.T) {
	folder, events := t.TempDir(), transporttest.Events(t, 1)
	receiver, _ := made(t, Settings{Folder: folder})
	send(t, receiver, events)
	held := newShelf(filepath.Join(folder, events[0].Workspace.String()), true)
	if err := held.with(func() error {
		if got := receiver.Send(t.Context(), events); got.Verdict != sink.Busy || !strings.Contains(got.Reason, "another process") {
			t.Errorf("%+v", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	send(t, receiver, events)
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	receiver, _ := made(t, Settings{Folder: filepath.Join(file, "events")})
	if got := receiver.Send(t.Context(), transporttest.Events(t, 1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "folder") {
		t.Fatalf("%+v", got)
	}
	full := &fs.PathError{Op: "write", Path: "/a/b", Err: syscall.ENOSPC}
	if got := failed(full); got.Verdict != sink.Busy || !strings.Contains(got.Reason, "make room") || strings.Contains(got.Reason, "/a/b") {
		t.Fatalf("%+v", got)
	}
}

func TestWhatAFailedWriteLeftIsRemoved(t *testing.T) {
	folder, events := t.TempDir(), transporttest.Events(t, 3)
	receiver, _ := made(t, Settings{Folder: folder})
	send(t, receiver, events[:1])
	at := openFile(t, folder, events[0].Workspace)
	file, err := os.OpenFile(at, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(events[1].Value[:100]); err != nil {
		t.Fatal(err)
	}
	file.Close()
	send(t, receiver, events)
	same(t, files(t, folder, events[0].Workspace), map[string][]int64{"open": to(1, 3)})
}

func TestSettingsAreChecked(t *testing.T) {
	for field, settings := range map[string]Settings{
		"folder": {Folder: "events"}, "max_bytes": {Folder: "/a", MaxBytes: 10}, "max_seconds": {Folder: "/a", MaxSeconds: -1},
	} {
		if _, err := New(settings); core.AsError(err) == nil || core.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := New(Settings{Folder: "/"}); err == nil {
		t.Error("the root of the file system is taken")
	}
}
