package signing_test

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/signing"
	"postern/core/vault"
	"postern/core/vault/vaulttest"
)

// house is two workspaces that sign, and a second process that looks at the same database.
type house struct {
	db           *postgres.DB
	signing      *signing.Signing
	neighbour    *signing.Signing
	ahead        atomic.Int64
	acme, globex core.ID
	cause        core.Cause
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{db: postgrestest.Open(t), cause: core.NewCause(core.System, time.Now())}
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	coretest.Must(t, err)
	now := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	h.signing = &signing.Signing{DB: h.db, Vault: &vault.Vault{DB: h.db, Keys: key, Now: now}, Now: now}
	h.neighbour = &signing.Signing{DB: h.db, Vault: &vault.Vault{DB: h.db, Keys: key, Now: now}, Now: now}
	people := &directory.Directory{DB: h.db}
	coretest.Must(t, h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		acme, err := people.CreateWorkspace(t.Context(), tx, h.cause, "acme", "Acme")
		if err != nil {
			return err
		}
		globex, err := people.CreateWorkspace(t.Context(), tx, h.cause, "globex", "Globex")
		h.acme, h.globex = acme.ID, globex.ID
		return err
	}))
	return h
}

func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

// Find implements jwt.Keys with what a workspace publishes; the issuer is its id.
func (h *house) Find(ctx context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	workspace, err := core.ParseID(source.Issuer)
	if err != nil {
		return nil, err
	}
	keys, err := h.neighbour.PublicKeys(ctx, workspace)
	return slices.DeleteFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID != kid }), err
}

func (h *house) Renew(ctx context.Context, source jwt.Source) ([]jose.JSONWebKey, error) {
	return h.Find(ctx, source, "")
}

func (h *house) sign(t *testing.T, workspace core.ID) string {
	t.Helper()
	compact, err := h.signing.Sign(t.Context(), workspace, "secevent+jwt", map[string]any{"iss": workspace.String(), "aud": "a", "jti": "1"})
	coretest.Must(t, err)
	return compact
}

// verify checks a token as somebody else would, with the keys published by another process.
func (h *house) verify(t *testing.T, workspace core.ID, compact string) (jwt.Token, error) {
	t.Helper()
	verifier := jwt.Verifier{Keys: h}
	return verifier.Verify(t.Context(), compact, jwt.Expected{
		Types: []string{"secevent+jwt"}, Algorithms: []jose.SignatureAlgorithm{jose.RS256}, Issuers: []string{workspace.String()}, Audiences: []string{"a"}, Expiry: jwt.Forbidden,
	})
}

func (h *house) kid(t *testing.T, compact string) string {
	t.Helper()
	token, err := jwt.Peek(compact, jwt.Expected{Types: []string{"secevent+jwt"}})
	coretest.Must(t, err)
	return token.KeyID
}

func (h *house) published(t *testing.T, workspace core.ID) []string {
	t.Helper()
	keys, err := h.neighbour.PublicKeys(t.Context(), workspace)
	coretest.Must(t, err)
	ids := []string{}
	for _, key := range keys {
		public, ok := key.Key.(*rsa.PublicKey)
		if !ok || public.N.BitLen() < 2048 || key.Use != "sig" || key.Algorithm != "RS256" || !key.IsPublic() {
			t.Errorf("key %+v", key)
		}
		ids = append(ids, key.KeyID)
	}
	return ids
}

func (h *house) events(t *testing.T, workspace core.ID) []core.EventType {
	t.Helper()
	rows, err := h.db.Query(t.Context(), `select type from audit_outbox where workspace_id = @workspace and type like 'signing%' order by xid, number`, pgx.StrictNamedArgs{"workspace": workspace})
	coretest.Must(t, err)
	types, err := pgx.CollectRows(rows, pgx.RowTo[core.EventType])
	coretest.Must(t, err)
	return types
}

func TestTheFirstUseMakesTheKey(t *testing.T) {
	h := open(t)
	if ids := h.published(t, h.acme); len(ids) != 0 {
		t.Fatalf("published %v", ids)
	}
	var wait sync.WaitGroup
	kids := make([]string, 6)
	for n := range kids {
		wait.Go(func() {
			from := []*signing.Signing{h.signing, h.neighbour}[n%2]
			compact, err := from.Sign(t.Context(), h.acme, "secevent+jwt", map[string]any{"iss": "i"})
			if err != nil {
				t.Error(err)
				return
			}
			kids[n] = h.kid(t, compact)
		})
	}
	wait.Wait()
	if slices.Sort(kids); len(slices.Compact(kids)) != 1 {
		t.Errorf("several keys: %v", kids)
	}
	token, err := h.verify(t, h.acme, h.sign(t, h.acme))
	if err != nil || token.Issuer != h.acme.String() {
		t.Errorf("%+v, %v", token, err)
	}
	// The other workspace has its own, and neither verifies what the other signs.
	theirs := h.sign(t, h.globex)
	if h.kid(t, theirs) == kids[0] {
		t.Error("two workspaces have one key")
	}
	if _, err := h.verify(t, h.acme, theirs); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("got %v", err)
	}
	for _, workspace := range []core.ID{h.acme, h.globex} {
		if ids := h.published(t, workspace); len(ids) != 1 {
			t.Errorf("published %v", ids)
		}
		if diff := cmp.Diff([]core.EventType{core.SigningKeyCreated}, h.events(t, workspace)); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := h.signing.Sign(t.Context(), core.NewID(), "x", nil); core.KindOf(err) != core.KindNotFound {
		t.Errorf("an unknown workspace: %v", err)
	}
	if keys, err := h.signing.PublicKeys(t.Context(), core.NewID()); err != nil || len(keys) != 0 {
		t.Errorf("an unknown workspace: %v, %v", keys, err)
	}
}

