package services

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/rotation"
)

// The defaults of a Services' limits.
const (
	DefaultIdle   = 60 * 24 * time.Hour
	DefaultNotice = 14 * 24 * time.Hour
)

// Services keeps service accounts. The zero values of its limits mean the defaults. It is safe for concurrent
// use, in many processes. Use it by pointer.
type Services struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts // and the vault they use
	Rotations *rotation.Rotations
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after a commit with events, if set
	Log       *slog.Logger     // nil: nothing is logged. Only Run does

	// Idle is how long a service account is not used before its next use is a finding. Default 60 days.
	Idle time.Duration
	// Notice is how long before a credential expires that is a finding. Default 14 days.
	Notice time.Duration

	seen seen
}

// now is the time as PostgreSQL keeps it.
func (s *Services) now() time.Time { return postgres.Now(s.Now) }

// change runs a command in a transaction of its own, with the events it tells.
func (s *Services) change(ctx context.Context, work func(tx pgx.Tx) ([]core.Event, error)) error {
	told := false
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		events, err := work(tx)
		if err != nil {
			return err
		}
		told = len(events) > 0
		return audit.Append(ctx, tx, events...)
	})
	if err == nil && told && s.Wake != nil {
		s.Wake()
	}
	return err
}

// collisions say which field two rows may not share.
var collisions = map[string]struct{ field, text string }{
	"service_account_name":      {"name", "another service account has this name"},
	"service_owner_once":        {"owner", "this is an owner already"},
	"service_reach_name":        {"reaches", "two of them have the same name"},
	"service_credential_name":   {"name", "the service account has a credential of this name"},
	"service_credential_tokens": {"held", "the service account's tokens for Postern are one credential already; rotate it"},
	"service_slot":              {"", "both slots are taken: the rotation under way has to end first"},
	"service_rotation_open":     {"", "a rotation of this credential is under way"},
}

// collision turns a violated unique constraint into a Conflict that names the field.
func collision(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23505" {
		if why, ok := collisions[server.ConstraintName]; ok {
			return core.Conflict(why.field, "%s", why.text).WithCode(server.ConstraintName).Because(err)
		}
	}
	return postgres.Classify(err)
}
