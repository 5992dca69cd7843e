package signing

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Prepare gives a workspace its first key, if it has none: before its key set is told to anybody.
func (s *Signing) Prepare(ctx context.Context, cause core.Cause, workspace core.ID) error {
	known, err := s.keys(ctx, workspace, fresh)
	if err != nil || len(known.keys) > 0 {
		return err
	}
	now := s.now()
	made, private, err := generate(workspace, now, now) // takes a while: not while others wait
	if err != nil {
		return err
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		keys, err := s.lockKeys(ctx, tx, workspace)
		if err != nil || len(keys) > 0 {
			return err
		}
		if err := s.store(ctx, tx, made, private); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SigningKeyCreated, workspace, cause, now, made.target()))
	})
	return s.changed(workspace, err)
}

// Rotate makes the next key. It is published at once and signs in a day, when everybody has it; the one before
// stays published for a week longer. While a key waits for its day it is a Conflict.
func (s *Signing) Rotate(ctx context.Context, cause core.Cause, workspace core.ID) error {
	return s.rotate(ctx, cause, workspace, Ahead)
}

// RotateNow is Rotate for when a day is too long: the new key, or the one that waits, signs at once. Who has
// fetched the keys lately may refuse what it signs until they fetch them again.
func (s *Signing) RotateNow(ctx context.Context, cause core.Cause, workspace core.ID) error {
	return s.rotate(ctx, cause, workspace, 0)
}

const activateKey = `update signing_keys set activates = @activates where workspace_id = @workspace and id = @id`

func (s *Signing) rotate(ctx context.Context, cause core.Cause, workspace core.ID, ahead time.Duration) error {
	if err := s.Prepare(ctx, cause, workspace); err != nil {
		return err
	}
	now := s.now()
	made, private, err := generate(workspace, now, now.Add(ahead))
	if err != nil {
		return err
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		keys, err := s.lockKeys(ctx, tx, workspace)
		if err != nil {
			return err
		}
		before := current(keys, now)
		if before == nil || before.Activates.Equal(now) {
			return core.Conflict("", "the workspace's key was changed at this moment")
		}
		next := made
		if newest := keys[len(keys)-1]; newest.Activates.After(now) {
			if ahead > 0 {
				return core.Conflict("", "a new key is published already and signs from %s", newest.Activates.Format(time.RFC3339)).WithCode("rotation_under_way")
			}
			next = newest
			next.Activates = now
			if _, err := tx.Exec(ctx, activateKey, pgx.StrictNamedArgs{"workspace": workspace, "id": next.ID, "activates": now}); err != nil {
				return postgres.Classify(err)
			}
		} else if err := s.store(ctx, tx, next, private); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SigningKeyRotated, workspace, cause, now, next.target()).
			With("previous", before.ID.String()).With("signs_from", next.Activates.Format(time.RFC3339)))
	})
	return s.changed(workspace, err)
}

// changed ends a change: what is in memory is out of date.
func (s *Signing) changed(workspace core.ID, err error) error {
	if err != nil {
		return err
	}
	s.forget(workspace)
	if s.Wake != nil {
		s.Wake()
	}
	return nil
}
