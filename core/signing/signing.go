package signing

import (
	"context"
	"crypto/rsa"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/vault"
)

// How long the stages of a key last.
const (
	// Ahead is how long a new key is published before it signs.
	Ahead = 24 * time.Hour
	// After is how long a key stays published when the next one has begun to sign.
	After = 7 * 24 * time.Hour

	algorithm = jose.RS256
	bits      = 2048
	field     = "signing_key"
	// remember bounds how long a rotation in another process may go unnoticed by who signs, and fresh by who
	// publishes: a key that signs at once is in every process's set within seconds.
	remember = time.Minute
	fresh    = 2 * time.Second
	mostKept = 1024 // workspaces in memory
)

// Signing signs for workspaces. It is safe for concurrent use; do not copy it after first use.
type Signing struct {
	DB    *postgres.DB
	Vault *vault.Vault
	Now   func() time.Time // nil: time.Now
	Wake  func()           // called after a commit with events, if set

	lock  sync.Mutex
	known map[core.ID]*remembered
}

// remembered is what a process knows of a workspace's keys for a while.
type remembered struct {
	keys    []key
	private map[core.ID]*rsa.PrivateKey
	read    time.Time
}

// now is the time as PostgreSQL keeps it.
func (s *Signing) now() time.Time { return postgres.Now(s.Now) }

// keys are a workspace's, oldest first: from memory if they are no older than age, or as they are now.
func (s *Signing) keys(ctx context.Context, workspace core.ID, age time.Duration) (*remembered, error) {
	s.lock.Lock()
	found, ok := s.known[workspace]
	s.lock.Unlock()
	if ok && s.now().Sub(found.read) < age {
		return found, nil
	}
	read := &remembered{private: map[core.ID]*rsa.PrivateKey{}, read: s.now()}
	var err error
	if read.keys, err = s.list(ctx, s.DB, workspace); err != nil {
		return nil, err
	}
	if len(read.keys) == 0 {
		return read, nil // anybody can ask about any workspace; nobody's takes up memory
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.known == nil {
		s.known = map[core.ID]*remembered{}
	}
	for other, kept := range s.known {
		if read.read.Sub(kept.read) >= remember || len(s.known) >= mostKept {
			delete(s.known, other)
		}
	}
	if ok {
		read.private = found.private // opened keys stay the same
	}
	s.known[workspace] = read
	return read, nil
}

// forget makes the next use read the keys anew.
func (s *Signing) forget(workspace core.ID) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.known, workspace)
}

// private opens a key, or takes it from memory.
func (s *Signing) private(ctx context.Context, workspace core.ID, of *remembered, id core.ID) (*rsa.PrivateKey, error) {
	s.lock.Lock()
	found, ok := of.private[id]
	s.lock.Unlock()
	if ok {
		return found, nil
	}
	opened, err := s.Vault.Open(ctx, s.DB, workspace, id, field, 1)
	if err != nil {
		return nil, err
	}
	made, err := parsePrivate(opened)
	if err != nil {
		return nil, core.Internal(err)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	of.private[id] = made
	return made, nil
}

// store keeps a new key and its private half, in the transaction.
func (s *Signing) store(ctx context.Context, tx pgx.Tx, made key, private seal.Secret) error {
	home, err := s.Vault.Prepare(ctx, tx, made.Workspace)
	if err != nil {
		return err
	}
	if err := s.Vault.Put(ctx, tx, made.Workspace, home, made.ID, field, 1, private); err != nil {
		return err
	}
	return s.insert(ctx, tx, made)
}
