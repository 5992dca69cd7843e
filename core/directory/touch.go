package directory

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// maxTouches bounds what is remembered of touches.
const maxTouches = 10_000

// touches is what this process touched lately, or is touching: of the many requests that find a token
// unused for a minute, one writes it down and none waits for that one.
type touches struct {
	mutex sync.Mutex
	at    map[core.ID]time.Time
}

// claim reports whether the caller is to write that something was used.
func (t *touches) claim(id core.ID, now, stale time.Time) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if last, known := t.at[id]; known && last.After(stale) {
		return false
	}
	if t.at == nil || len(t.at) >= maxTouches {
		t.at = map[core.ID]time.Time{}
	}
	t.at[id] = now
	return true
}

// release gives a claim back that came to nothing.
func (t *touches) release(id core.ID) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.at, id)
}

// touch writes that something was used, at most once per touchEvery. Whoever finds the row locked
// by another process's touch leaves it to that one.
func (d *Directory) touch(ctx context.Context, query string, workspace, id core.ID, last *time.Time, now time.Time) error {
	stale := now.Add(-touchEvery)
	if last != nil && last.After(stale) || !d.touches.claim(id, now, stale) {
		return nil
	}
	_, err := d.DB.Exec(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": now, "stale": stale})
	if err != nil {
		d.touches.release(id)
	}
	return postgres.Classify(err)
}
