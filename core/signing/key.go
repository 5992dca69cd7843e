package signing

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// key is one key of a workspace. Which stage it is in follows from the times of all of them.
type key struct {
	ID        core.ID   `db:"id"`
	Workspace core.ID   `db:"workspace_id"`
	Algorithm string    `db:"algorithm"`
	PublicKey []byte    `db:"public_key"`
	Created   time.Time `db:"created"`
	Activates time.Time `db:"activates"`
}

// target is the key as an event names it.
func (k key) target() core.Target {
	return core.Target{Kind: "signing_key", ID: k.ID, Name: k.ID.String()}
}

// generate makes a key that is stored nowhere yet.
func generate(workspace core.ID, created, activates time.Time) (key, seal.Secret, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return key{}, seal.Secret{}, core.Internal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return key{}, seal.Secret{}, core.Internal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return key{}, seal.Secret{}, core.Internal(err)
	}
	made := key{ID: core.NewID(), Workspace: workspace, Algorithm: string(algorithm), PublicKey: public, Created: created, Activates: activates}
	return made, seal.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}

func parsePrivate(opened seal.Secret) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(opened.Reveal()))
	if block == nil {
		return nil, errors.New("signing: the stored key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("signing: the stored key cannot be read")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("signing: the stored key is not an RSA key")
	}
	return private, nil
}

const selectKeys = `
select id, workspace_id, algorithm, public_key, created, activates
from signing_keys where workspace_id = @workspace order by activates`

func (s *Signing) list(ctx context.Context, q postgres.Querier, workspace core.ID) ([]key, error) {
	rows, err := q.Query(ctx, selectKeys, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByName[key])
	return keys, postgres.Classify(err)
}

const insertKey = `
insert into signing_keys (id, workspace_id, algorithm, public_key, created, activates)
values (@id, @workspace, @algorithm, @public, @created, @activates)`

func (s *Signing) insert(ctx context.Context, tx pgx.Tx, made key) error {
	_, err := tx.Exec(ctx, insertKey, pgx.StrictNamedArgs{
		"id": made.ID, "workspace": made.Workspace, "algorithm": made.Algorithm, "public": made.PublicKey, "created": made.Created, "activates": made.Activates,
	})
	return postgres.Classify(err)
}

const lockWorkspace = `select id from workspaces where id = @workspace for no key update`

// lockKeys makes everybody who would change a workspace's keys wait, and reads them.
func (s *Signing) lockKeys(ctx context.Context, tx pgx.Tx, workspace core.ID) ([]key, error) {
	var locked core.ID
	err := tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&locked)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, core.NotFound("workspace")
	}
	if err != nil {
		return nil, postgres.Classify(err)
	}
	return s.list(ctx, tx, workspace)
}

// current is the key that signs now, or nil when there is none. The first one signs whatever the clock of
// another process said when it was made.
func current(keys []key, now time.Time) *key {
	for i := len(keys) - 1; i >= 0; i-- {
		if !keys[i].Activates.After(now) {
			return &keys[i]
		}
	}
	if len(keys) > 0 {
		return &keys[0]
	}
	return nil
}

// published are the keys others may meet now: the next one, the current one, and what signed until lately.
func published(keys []key, now time.Time) []key {
	for i := len(keys) - 1; i > 0; i-- {
		if !keys[i].Activates.Add(After).After(now) {
			return keys[i:]
		}
	}
	return keys
}
