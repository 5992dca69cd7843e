package lifecycle

import (
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// A reading of what the guard goes by is used for so long: when hundreds leave in a second, not each
// has to look. What passes unseen meanwhile is among underWay.
const readingLife = 20 * time.Millisecond

// lively is how long after a reading commands by that connection read anew on their way, in case they are
// departures too.
const lively = time.Second

// maxReadings bounds of how many connections a reading is kept.
const maxReadings = 10_000

// watch is what this process has read lately of connections that are far from their limit.
type watch struct {
	mutex    sync.Mutex
	readings map[core.ID]*reading
}

type reading struct {
	at      time.Time
	seen    window
	passed  int  // departures that were ever let pass
	before  int  // of those, the ones before this was read
	renewed bool // somebody reads anew: the others go by this as long as it lives
}

// usable reports whether one more departure may go by a reading: so lately and so far from the limit
// was it made.
func (r *reading) usable(now time.Time) bool {
	age := now.Sub(r.at)
	return age >= 0 && age <= readingLife && !r.seen.near(underWay+r.passed-r.before)
}

// look is a reading under way.
type look struct {
	began  time.Time
	passed int // departures that were let pass before it began
	seen   *window
}

// passes reports whether a connection was seen so far from its limit, so lately, that one more
// departure needs no look, and counts it. guarded tells whether its guard is on. If it does not pass,
// look is what its look begins with.
func (w *watch) passes(connection core.ID, now time.Time) (guarded, passes bool, begun look) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := w.readings[connection]
	if last == nil {
		return false, false, look{began: now}
	}
	if !last.usable(now) {
		return false, false, look{began: now, passed: last.passed}
	}
	last.passed++
	return last.seen.guarded, true, look{}
}

// renew has a command read anew on its way, while people leave: when the reading there is has lived for
// half its time and nobody else does, or is of no use any more. So nobody goes to the database for that
// alone. For all others it is nil.
func (l *Lifecycle) renew(batch *pgx.Batch, workspace core.ID, cause core.Cause) *look {
	if cause.Actor.Kind != core.ActorConnection {
		return nil
	}
	w, now := &l.shared().watch, l.now()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := w.readings[cause.Actor.ID]
	if last == nil || now.Sub(last.at) > lively {
		return nil
	}
	if last.usable(now) {
		if last.renewed || now.Sub(last.at) < readingLife/2 {
			return nil
		}
		last.renewed = true
	}
	return &look{began: now, passed: last.passed, seen: l.queueWindow(batch, workspace, cause.Actor.ID)}
}

// note keeps what was just read. Who was let pass since that began may not be seen in it.
func (w *watch) note(connection core.ID, made look) {
	if !made.seen.found {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := w.readings[connection]
	if last == nil {
		if w.readings == nil || len(w.readings) >= maxReadings {
			w.readings = map[core.ID]*reading{}
		}
		last = &reading{passed: made.passed}
		w.readings[connection] = last
	}
	if made.began.After(last.at) {
		last.at, last.seen, last.before, last.renewed = made.began, *made.seen, made.passed, false
	}
}
