package lifecycle

import (
	"sync"
	"time"

	"postern/core"
)

// A reading of what the guard goes by is used for so long: when hundreds leave in a second, not each
// has to look. What passes unseen meanwhile is among underWay.
const readingLife = 20 * time.Millisecond

// maxReadings bounds of how many connections a reading is kept.
const maxReadings = 10_000

// watch is what this process has read lately of connections that are far from their limit.
type watch struct {
	mutex    sync.Mutex
	readings map[core.ID]*reading
}

type reading struct {
	at     time.Time
	seen   window
	passed int // departures let pass since
}

// passes reports whether a connection was seen so far from its limit, so lately, that one more
// departure needs no look, and counts it. guarded tells whether its guard is on.
func (w *watch) passes(connection core.ID, now time.Time) (guarded, passes bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := w.readings[connection]
	if last == nil {
		return false, false
	}
	if age := now.Sub(last.at); age < 0 || age > readingLife || last.seen.near(underWay+last.passed) {
		delete(w.readings, connection)
		return false, false
	}
	last.passed++
	return last.seen.guarded, true
}

// note keeps what was just read.
func (w *watch) note(connection core.ID, now time.Time, seen window) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.readings == nil || len(w.readings) >= maxReadings {
		w.readings = map[core.ID]*reading{}
	}
	w.readings[connection] = &reading{at: now, seen: seen}
}
