package outgoing

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/webhooks/delivery"
)

const secretField = "secret"

const maxWebhooks = 100

// DefaultOverlap is how long both secrets sign, if nobody says otherwise.
const DefaultOverlap = 24 * time.Hour

// Webhook is an endpoint that is told of events.
type Webhook struct {
	ID            core.ID    `db:"id"`
	Workspace     core.ID    `db:"workspace_id"`
	Name          string     `db:"name"`
	Address       string     `db:"address"`
	Types         []string   `db:"types"` // such as account.password_rotated or user.*; none: every event
	Scheme        string     `db:"scheme"`
	SecretVersion int        `db:"secret_version"`
	PreviousEnds  *time.Time `db:"previous_ends"` // until when the secret before signs too
	Created       time.Time  `db:"created"`
	Updated       time.Time  `db:"updated"`

	State       delivery.State `db:"state"`
	Reason      string         `db:"reason"`
	Succeeded   *time.Time     `db:"succeeded"`
	Failures    int            `db:"failures"` // in a row
	LastError   string         `db:"last_error"`
	LastErrorAt *time.Time     `db:"last_error_at"`
}

func (w Webhook) target() core.Target { return core.Target{Kind: Kind, ID: w.ID, Name: w.Name} }

// wants reports whether an event is for the webhook.
func (w Webhook) wants(kind core.EventType) bool {
	if len(w.Types) == 0 {
		return true
	}
	noun, _, _ := strings.Cut(string(kind), ".")
	return slices.Contains(w.Types, string(kind)) || slices.Contains(w.Types, noun+".*")
}

func (s *Service) check(w Webhook) error {
	parsed, err := url.Parse(w.Address)
	switch {
	case w.Name == "" || len(w.Name) > 100:
		return core.Invalid("name", "a name has 1 to 100 bytes")
	case err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || len(w.Address) > 1024:
		return core.Invalid("url", "an address that begins with https:// is needed")
	case parsed.Scheme != "https" && !(parsed.Scheme == "http" && s.AllowPrivate):
		return core.Invalid("url", "https is needed")
	case w.Scheme != Symmetric && w.Scheme != Asymmetric:
		return core.Invalid("scheme", "messages are signed by v1 (a shared secret) or v1a (our key)")
	case len(w.Types) > 200:
		return core.Invalid("types", "at most 200 types; none is every event")
	}
	for _, one := range w.Types {
		if !known(one) {
			return core.Invalid("types", "there is no event %q; %s", one, "name one such as user.deprovisioned, or user.* for all that begin so")
		}
	}
	return nil
}

func known(name string) bool {
	noun, all := strings.CutSuffix(name, ".*")
	for _, kind := range core.EventTypes() {
		if string(kind) == name || all && strings.HasPrefix(string(kind), noun+".") {
			return true
		}
	}
	return false
}

// Made is a webhook with what its endpoint verifies messages by, told this once: whsec_, or the public key whpk_.
type Made struct {
	Webhook
	Secret seal.Secret
}

const countWebhooks = `select count(*) from webhooks where workspace_id = @workspace`

const insertWebhook = `
insert into webhooks (id, workspace_id, name, address, types, scheme, secret_version, created, updated)
values (@id, @workspace, @name, @address, @types, @scheme, 1, @now, @now)`

// Create has an endpoint told of what happens from now on. A taken name is a Conflict on "name".
func (s *Service) Create(ctx context.Context, cause core.Cause, wanted Webhook) (Made, error) {
	wanted.ID, wanted.Created, wanted.SecretVersion, wanted.State = core.NewID(), s.now(), 1, delivery.Running
	wanted.Updated = wanted.Created
	if wanted.Scheme == "" {
		wanted.Scheme = Symmetric
	}
	if wanted.Types == nil {
		wanted.Types = []string{}
	}
	if err := s.check(wanted); err != nil {
		return Made{}, err
	}
	secret, told, err := newSecret(wanted.Scheme)
	if err != nil {
		return Made{}, err
	}
	err = s.change(ctx, func(tx pgx.Tx) error {
		var there int
		if err := tx.QueryRow(ctx, countWebhooks, pgx.StrictNamedArgs{"workspace": wanted.Workspace}).Scan(&there); err != nil {
			return err
		}
		if there >= maxWebhooks {
			return core.Conflict("", "a workspace has at most %d webhooks", maxWebhooks)
		}
		if err := s.seal(ctx, tx, wanted, secret); err != nil {
			return err
		}
		if err := s.Deliveries.Open(ctx, tx, delivery.Lane{ID: wanted.ID, Workspace: wanted.Workspace, Kind: Kind, Name: wanted.Name, Carried: true}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertWebhook, pgx.StrictNamedArgs{
			"id": wanted.ID, "workspace": wanted.Workspace, "name": wanted.Name, "address": wanted.Address, "types": wanted.Types, "scheme": wanted.Scheme, "now": wanted.Created,
		}); err != nil {
			return collision(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookCreated, wanted.Workspace, cause, wanted.Created, wanted.target()).With("url", wanted.host()))
	})
	if err != nil {
		return Made{}, err
	}
	return Made{wanted, told}, nil
}

