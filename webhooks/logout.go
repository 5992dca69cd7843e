package webhooks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// logout is one Universal Logout request on its way through the checks. What is known grows from
// top to bottom.
type logout struct {
	cause      core.Cause // its actor is the connection only once the token is verified
	connection directory.Connection
	token      *Token // nil: not verified
	digest     []byte // SHA-256 of the body
	subject    Subject
}

// errOnlyLooked rolls back a transaction that was only there to look.
var errOnlyLooked = errors.New("only looked")

// universalLogout answers POST /webhooks/:connection/universal-logout.
func (s *Service) universalLogout(c *gin.Context) {
	request := &logout{cause: core.NewCause(core.System, s.now())}
	request.cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: cut(c.Request.UserAgent(), 200)}
	status, err := s.logOut(c, request)
	if first, ok := errors.AsType[*repeated](err); ok {
		answer(c, first.status, nil)
		return
	}
	if err != nil {
		_ = c.Error(err)
		status = s.refused(c.Request.Context(), request, err)
	}
	answer(c, status, err)
}

// repeated carries the answer a token was given the first time it came with this body.
type repeated struct{ status int }

func (r *repeated) Error() string { return "the same request again" }

// logOut does it: an error or 204.
func (s *Service) logOut(c *gin.Context, request *logout) (int, error) {
	ctx := c.Request.Context()
	connection, err := s.connection(ctx, c.Param("connection"))
	if err != nil {
		return 0, err
	}
	request.connection = connection
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, maxBody+1))
	if err != nil {
		if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return 0, core.TooLarge("the body may have at most %d bytes", min(limit.Limit, maxBody)).Because(err)
		}
		return 0, core.Invalid("", "the body could not be read to its end").Because(err)
	}
	compact, err := bearer(c.Request.Header)
	if err != nil {
		return 0, err
	}
	token, err := s.prepare().Verify(ctx, compact, Expected{
		Type: LogoutTokenType, Issuers: issuers(connection), Audience: s.LogoutURL(connection.ID),
		Subject: connection.ClientID, KeysURI: connection.JWKSURI,
	})
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256(body)
	request.token, request.digest = &token, digest[:]
	request.cause.Actor = connection.Actor()
	if err := s.unused(ctx, request); err != nil {
		return 0, err
	}
	switch {
	case len(body) > maxBody:
		return 0, core.TooLarge("the body may have at most %d bytes", maxBody)
	case !isJSON(c.GetHeader("Content-Type")):
		return 0, core.Invalid("", "the Content-Type is application/json")
	}
	if request.subject, err = ParseSubject(bytes.TrimSpace(body)); err != nil {
		return 0, err
	}
	users, err := s.resolve(ctx, s.DB, connection, request.subject)
	if err != nil {
		return 0, err
	}
	return s.end(ctx, request, users)
}

// connection finds the connection of the path. An unknown one is answered as an unknown caller is,
// so that ids cannot be tried.
func (s *Service) connection(ctx context.Context, text string) (directory.Connection, error) {
	unknown := core.Unauthenticated("the token is not one of this connection").WithCode("connection")
	id, err := core.ParseID(text)
	if err != nil {
		return directory.Connection{}, unknown.Because(err)
	}
	connection, err := s.Directory.ConnectionByID(ctx, s.DB, id)
	if core.KindOf(err) == core.KindNotFound {
		return directory.Connection{}, unknown.Because(err)
	}
	return connection, err
}

// unused refuses a token that was used already, before anything is done in its name. The use itself
// is recorded together with the effect, so a request that fails on our side may come again.
func (s *Service) unused(ctx context.Context, request *logout) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		first, replay, err := s.Directory.UseTokenID(ctx, tx, request.connection.ID, request.token.ID, request.digest, 0, request.token.Expires.Add(skew))
		switch {
		case err != nil:
			return err
		case replay:
			return &repeated{first}
		}
		return errOnlyLooked
	})
	if errors.Is(err, errOnlyLooked) {
		return nil
	}
	if first, ok := errors.AsType[*repeated](err); ok {
		return first
	}
	if core.KindOf(err) == core.KindUnauthenticated {
		return core.AsError(err).WithCode("replayed")
	}
	return err
}

// end logs the users out: the signal, its effect on all of them and the token's use are one
// transaction. A request that fails in it may come again.
func (s *Service) end(ctx context.Context, request *logout, users []directory.User) (int, error) {
	ids := make([]core.ID, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	effect, err := s.Lifecycle.LogoutAll(ctx, request.cause, request.connection.Workspace, ids, &lifecycle.TokenUse{
		Connection: request.connection.ID, TokenID: request.token.ID, BodyHash: request.digest,
		Status: http.StatusNoContent, Expires: request.token.Expires.Add(skew),
	}, s.acceptance(request, users))
	if err != nil {
		return 0, cannot(err)
	}
	if effect.Replayed {
		return 0, &repeated{effect.Status} // the same request came twice at once, and the other was first
	}
	return http.StatusNoContent, nil
}

// errCannot marks that the user is known but cannot be logged out: 422.
const errCannot = "cannot_log_out"

// cannot turns the refusal of a command into what the draft calls it.
func cannot(err error) error {
	classified := core.AsError(err)
	switch classified.Kind {
	case core.KindConflict, core.KindStale, core.KindInvalid, core.KindDenied:
		return classified.WithCode(errCannot)
	}
	return err
}

// bearer takes the token out of the Authorization header. There must be exactly one.
func bearer(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", refuse("no_token", "send the signed token as Authorization: Bearer")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", refuse("no_token", "send the signed token as Authorization: Bearer")
	}
	return strings.TrimSpace(token), nil
}
