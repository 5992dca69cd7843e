package hooks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
)

const maxHooks = 32

// NewHook is what making a hook takes.
type NewHook struct {
	Connection core.ID
	Kind       Kind
	Name       string
	Settings   Settings
	// Secret is the one the sender gave: whsec_ or whpk_ of Standard Webhooks, or the key of a signature. Zero:
	// one is made. Okta's key and Graph's client state are always made.
	Secret seal.Secret
	// AccessSecret is for the sender's API, sealed. Zero: none, or Access.SecretReference.
	AccessSecret seal.Secret
}

// Made is a hook as it was made or rotated, with the secret that is told this once; zero where the sender gave it.
type Made struct {
	Hook
	Secret seal.Secret
}

const countHooks = `select count(*) from hooks where workspace_id = @workspace and connection_id = @connection`

const insertHook = `

insert into hooks (id, workspace_id, connection_id, kind, name, settings, secret_version, hashes, access_version, due, created, updated)
values (@id, @workspace, @connection, @kind, @name, @settings, @secret, @hashes, @access, @due, @now, @now)`

// Create makes a hook. Of Microsoft Graph the worker then makes the subscription, so the gateway must be
// reachable. A taken name is a Conflict on "name".
func (s *Service) Create(ctx context.Context, cause core.Cause, workspace core.ID, wanted NewHook) (Made, error) {
	now := s.now()
	hook := Hook{ID: core.NewID(), Workspace: workspace, Connection: wanted.Connection, Kind: wanted.Kind, Name: wanted.Name, Settings: wanted.Settings, Hashes: [][]byte{}, Created: now, Updated: now}
	if err := hook.check(); err != nil {
		return Made{}, err
	}
	if hook.Kind == Graph && wanted.AccessSecret.IsZero() && hook.Settings.Access.SecretReference == "" {
		return Made{}, core.Invalid("access.secret", "the client's secret is needed: Postern makes the subscription itself")
	}
	secret, told, err := hook.newSecret(wanted.Secret)
	if err != nil {
		return Made{}, err
	}
	if hook.Settings.Access.Address != "" || hook.Kind == Graph {
		hook.Due = &now
	}
	err = s.change(ctx, func(tx pgx.Tx) error {
		connection, err := s.Directory.Connection(ctx, tx, workspace, wanted.Connection)
		if err != nil {
			return err
		}
		var there int
		if err := tx.QueryRow(ctx, countHooks, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection.ID}).Scan(&there); err != nil {
			return err
		}
		if there >= maxHooks {
			return core.Conflict("connection", "a connection has at most %d hooks", maxHooks)
		}
		if err := s.seal(ctx, tx, &hook, secret, wanted.AccessSecret); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertHook, pgx.StrictNamedArgs{
			"id": hook.ID, "workspace": workspace, "connection": connection.ID, "kind": hook.Kind, "name": hook.Name, "settings": hook.Settings,
			"secret": hook.SecretVersion, "hashes": hook.Hashes, "access": hook.AccessVersion, "due": hook.Due, "now": now,
		}); err != nil {
			return collision(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.HookCreated, workspace, cause, now, hook.Target(), connection.Target()).With("kind", string(hook.Kind)))
	})
	if err != nil {
		return Made{}, err
	}
	return Made{hook, told}, nil
}

// newSecret is the next secret of a hook, and what of it is told: what the sender gave is known to it.
func (h *Hook) newSecret(given seal.Secret) (secret, told seal.Secret, err error) {
	switch h.Kind {
	case Okta:
		secret = seal.NewToken("pst_hook")
		h.Hashes = append([][]byte{seal.HashToken(secret.Reveal())}, h.Hashes[:min(1, len(h.Hashes))]...)
		return seal.Secret{}, secret, nil
	case Graph:
		return seal.Secret{}, seal.Secret{}, nil // made with each subscription
	case Standard:
		if given.IsZero() {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails: it ends the process instead
			secret = seal.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key))
			return secret, secret, nil
		}
		_, err = standardKey(given)
		return given, seal.Secret{}, err
	}
	if h.Settings.Scheme.JWT != nil {
		if !given.IsZero() {
			return seal.Secret{}, seal.Secret{}, core.Invalid("secret", "a JWT is checked by the sender's public keys")
		}
		return seal.Secret{}, seal.Secret{}, nil
	}
	if given.IsZero() {
		secret = seal.NewToken("pst_hook")
		return secret, secret, nil
	}
	if len(given.Reveal()) < 16 {
		return seal.Secret{}, seal.Secret{}, core.Invalid("secret", "a secret has at least 16 bytes")
	}
	_, err = h.Settings.Scheme.filled().key(given)
	return given, seal.Secret{}, err
}

// seal puts secrets into the vault, each as a new version.
func (s *Service) seal(ctx context.Context, tx pgx.Tx, hook *Hook, secret, access seal.Secret) error {
	for _, one := range []struct {
		field   string
		version *int
		value   seal.Secret
	}{{secretField, &hook.SecretVersion, secret}, {accessField, &hook.AccessVersion, access}} {
		if one.value.IsZero() {
			continue
		}
		vault, err := s.Vault.Prepare(ctx, tx, hook.Workspace)
		if err != nil {
			return err
		}
		*one.version++
		if err := s.Vault.Put(ctx, tx, hook.Workspace, vault, hook.ID, one.field, *one.version, one.value); err != nil {
			return err
		}
	}
	return nil
}

// check refuses settings that cannot work.
func (h Hook) check() error {
	if h.Name == "" || len(h.Name) > 100 {
		return core.Invalid("name", "a name has 1 to 100 bytes")
	}
	access := h.Settings.Access
	for field, address := range map[string]string{"access.address": access.Address, "access.token_endpoint": access.TokenEndpoint} {
		parsed, err := url.Parse(address)
		if address != "" && (err != nil || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.Scheme != "https" && parsed.Scheme != "http") {
			return core.Invalid(field, "an address that begins with https:// is needed")
		}
	}
	switch h.Kind {
	case Okta:
		return nil
	case Graph:
		if access.ClientID == "" || access.Tenant == "" && access.TokenEndpoint == "" {
			return core.Invalid("access", "Microsoft Graph is reached with a client_id and a tenant")
		}
		if strings.ContainsAny(access.Tenant, "/?#% ") {
			return core.Invalid("access.tenant", "the tenant is an id or a domain")
		}
		return nil
	case Standard, Signed:
		if h.Settings.Mapping == nil {
			return core.Invalid("mapping", "say which types mean what, and where the person stands")
		}
		if err := h.Settings.Mapping.check(); err != nil || h.Kind == Standard {
			return err
		}
		if h.Settings.Scheme == nil {
			return core.Invalid("scheme", "say how messages are signed: a preset, hmac or jwt")
		}
		return h.Settings.Scheme.filled().check()
	}
	return core.Invalid("kind", "a hook is okta, graph, standard or signed")
}