func TestRotation(t *testing.T) {
	h := open(t)
	coretest.Must(t, h.signing.Prepare(t.Context(), h.cause, h.acme))
	coretest.Must(t, h.signing.Prepare(t.Context(), h.cause, h.acme))
	before := h.sign(t, h.acme)
	h.pass(time.Hour)
	coretest.Must(t, h.signing.Rotate(t.Context(), h.cause, h.acme))
	if err := h.signing.Rotate(t.Context(), h.cause, h.acme); core.AsError(err).Code != "rotation_under_way" {
		t.Errorf("a second one: %v", err)
	}
	ids := h.published(t, h.acme)
	if len(ids) != 2 || ids[0] != h.kid(t, before) || h.kid(t, h.sign(t, h.acme)) != ids[0] {
		t.Fatalf("a new key signs before it is known: %v", ids)
	}
	h.pass(signing.Ahead)
	after := h.sign(t, h.acme)
	if h.kid(t, after) != ids[1] {
		t.Error("the new key does not sign")
	}
	for _, compact := range []string{before, after} {
		if _, err := h.verify(t, h.acme, compact); err != nil {
			t.Error(err)
		}
	}
	h.pass(signing.After)
	if left := h.published(t, h.acme); !slices.Equal(left, ids[1:]) {
		t.Errorf("published after a week: %v of %v", left, ids)
	}
	if _, err := h.verify(t, h.acme, before); core.AsError(err).Code != jwt.StageKey {
		t.Errorf("got %v", err)
	}
	// At once: with a new key, or with the one that waits.
	coretest.Must(t, h.signing.RotateNow(t.Context(), h.cause, h.acme))
	h.pass(2 * time.Second)
	if all := h.published(t, h.acme); len(all) != 2 || h.kid(t, h.sign(t, h.acme)) != all[1] {
		t.Errorf("published %v", all)
	}
	h.pass(time.Minute)
	coretest.Must(t, h.signing.Rotate(t.Context(), h.cause, h.acme))
	coretest.Must(t, h.signing.RotateNow(t.Context(), h.cause, h.acme))
	h.pass(time.Minute)
	if all := h.published(t, h.acme); len(all) != 3 || h.kid(t, h.sign(t, h.acme)) != all[2] {
		t.Errorf("published %v", all)
	}
	want := []core.EventType{core.SigningKeyCreated, core.SigningKeyRotated, core.SigningKeyRotated, core.SigningKeyRotated, core.SigningKeyRotated}
	if diff := cmp.Diff(want, h.events(t, h.acme)); diff != "" {
		t.Error(diff)
	}
	if len(h.published(t, h.globex)) != 0 || len(h.events(t, h.globex)) != 0 {
		t.Error("another workspace's keys were touched")
	}
	if err := h.signing.Rotate(t.Context(), h.cause, core.NewID()); core.KindOf(err) != core.KindNotFound {
		t.Errorf("an unknown workspace: %v", err)
	}
}

// Every private key is in the vault, and its PEM nowhere in clear.
func TestPrivateKeysAreSealed(t *testing.T) {
	h := open(t)
	compact := h.sign(t, h.acme)
	id, err := core.ParseID(h.kid(t, compact))
	coretest.Must(t, err)
	opened, err := h.signing.Vault.Open(t.Context(), h.db, h.acme, id, "signing_key", 1)
	coretest.Must(t, err)
	if _, err := h.signing.Vault.Open(t.Context(), h.db, h.globex, id, "signing_key", 1); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace opens it: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(opened.Reveal()), "\n")
	vaulttest.NotInClear(t, h.db, lines[1], lines[len(lines)/2])
	if text, err := json.Marshal(opened); err != nil || strings.Contains(string(text), lines[1]) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTheStagesOfKeys(t *testing.T) {
	h := open(t)
	stages := func() (all []signing.Stage) {
		t.Helper()
		keys, err := h.signing.List(t.Context(), h.acme)
		coretest.Must(t, err)
		for i, key := range keys {
			if (key.Retires == nil) != (i == len(keys)-1) || len(key.Thumbprint) != 43 {
				t.Errorf("%+v", key)
			}
			all = append(all, key.Stage)
		}
		return all
	}
	wants := func(want ...signing.Stage) {
		t.Helper()
		if diff := cmp.Diff(want, stages()); diff != "" {
			t.Error(diff)
		}
	}
	wants()
	coretest.Must(t, h.signing.Prepare(t.Context(), h.cause, h.acme))
	wants(signing.Current)
	h.pass(time.Hour)
	coretest.Must(t, h.signing.Rotate(t.Context(), h.cause, h.acme))
	wants(signing.Current, signing.Next)
	h.pass(signing.Ahead)
	wants(signing.Previous, signing.Current)
	h.pass(signing.After)
	wants(signing.Retired, signing.Current)
	coretest.Must(t, h.signing.RotateNow(t.Context(), h.cause, h.acme))
	wants(signing.Retired, signing.Previous, signing.Current)
	if keys, err := h.signing.List(t.Context(), h.globex); err != nil || len(keys) != 0 {
		t.Errorf("another workspace: %v, %v", keys, err)
	}
}