// host is as much of the address as an event tells: the rest may hold a key.
func (w Webhook) host() string {
	parsed, err := url.Parse(w.Address)
	if err != nil {
		return ""
	}
	return parsed.Scheme + "://" + parsed.Host
}

func (s *Service) seal(ctx context.Context, tx pgx.Tx, one Webhook, secret seal.Secret) error {
	vault, err := s.Vault.Prepare(ctx, tx, one.Workspace)
	if err != nil {
		return err
	}
	return s.Vault.Put(ctx, tx, one.Workspace, vault, one.ID, secretField, one.SecretVersion, secret)
}

func collision(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "webhook_name" {
		return core.Conflict("name", "there is a webhook of that name")
	}
	return err
}

const webhookColumns = `w.id, w.workspace_id, w.name, w.address, w.types, w.scheme, w.secret_version, w.previous_ends, w.created, w.updated,
	l.state, l.reason, l.succeeded, l.failures, l.last_error, l.last_error_at`

const selectWebhook = `
select ` + webhookColumns + ` from webhooks w join delivery_lanes l on l.workspace_id = w.workspace_id and l.id = w.id
where w.workspace_id = @workspace and w.id = @id`

// Webhook reads one.
func (s *Service) Webhook(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Webhook, error) {
	found, err := list(ctx, q, selectWebhook, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		return Webhook{}, core.NotFound("webhook")
	}
	if err != nil {
		return Webhook{}, err
	}
	return found[0], nil
}

const selectWebhooks = `
select ` + webhookColumns + ` from webhooks w join delivery_lanes l on l.workspace_id = w.workspace_id and l.id = w.id
where w.workspace_id = @workspace order by w.created, w.id`

// Webhooks lists those of a workspace, oldest first.
func (s *Service) Webhooks(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Webhook, error) {
	return list(ctx, q, selectWebhooks, pgx.StrictNamedArgs{"workspace": workspace})
}

func list(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) ([]Webhook, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Webhook])
	return found, postgres.Classify(err)
}

const updateWebhook = `
update webhooks set name = @name, address = @address, types = @types, updated = @now where workspace_id = @workspace and id = @id`

// Change writes what edit makes of a webhook's name, address and types.
func (s *Service) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, edit func(*Webhook)) (Webhook, error) {
	var one Webhook
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		if one, err = s.Webhook(ctx, tx, workspace, id); err != nil {
			return err
		}
		before := one.Name
		edit(&one)
		if one.Types == nil {
			one.Types = []string{}
		}
		if err := s.check(one); err != nil {
			return err
		}
		one.Updated = s.now()
		if _, err := tx.Exec(ctx, updateWebhook, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "name": one.Name, "address": one.Address, "types": one.Types, "now": one.Updated,
		}); err != nil {
			return collision(err)
		}
		if one.Name != before {
			if err := s.Deliveries.Change(ctx, tx, workspace, id, one.Name, true); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookUpdated, workspace, cause, one.Updated, one.target()).With("changed", "settings").With("url", one.host()))
	})
	return one, err
}

// SetState has a webhook told again (running), later (paused), or no more (disabled).
func (s *Service) SetState(ctx context.Context, cause core.Cause, workspace, id core.ID, state delivery.State, reason string) (Webhook, error) {
	var one Webhook
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		if _, err = s.Webhook(ctx, tx, workspace, id); err != nil {
			return err
		}
		if err := s.Deliveries.SetState(ctx, tx, workspace, id, state, reason); err != nil {
			return err
		}
		if one, err = s.Webhook(ctx, tx, workspace, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookUpdated, workspace, cause, s.now(), one.target()).With("state", string(state)))
	})
	return one, err
}

const updateSecret = `
update webhooks set secret_version = @version, previous_ends = @ends, updated = @now where workspace_id = @workspace and id = @id`

const lockWebhook = `select secret_version from webhooks where workspace_id = @workspace and id = @id for no key update`

// Rotate gives a webhook a new secret; messages carry a signature of the one before too, for overlap longer.
func (s *Service) Rotate(ctx context.Context, cause core.Cause, workspace, id core.ID, overlap time.Duration) (Made, error) {
	if overlap < 0 || overlap > 30*24*time.Hour {
		return Made{}, core.Invalid("overlap", "0 to 30 days")
	}
	var made Made
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Webhook(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		// Two rotations at once would make one version twice.
		if err := tx.QueryRow(ctx, lockWebhook, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&one.SecretVersion); err != nil {
			return err
		}
		secret, told, err := newSecret(one.Scheme)
		if err != nil {
			return err
		}
		now := s.now()
		one.SecretVersion++
		one.PreviousEnds, one.Updated = new(now.Add(overlap)), now
		if err := s.seal(ctx, tx, one, secret); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, updateSecret, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "version": one.SecretVersion, "ends": one.PreviousEnds, "now": now}); err != nil {
			return err
		}
		made = Made{one, told}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookUpdated, workspace, cause, now, one.target()).With("changed", "secret"))
	})
	return made, err
}

// Delete tells an endpoint no more, not even of what waits.
func (s *Service) Delete(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Webhook(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if err := s.Deliveries.Close(ctx, tx, workspace, id); err != nil {
			return err
		}
		if err := s.Vault.Forget(ctx, tx, workspace, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.WebhookDeleted, workspace, cause, s.now(), one.target()))
	})
}
