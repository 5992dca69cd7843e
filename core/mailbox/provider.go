package mailbox

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// The kinds of SMS providers, by how they sign.
const (
	Twilio   = "twilio"   // HMAC-SHA1 over address and parameters, with the account's auth token
	Standard = "standard" // Standard Webhooks 1.0
)

// Provider hands over the text messages to a workspace's numbers.
type Provider struct {
	ID      core.ID   `db:"id"`
	Kind    string    `db:"kind"`
	Name    string    `db:"name"`
	Created time.Time `db:"created"`
}

// Target is the provider as what something happened to.
func (p Provider) Target() core.Target {
	return core.Target{Kind: "sms_provider", ID: p.ID, Name: p.Name}
}

const (
	secretField = "secret"
	maxName     = 100
	maxSecret   = 500
)

const insertProvider = `
insert into sms_providers (id, workspace_id, kind, name, created) values (@id, @workspace, @kind, @name, @created)`

// CreateProvider lets somebody hand over text messages, signed with a secret: for Twilio the auth token; for Standard one
// that begins with whsec_, or none: then it is made, and returned. Administrators may, service accounts and the system.
func (m *Mailboxes) CreateProvider(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, kind, name string, given seal.Secret) (_ Provider, secret seal.Secret, err error) {
	name = strings.TrimSpace(name)
	switch {
	case kind != Twilio && kind != Standard:
		return Provider{}, seal.Secret{}, core.Invalid("kind", "a provider is twilio or standard")
	case name == "" || len(name) > maxName || !validText(name):
		return Provider{}, seal.Secret{}, core.Invalid("name", "give it a name of at most %d bytes", maxName)
	case kind == Twilio && given.IsZero():
		return Provider{}, seal.Secret{}, core.Invalid("secret", "Twilio signs with the account's auth token: give it")
	case len(given.Reveal()) > maxSecret, !given.IsZero() && len(given.Reveal()) < 16:
		return Provider{}, seal.Secret{}, core.Invalid("secret", "a secret has 16 to %d bytes", maxSecret)
	}
	if kind == Standard {
		if given.IsZero() {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails: it ends the process instead
			secret = seal.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key))
			given = secret
		}
		text, prefixed := strings.CutPrefix(given.Reveal(), "whsec_")
		if key, err := base64.StdEncoding.DecodeString(text); err != nil || !prefixed || len(key) < 16 {
			return Provider{}, seal.Secret{}, core.Invalid("secret", "whsec_ is followed by the base64 of 24 to 64 bytes")
		}
	}
	if err := m.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return Provider{}, seal.Secret{}, err
	}
	home, err := m.Vault.Prepare(ctx, tx, workspace)
	if err != nil {
		return Provider{}, seal.Secret{}, err
	}
	made := Provider{ID: core.NewID(), Kind: kind, Name: name, Created: m.now()}
	_, err = tx.Exec(ctx, insertProvider, pgx.StrictNamedArgs{"id": made.ID, "workspace": workspace, "kind": kind, "name": name, "created": made.Created})
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "sms_provider_name" {
		return Provider{}, seal.Secret{}, core.Conflict("name", "another provider has this name").WithCode("sms_provider_name")
	}
	if err != nil {
		return Provider{}, seal.Secret{}, postgres.Classify(err)
	}
	if err := m.Vault.Put(ctx, tx, workspace, home, made.ID, secretField, 1, given); err != nil {
		return Provider{}, seal.Secret{}, err
	}
	return made, secret, audit.Append(ctx, tx, core.NewEvent(core.SMSProviderCreated, workspace, cause, made.Created, made.Target()).With("kind", kind))
}

const providerColumns = `select id, kind, name, created from sms_providers where workspace_id = @workspace`

// Providers lists a workspace's providers by name.
func (m *Mailboxes) Providers(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Provider, error) {
	return postgres.Many[Provider](ctx, q, providerColumns+` order by name`, pgx.StrictNamedArgs{"workspace": workspace})
}

// Provider finds one, and the secret it signs with.
func (m *Mailboxes) Provider(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Provider, seal.Secret, error) {
	found, err := postgres.One[Provider](ctx, q, "SMS provider", providerColumns+` and id = @id`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Provider{}, seal.Secret{}, err
	}
	secret, err := m.Vault.Open(ctx, q, workspace, id, secretField, 1)
	return found, secret, err
}

const deleteProvider = `delete from sms_providers where workspace_id = @workspace and id = @id returning id, kind, name, created`

// RemoveProvider takes nothing more from a provider, and forgets its secret. Those who may CreateProvider may.
func (m *Mailboxes) RemoveProvider(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID) error {
	if err := m.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return err
	}
	gone, err := postgres.One[Provider](ctx, tx, "SMS provider", deleteProvider, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return err
	}
	if err := m.Vault.Forget(ctx, tx, workspace, id); err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.SMSProviderRemoved, workspace, cause, m.now(), gone.Target()))
}
