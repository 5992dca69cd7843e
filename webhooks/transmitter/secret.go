package transmitter

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
)

// Secrets lists a receiver's client secrets, without themselves, expired ones too, oldest first.
func (s *Service) Secrets(ctx context.Context, q postgres.Querier, workspace, id core.ID) ([]directory.Token, error) {
	one, err := s.Receiver(ctx, q, workspace, id)
	if err != nil {
		return nil, err
	}
	return s.Directory.ServiceAccountTokens(ctx, q, workspace, one.Account)
}

// AddSecret gives a receiver one more client secret and returns it: the only time it can be seen. expires may be nil.
// A receiver has at most two live ones, so that one can be replaced without a gap; a third is a Conflict.
func (s *Service) AddSecret(ctx context.Context, cause core.Cause, workspace, id core.ID, expires *time.Time) (directory.Token, seal.Secret, error) {
	var made directory.Token
	var secret seal.Secret
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, err := s.Receiver(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		secret, err = s.Directory.CreateServiceAccountToken(ctx, tx, cause, workspace, one.Account, expires)
		if err != nil && core.KindOf(err) == core.KindConflict {
			return core.Conflict("", "a receiver has at most two live secrets: revoke one first").WithCode("too_many_secrets").Because(err)
		}
		if err != nil {
			return err
		}
		all, err := s.Directory.ServiceAccountTokens(ctx, tx, workspace, one.Account)
		if err == nil {
			made = all[len(all)-1]
		}
		return err
	})
	if err == nil {
		s.wake()
	}
	return made, secret, postgres.Classify(err)
}

// RevokeSecret ends a client secret, and every access token it was given, at once and for good. One that is not the
// receiver's, or was revoked before, is NotFound.
func (s *Service) RevokeSecret(ctx context.Context, cause core.Cause, workspace, id, secret core.ID) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, err := s.Receiver(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		err = s.Directory.RevokeServiceAccountToken(ctx, tx, cause, workspace, one.Account, secret)
		if err != nil && core.KindOf(err) == core.KindNotFound {
			return core.NotFound("secret")
		}
		return err
	})
	if err == nil {
		s.wake()
	}
	return postgres.Classify(err)
}
