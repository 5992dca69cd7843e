package cli

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
)

// ofConnection is part of every command about what a connection gets in with.
type ofConnection struct {
	inWorkspace `embed:""`
	Connection  string `arg:"" help:"Name or id of the connection."`
}

// with does some work with the workspace.
func (i inWorkspace) with(ctx context.Context, work func(s *setup) error) error {
	s, err := i.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return work(s)
}

// with does some work with the connection.
func (o ofConnection) with(ctx context.Context, work func(s *setup, connection directory.Connection) error) error {
	return o.inWorkspace.with(ctx, func(s *setup) error {
		connection, err := s.connection(ctx, o.Connection)
		if err != nil {
			return err
		}
		return work(s, connection)
	})
}

// slots are the two live tokens an owner may have: a connection, or a service account.
type slots struct {
	*setup
	command string // that lists them
	insert  func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, owner core.ID, expires *time.Time) (seal.Secret, error)
	read    func(ctx context.Context, q postgres.Querier, workspace, owner core.ID) ([]directory.Token, error)
	remove  func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, owner, token core.ID) error
}

func (s *setup) connectionSlots() slots {
	return slots{s, "postern connection token list", s.people.CreateConnectionToken, s.people.ConnectionTokens, s.people.RevokeConnectionToken}
}

func (s *setup) serviceAccountSlots() slots {
	return slots{s, "postern token list", s.people.CreateServiceAccountToken, s.people.ServiceAccountTokens, s.people.RevokeServiceAccountToken}
}

// madeToken is a token just made.
type madeToken struct {
	tokenRow
	Token string `json:"token"`
}

// fill makes a token, and gives it with all the owner has, itself the last.
func (s slots) fill(ctx context.Context, tx pgx.Tx, owner core.ID, expires *time.Time) (madeToken, []tokenRow, error) {
	token, err := s.insert(ctx, tx, s.cause, s.workspace.ID, owner, expires)
	if err != nil {
		return madeToken{}, nil, slotsFull(err, "token", s.command)
	}
	rows, err := s.list(ctx, tx, owner)
	if err != nil {
		return madeToken{}, nil, err
	}
	return madeToken{rows[len(rows)-1], token.Reveal()}, rows, nil
}

func (s slots) list(ctx context.Context, q postgres.Querier, owner core.ID) ([]tokenRow, error) {
	tokens, err := s.read(ctx, q, s.workspace.ID, owner)
	return tokenRows(tokens), err
}

func (s slots) revoke(ctx context.Context, owner, token core.ID) error {
	return s.db.Tx(ctx, func(tx pgx.Tx) error { return s.remove(ctx, tx, s.cause, s.workspace.ID, owner, token) })
}

// slotsFull says what to do where two live ones are all there may be. Any other error stays as it is.
func slotsFull(err error, noun, command string) error {
	classified := core.AsError(err)
	if classified == nil || !strings.HasPrefix(classified.Code, "too_many_") {
		return err
	}
	return &core.Error{
		Kind: core.KindConflict, Code: classified.Code,
		Message: "both slots hold a live " + noun + ": revoke one first ('" + command + "' shows which is used)",
	}
}

// parseTokenID refuses what is no id. Somebody may paste the token itself: it is not told again.
func parseTokenID(text string) (core.ID, error) {
	id, err := core.ParseID(text)
	if err != nil {
		return core.ID{}, core.Invalid("token", "give the token's id, not the token: 'list' shows it")
	}
	return id, nil
}
