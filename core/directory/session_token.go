package directory

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// longestIDToken is the longest ID token that is kept: it comes back to the IdP in an address, and
// servers refuse those that are much longer.
const longestIDToken = 6 << 10

// sealIDToken makes of an ID token what a session keeps: nothing when there is none, or it is too long.
func sealIDToken(session Session, token, idToken seal.Secret) ([]byte, error) {
	if idToken.IsZero() || len(idToken.Reveal()) > longestIDToken {
		return nil, nil
	}
	key, err := seal.KeyOfToken(token, "id token")
	if err != nil {
		return nil, err
	}
	return seal.SealUnder(key, idTokenBinding(session), idToken)
}

func idTokenBinding(session Session) string {
	return "id token of session " + session.Workspace.String() + " " + session.ID.String()
}

const selectIDToken = `select id_token from sessions where workspace_id = @workspace and id = @id and ended is null and id_token is not null`

// IDToken is the ID token that a session rests on, which only its own token opens. It is zero when none
// was kept, and when the session has ended: ask before ending it.
func (d *Directory) IDToken(ctx context.Context, q postgres.Querier, session Session, token seal.Secret) (seal.Secret, error) {
	var sealed []byte
	err := q.QueryRow(ctx, selectIDToken, pgx.StrictNamedArgs{"workspace": session.Workspace, "id": session.ID}).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, nil
	}
	if err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	key, err := seal.KeyOfToken(token, "id token")
	if err != nil {
		return seal.Secret{}, err
	}
	opened, err := seal.OpenUnder(key, idTokenBinding(session), sealed)
	if err != nil {
		return seal.Secret{}, core.Internal(err).WithCode("id_token")
	}
	return opened, nil
}
