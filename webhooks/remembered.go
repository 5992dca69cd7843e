package webhooks

import (
	"context"
	"slices"
	"sync"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/webhooks/origins"
)

const (
	// rememberFor is how long a connection is remembered to refuse by. What is accepted by memory asks in its own
	// transaction whether the connection is still the same.
	rememberFor   = 5 * time.Second
	maxRemembered = 10_000
)

// remembered are connections as they were read last: a flood of forged tokens is refused by them without asking
// the database.
type remembered struct {
	lock  sync.RWMutex
	known map[core.ID]seen
}

type seen struct {
	connection directory.Connection
	row        uint32 // its version
	read       time.Time
	untyped    bool // tokens that do not say what they are may come
	asked      time.Time
}

func (r *remembered) get(id core.ID) (seen, bool) {
	r.lock.RLock()
	defer r.lock.RUnlock()
	found, ok := r.known[id]
	return found, ok
}

func (r *remembered) put(connection directory.Connection, row uint32, read time.Time) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.known == nil || len(r.known) >= maxRemembered {
		r.known = map[core.ID]seen{}
	}
	known := r.known[connection.ID]
	known.connection, known.row, known.read = connection, row, read
	r.known[connection.ID] = known
}

func (r *remembered) allow(id core.ID, untyped bool, asked time.Time) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if known, ok := r.known[id]; ok {
		known.untyped, known.asked = untyped, asked
		r.known[id] = known
	}
}

// connection finds the connection of the path, as it was at most a few seconds ago. An unknown one is answered as
// an unknown caller is, so that ids cannot be tried; who tries many is slowed down like one who sends bad tokens.
func (s *Service) connection(ctx context.Context, text string, address string) (seen, error) {
	id, err := core.ParseID(text)
	if err != nil {
		return seen{}, unknownConnection().Because(err)
	}
	now := s.now()
	found, known := s.connections.get(id)
	if age := now.Sub(found.read); known && age >= 0 && age < rememberFor {
		return found, nil
	}
	if !known {
		if wait, limited := s.failures.Limited(now, origins.Of(core.ID{}, address)); limited {
			return seen{}, tooMany(wait)
		}
	}
	read, err := s.current(ctx, id)
	if !known && core.KindOf(err) == core.KindUnauthenticated {
		s.failures.Count(now, origins.Of(core.ID{}, address))
	}
	return read, err
}

// untyped reports whether a connection lets its tokens not say what they are, as it was within the age.
func (s *Service) untyped(ctx context.Context, connection directory.Connection, age time.Duration) (bool, error) {
	now := s.now()
	if found, known := s.connections.get(connection.ID); known && now.Sub(found.asked) < age {
		return found.untyped, nil
	}
	quirks, err := s.Directory.LogoutQuirks(ctx, s.DB, connection.Workspace, connection.ID)
	if err != nil {
		return false, err
	}
	allowed := slices.Contains(quirks, directory.LogoutUntyped)
	s.connections.allow(connection.ID, allowed, now)
	return allowed, nil
}

// current reads a connection as it is now.
func (s *Service) current(ctx context.Context, id core.ID) (seen, error) {
	read, row, err := s.Directory.VersionedConnection(ctx, s.DB, id)
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return seen{}, unknownConnection().Because(err)
	}
	if err != nil {
		return seen{}, err
	}
	now := s.now()
	s.connections.put(read, row, now)
	return seen{connection: read, row: row, read: now}, nil
}

func unknownConnection() *core.Error {
	return core.Unauthenticated("the token is not one of this connection").WithCode("connection")
}
