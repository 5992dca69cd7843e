package proof

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Key is a public key that checkpoints, exports and proofs are signed with.
type Key struct {
	ID          string     `json:"key_id"`               // as audit.KeyID
	Public      []byte     `json:"public_key"`           // Ed25519 (RFC 8032), base64
	Fingerprint string     `json:"fingerprint"`          // SHA-256 of the public key, hexadecimal
	FirstUsed   *time.Time `json:"first_used,omitempty"` // when a process first started with it
}

// KeyOf tells of a public key.
func KeyOf(public ed25519.PublicKey) Key {
	sum := sha256.Sum256(public)
	return Key{ID: audit.KeyID(public), Public: public, Fingerprint: hex.EncodeToString(sum[:])}
}

// Keys are public keys that are trusted, by their ids.
type Keys map[string]ed25519.PublicKey

// KeysOf are the keys that are told of. One that is not an Ed25519 key is left out, and so trusted by nobody.
func KeysOf(told ...Key) Keys {
	keys := Keys{}
	for _, one := range told {
		if len(one.Public) == ed25519.PublicKeySize {
			keys[audit.KeyID(one.Public)] = one.Public
		}
	}
	return keys
}

// ParseKeys reads a file of public keys: the JSON that the API lists them in, PEM (RFC 8410), or one key a line in
// base64 or hexadecimal.
func ParseKeys(text []byte) (Keys, error) {
	keys := Keys{}
	trimmed := bytes.TrimSpace(text)
	refused := core.Invalid("key", "this holds no Ed25519 public key: give what 'postern audit keys --output json' prints, PEM, or base64")
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(trimmed, []byte("[")):
		var listed struct {
			Items []Key `json:"items"`
		}
		target := any(&listed)
		if trimmed[0] == '[' {
			target = &listed.Items
		}
		if err := json.Unmarshal(trimmed, target); err != nil {
			return nil, refused.Because(err)
		}
		keys = KeysOf(listed.Items...)
		if len(keys) != len(listed.Items) {
			return nil, refused
		}
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN")):
		for block, rest := pem.Decode(trimmed); block != nil; block, rest = pem.Decode(rest) {
			parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
			public, ed := parsed.(ed25519.PublicKey)
			if err != nil || !ed {
				return nil, refused.Because(err)
			}
			keys[audit.KeyID(public)] = public
		}
	default:
		for _, word := range strings.Fields(string(trimmed)) {
			public, err := base64.StdEncoding.DecodeString(word)
			if len(word) == hex.EncodedLen(ed25519.PublicKeySize) {
				public, err = hex.DecodeString(word)
			}
			if err != nil || len(public) != ed25519.PublicKeySize {
				return nil, refused.Because(err)
			}
			keys[audit.KeyID(public)] = public
		}
	}
	if len(keys) == 0 {
		return nil, refused
	}
	return keys, nil
}

// verify says what is wrong with a signature, if anything; of is what is signed.
func (k Keys) verify(id string, payload, signature []byte, sequence int64, of string) *Fault {
	public, known := k[id]
	switch {
	case !known:
		return wrong(FaultKey, sequence, "%s is signed with the key %s, which is not among those you trust", of, id)
	case !ed25519.Verify(public, payload, signature):
		return wrong(audit.FaultSignature, sequence, "%s is not signed by the key %s", of, id)
	}
	return nil
}

const insertKey = `
insert into audit_keys (key_id, public_key, first_used)
values (@id, @public, @now)
on conflict (key_id) do nothing`

// Remember keeps a public key for good: what was signed with it is verified with it also after it was replaced.
func Remember(ctx context.Context, q postgres.Querier, public ed25519.PublicKey, now time.Time) error {
	_, err := q.Exec(ctx, insertKey, pgx.StrictNamedArgs{"id": audit.KeyID(public), "public": []byte(public), "now": now})
	return postgres.Classify(err)
}

const selectKeys = `
select public_key, first_used
from audit_keys
order by first_used, key_id`

// KnownKeys are all keys that were ever used here, oldest first. They are the installation's, not a workspace's.
func KnownKeys(ctx context.Context, q postgres.Querier) ([]Key, error) {
	rows, err := q.Query(ctx, selectKeys)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Key, error) {
		var public []byte
		var used time.Time
		if err := row.Scan(&public, &used); err != nil {
			return Key{}, err
		}
		key := KeyOf(public)
		used = used.UTC()
		key.FirstUsed = &used
		return key, nil
	})
	return keys, postgres.Classify(err)
}
