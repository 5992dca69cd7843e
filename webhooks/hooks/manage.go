package hooks

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/signals"
)

// What the vault calls a hook's secrets.
const (
	secretField = "secret"
	accessField = "access"
)

// DefaultOverlap is how long the secret before a new one is good, if nobody says otherwise.
const DefaultOverlap = 24 * time.Hour

// Change is what can be changed of a hook; nil and zero leave it as it is.
type Change struct {
	Name         string
	Mapping      *Mapping
	Scheme       *Scheme
	Access       *Access
	AccessSecret seal.Secret
}

const updateHook = `

update hooks set name = @name, settings = @settings, access_version = @access, due = @due, updated = @now
where workspace_id = @workspace and id = @id`

// Update changes a hook.
func (s *Service) Update(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted Change) (Hook, error) {
	var hook Hook
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		if hook, err = s.lock(ctx, tx, workspace, id); err != nil {
			return err
		}
		if wanted.Name != "" {
			hook.Name = wanted.Name
		}
		if wanted.Mapping != nil {
			hook.Settings.Mapping = wanted.Mapping
		}
		if wanted.Scheme != nil {
			hook.Settings.Scheme = wanted.Scheme
		}
		if wanted.Access != nil {
			hook.Settings.Access = *wanted.Access
		}
		if err := hook.check(); err != nil {
			return err
		}
		if err := s.seal(ctx, tx, &hook, seal.Secret{}, wanted.AccessSecret); err != nil {
			return err
		}
		hook.Updated = s.now()
		if hook.Settings.Access.Address != "" || hook.Kind == Graph {
			hook.Due = &hook.Updated
		}
		if _, err := tx.Exec(ctx, updateHook, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "name": hook.Name, "settings": hook.Settings, "access": hook.AccessVersion, "due": hook.Due, "now": hook.Updated,
		}); err != nil {
			return collision(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.HookUpdated, workspace, cause, hook.Updated, hook.Target()).With("changed", "settings"))
	})
	return hook, err
}

const updateSecret = `

update hooks set secret_version = @secret, hashes = @hashes, previous_ends = @ends, updated = @now
where workspace_id = @workspace and id = @id`

// Rotate gives a hook a new secret; the one before is good for overlap longer. Only those two are: whoever
// rotates twice ends the first.
func (s *Service) Rotate(ctx context.Context, cause core.Cause, workspace, id core.ID, given seal.Secret, overlap time.Duration) (Made, error) {
	if overlap < 0 || overlap > 30*24*time.Hour {
		return Made{}, core.Invalid("overlap", "0 to 30 days")
	}
	var made Made
	err := s.change(ctx, func(tx pgx.Tx) error {
		hook, err := s.lock(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if hook.Kind == Graph || hook.Kind == Signed && hook.Settings.Scheme.JWT != nil {
			return core.Conflict("", "this hook has no secret to rotate: a client state is made with each subscription, and a JWT is checked by the sender's keys")
		}
		secret, told, err := hook.newSecret(given)
		if err == nil {
			err = s.seal(ctx, tx, &hook, secret, seal.Secret{})
		}
		if err != nil {
			return err
		}
		now := s.now()
		hook.Updated, hook.PreviousEnds = now, new(now.Add(overlap))
		if _, err := tx.Exec(ctx, updateSecret, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "secret": hook.SecretVersion, "hashes": hook.Hashes, "ends": hook.PreviousEnds, "now": now,
		}); err != nil {
			return err
		}
		made = Made{hook, told}
		return audit.Append(ctx, tx, core.NewEvent(core.HookUpdated, workspace, cause, now, hook.Target()).With("changed", "secret"))
	})
	return made, err
}

const deleteHook = `delete from hooks where workspace_id = @workspace and id = @id`

// Delete forgets a hook: what its sender sends is refused from now on. A subscription at Microsoft Graph is
// ended first, and ends by itself if that fails.
func (s *Service) Delete(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	hook, err := s.Hook(ctx, s.DB, workspace, id)
	if err != nil {
		return err
	}
	if hook.RemoteID != "" {
		if err := s.unsubscribe(ctx, hook); err != nil {
			s.warn(ctx, "a subscription could not be ended at its sender", hook.ID, err)
		}
	}
	return s.change(ctx, func(tx pgx.Tx) error {
		hook, err := s.lock(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteHook, pgx.StrictNamedArgs{"workspace": workspace, "id": id}); err != nil {
			return err
		}
		if err := s.Vault.Forget(ctx, tx, workspace, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.HookDeleted, workspace, cause, s.now(), hook.Target()))
	})
}

const lockHook = selectHook + ` for update`

func (s *Service) lock(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Hook, error) {
	found, err := list(ctx, tx, lockHook, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		return Hook{}, core.NotFound("hook")
	}
	if err != nil {
		return Hook{}, err
	}
	return found[0], nil
}

func (s *Service) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, work)
	if err == nil {
		s.wake()
	}
	return postgres.Classify(err)
}

func collision(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "hook_name" {
		return core.Conflict("name", "the connection has a hook of that name")
	}
	return err
}

// Reading is what a sample message would mean.
type Reading struct {
	Type    string
	Kind    signals.Kind
	Subject string // empty: nobody is named, so nothing follows
	SID     string
	ID      string
}

// Test reads a sample of a message as the hook would, without a signature and without any effect.
func (s *Service) Test(ctx context.Context, workspace, id core.ID, sample []byte) ([]Reading, error) {
	hook, err := s.Hook(ctx, s.DB, workspace, id)
	if err != nil {
		return nil, err
	}
	connection, err := s.Directory.Connection(ctx, s.DB, workspace, hook.Connection)
	if err != nil {
		return nil, err
	}
	var found []happening
	switch hook.Kind {
	case Okta:
		var said delivered
		if err := decode(sample, &said); err != nil {
			return nil, err
		}
		events, err := readLog(said.Data.Events)
		if err != nil {
			return nil, err
		}
		for _, one := range events {
			found = append(found, one.happening(connection, said.EventID))
		}
	case Standard, Signed:
		one, err := hook.Settings.Mapping.read(connection, nil, sample, s.now())
		if err != nil {
			return nil, err
		}
		found = []happening{one}
	case Graph:
		return nil, core.Conflict("", "what Microsoft Graph sends says only who changed: see whether the subscription is there")
	}
	readings := make([]Reading, 0, len(found))
	for _, one := range found {
		readings = append(readings, Reading{one.eventType, one.kind, one.subject.String(), one.sid, one.id})
	}
	return slices.Clip(readings), nil
}
