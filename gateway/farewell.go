package gateway

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inUse is how long ago a connection was used, at most, that is waited for.
	inUse = time.Second
	// farewell is how long such connections are waited for to be used once more.
	farewell = 2 * time.Second
)

// guests are the connections that lie idle between two requests, and since when. Whoever keeps one is told with an
// answer that it ends: one that is closed while it lies idle may be closed just as the next request is sent, and
// nobody could tell whether that was carried out.
type guests struct {
	leaving atomic.Bool
	lock    sync.Mutex
	idle    map[net.Conn]time.Time
}

// note is a http.Server's ConnState.
func (g *guests) note(connection net.Conn, state http.ConnState) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if state != http.StateNew && state != http.StateIdle {
		delete(g.idle, connection)
		return
	}
	if g.idle == nil {
		g.idle = map[net.Conn]time.Time{}
	}
	g.idle[connection] = time.Now()
}

// lastly has every answer given while the gateway stops be the last one on its connection.
func (g *guests) lastly(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// leave waits until no connection that was in use when it was called lies idle, at most for so long.
func (g *guests) leave(longest time.Duration) {
	now := time.Now()
	for g.waits(now.Add(-inUse)) && time.Since(now) < longest {
		time.Sleep(5 * time.Millisecond)
	}
}

// waits reports whether a connection lies idle that was used after a time.
func (g *guests) waits(after time.Time) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	for _, since := range g.idle {
		if since.After(after) {
			return true
		}
	}
	return false
}
