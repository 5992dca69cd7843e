package signing

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

// Stage is how far a key is in its life.
type Stage string

// The stages, in order.
const (
	Next     Stage = "next"     // published, signs later
	Current  Stage = "current"  // signs
	Previous Stage = "previous" // signed until lately, still published
	Retired  Stage = "retired"  // published no longer
)

// Key is what may be told of a key.
type Key struct {
	ID         core.ID
	Stage      Stage
	Algorithm  string
	Created    time.Time
	Activates  time.Time  // when it begins to sign
	Retires    *time.Time // when it is published no longer; nil: that is not known yet
	Thumbprint string     // RFC 7638, SHA-256
}

// List tells of all keys a workspace ever had, oldest first. It makes none.
func (s *Signing) List(ctx context.Context, workspace core.ID) ([]Key, error) {
	keys, err := s.list(ctx, s.DB, workspace)
	if err != nil {
		return nil, err
	}
	now := s.now()
	signs, shown := current(keys, now), published(keys, now)
	told := make([]Key, 0, len(keys))
	for i, one := range keys {
		public, err := x509.ParsePKIXPublicKey(one.PublicKey)
		if err != nil {
			return nil, core.Internal(err)
		}
		print, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, core.Internal(err)
		}
		made := Key{ID: one.ID, Stage: Retired, Algorithm: one.Algorithm, Created: one.Created.UTC(), Activates: one.Activates.UTC(), Thumbprint: base64.RawURLEncoding.EncodeToString(print)}
		switch {
		case one.ID == signs.ID:
			made.Stage = Current
		case one.Activates.After(now):
			made.Stage = Next
		case i >= len(keys)-len(shown):
			made.Stage = Previous
		}
		if i+1 < len(keys) {
			made.Retires = new(keys[i+1].Activates.Add(After).UTC())
		}
		told = append(told, made)
	}
	return told, nil
}
