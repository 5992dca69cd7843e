package scim

import (
	ring "container/list"
	"crypto/sha256"
	"sync"
	"time"

	"postern/core/directory"
)

const (
	// walkLife is how long the end of a page is remembered for the page that follows it.
	walkLife = 2 * time.Minute
	// maxWalks bounds how many ends are remembered.
	maxWalks = 4096
)

// walks remembers where pages ended. A client that reads a long list by startIndex asks each time for
// what comes behind the page before: going on from its last row costs the same everywhere, counting
// off the rows before it costs more with every page. The zero walks is ready.
type walks struct {
	lock  sync.Mutex
	known map[walk]*ring.Element
	order ring.List // of stretch, the oldest first
}

// walk is the page that begins at a startIndex of a list.
type walk struct {
	about [sha256.Size]byte
	start int
}

// stretch is how far the page before came.
type stretch struct {
	walk
	end     directory.Position
	total   int // of the list; -1: cheap to ask again
	expires time.Time
}

func (w *walks) find(about [sha256.Size]byte, start int, now time.Time) *stretch {
	w.lock.Lock()
	defer w.lock.Unlock()
	found, known := w.known[walk{about, start}]
	if !known {
		return nil
	}
	one := found.Value.(stretch)
	if now.After(one.expires) {
		return nil
	}
	return &one
}

func (w *walks) remember(one stretch) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.known == nil {
		w.known = map[walk]*ring.Element{}
	}
	if before, known := w.known[one.walk]; known {
		w.order.Remove(before)
	}
	w.known[one.walk] = w.order.PushBack(one)
	for oldest := w.order.Front(); oldest != nil; oldest = w.order.Front() {
		gone := oldest.Value.(stretch)
		if w.order.Len() <= maxWalks && !one.expires.Add(-walkLife).After(gone.expires) {
			break
		}
		w.order.Remove(oldest)
		delete(w.known, gone.walk)
	}
}

// counted reports whether how many satisfy the condition is known without counting.
func counted(where directory.Condition) bool {
	_, byState := where.(directory.Active)
	return where == nil || byState
}
