package webhooks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/signals"
	"postern/webhooks/origins"
)

const (
	maxBody     = 64 << 10
	maxLifetime = 15 * time.Minute
	// QuirkUntyped is a token that does not say what it is, accepted because the connection says so.
	QuirkUntyped = "untyped_logout_token"
)

// logout is one Universal Logout request on its way through the checks. What is known grows from
// top to bottom.
type logout struct {
	received   time.Time
	cause      core.Cause // its actor is the connection only once the token is verified
	connection directory.Connection
	row        uint32 // the version of the connection that the token was verified by, if that was remembered
	compact    string
	token      *jwt.Token // nil: not verified
	digest     []byte     // SHA-256 of the body
	subject    signals.Subject
	kept       bool // the pipeline has it on record, whatever came of it
}

// universalLogout answers POST /webhooks/:connection/universal-logout.
func (s *Service) universalLogout(c *gin.Context) {
	request := &logout{received: s.now()}
	request.cause = core.NewCause(core.System, request.received)
	request.cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), 200)}
	c.Header("X-Correlation-Id", request.cause.Correlation.String())
	status, err := s.logOut(c, request)
	if err != nil && request.row != 0 {
		// A token is not used up by memory either.
		if confirmed := s.confirm(c.Request.Context(), request); confirmed != nil {
			request.token, err = nil, confirmed
		}
	}
	if err != nil {
		_ = c.Error(err)
		status, err = s.refused(c.Request.Context(), request, err)
	}
	answer(c, status, err)
}

// logOut does it: an error, or the status to answer with.
func (s *Service) logOut(c *gin.Context, request *logout) (int, error) {
	ctx := c.Request.Context()
	if err := s.prove(ctx, c.Param("connection"), c.Request.Header, request); err != nil {
		return 0, err
	}
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, maxBody+1))
	if err != nil {
		request.token = nil // not used up: the same request may come again, whole
		if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return 0, core.TooLarge("the body may have at most %d bytes", min(limit.Limit, maxBody)).Because(err)
		}
		return 0, core.Invalid("", "the body could not be read to its end").Because(err)
	}
	digest := sha256.Sum256(body)
	request.digest = digest[:]
	switch {
	case len(body) > maxBody:
		return 0, core.TooLarge("the body may have at most %d bytes", maxBody)
	case !isJSON(c.GetHeader("Content-Type")):
		return 0, core.Invalid("", "the Content-Type is application/json")
	}
	if request.subject, err = signals.ParseLogout(bytes.TrimSpace(body)); err != nil {
		return 0, err
	}
	if !namesSomebody(request.subject) {
		return 0, core.Invalid("sub_id.format", "no person can be found by this format of a subject").WithCode("unsupported_format")
	}
	return s.end(ctx, request)
}

// namesSomebody reports whether a subject is of a format that people are found by here.
func namesSomebody(subject signals.Subject) bool {
	switch subject.Format {
	case signals.FormatEmail, signals.FormatIssSub, signals.FormatOpaque, signals.FormatAccount, signals.FormatURI, signals.FormatDID:
		return true
	case signals.FormatAliases:
		return slices.ContainsFunc(subject.Aliases, namesSomebody)
	case signals.FormatComplex:
		user, ok := subject.Said(signals.MemberUser)
		return ok && namesSomebody(user)
	case signals.FormatPhoneNumber, signals.FormatJWTID, signals.FormatSAMLAssertionID, signals.FormatIPAddresses:
	}
	return false
}

// prove finds the connection and verifies that its identity provider sends the request.
func (s *Service) prove(ctx context.Context, path string, header http.Header, request *logout) error {
	found, err := s.connection(ctx, path, request.cause.Origin.Address)
	if err != nil {
		return err
	}
	connection := found.connection
	request.connection = connection
	compact, err := bearer(header)
	if err != nil {
		return err
	}
	from := origins.Of(connection.ID, request.cause.Origin.Address)
	if wait, limited := s.failures.Limited(request.received, from); limited {
		if s.judge().Plausible(compact, s.expected(connection, true)) != nil || !s.failures.Trial(request.received, from) {
			return tooMany(wait)
		}
	}
	if s.work.closed(request.received, from) {
		return crowded()
	}
	ask := &asked{Keys: s.Keys, work: &s.work, now: request.received, from: from}
	token, err := s.verify(ctx, &jwt.Verifier{Keys: ask, Now: s.now}, compact, request)
	ask.end(err)
	if kind := core.KindOf(err); err != nil && (kind == core.KindUnauthenticated || kind == core.KindDenied) {
		s.failures.Count(request.received, from)
	}
	if err != nil {
		return err
	}
	request.compact, request.row = compact, found.row
	request.token, request.cause.Actor = &token, request.connection.Actor()
	return nil
}

// verify judges a token by the connection as it is remembered. What comes of it has to ask whether the connection
// is still the same: see confirm.
func (s *Service) verify(ctx context.Context, judge *jwt.Verifier, compact string, request *logout) (jwt.Token, error) {
	token, err := judge.Verify(ctx, compact, s.expected(request.connection, false))
	if err == nil || core.AsError(err).Code != jwt.StageType || judge.Plausible(compact, s.expected(request.connection, true)) != nil {
		return token, err
	}
	untyped, failed := s.untyped(ctx, request.connection, rememberFor)
	if failed != nil || !untyped {
		return jwt.Token{}, err
	}
	if token, err = judge.Verify(ctx, compact, s.expected(request.connection, true)); err != nil {
		return jwt.Token{}, err
	}
	// Whether such tokens may come is no part of the connection's row.
	if untyped, failed = s.untyped(ctx, request.connection, 0); failed != nil {
		return jwt.Token{}, failed
	}
	if !untyped {
		return judge.Verify(ctx, compact, s.expected(request.connection, false))
	}
	return token, nil
}

// confirm judges the token of a request by the connection as it is now, unless it was.
func (s *Service) confirm(ctx context.Context, request *logout) error {
	if request.row == 0 {
		return nil
	}
	now, err := s.current(ctx, request.connection.ID)
	if err != nil {
		return err
	}
	same := request.row == now.row
	request.connection, request.row = now.connection, 0
	if same {
		return nil
	}
	token, err := s.judge().Verify(ctx, request.compact, s.expected(now.connection, isUntyped(*request.token)))
	if err != nil {
		return err
	}
	request.token, request.cause.Actor = &token, now.connection.Actor()
	return nil
}

// expected is what a connection's logout tokens say (Okta's Universal Logout; the draft leaves it open). An untyped
// one does not say what it is, which a connection may allow.
func (s *Service) expected(connection directory.Connection, untyped bool) jwt.Expected {
	want := jwt.Expected{
		Types: []string{LogoutTokenType}, Issuers: append([]string{connection.Issuer}, connection.LogoutIssuers...),
		Audiences: []string{s.LogoutURL(connection.ID)}, OnlyAudience: true, Subject: connection.ClientID, KeysURI: connection.JWKSURI,
		MaxLifetime: maxLifetime, NeedID: true, NeedIssued: true,
	}
	if untyped {
		want.Types = append(want.Types, "", "JWT")
		want.Without = []string{"nonce", "events", "at_hash", "c_hash"} // of an ID token, a logout token, a security event
	}
	if connection.ClientID == "" {
		want.Issuers = nil // whoever says so, it is not the one the connection does not know yet
	}
	return want
}

// isUntyped reports whether a token does not say what it is.
func isUntyped(token jwt.Token) bool {
	return strings.TrimPrefix(strings.ToLower(token.Type), "application/") != LogoutTokenType
}

// end carries the signal out: its effect, its receipt and the token's use are one transaction. A request that
// fails in it may come again.
func (s *Service) end(ctx context.Context, request *logout) (int, error) {
	quirks := request.subject.Quirks
	if isUntyped(*request.token) {
		quirks = append(quirks, QuirkUntyped)
	}
	receipt, err := s.receive(ctx, request, quirks)
	if err != nil && request.row != 0 && core.AsError(err).Code == signals.JudgedByOld {
		if err = s.confirm(ctx, request); err != nil {
			request.token = nil
			return 0, err
		}
		receipt, err = s.receive(ctx, request, quirks)
	}
	switch {
	case err != nil && core.KindOf(err) == core.KindNotFound:
		request.kept, request.row = true, 0
		return 0, err
	case err != nil:
		return 0, cannot(err)
	case receipt.Replayed:
		return receipt.Status, nil
	}
	return http.StatusNoContent, nil
}

func (s *Service) receive(ctx context.Context, request *logout, quirks []string) (signals.Receipt, error) {
	return s.Signals.Receive(ctx, request.cause, signals.Signal{
		Workspace: request.connection.Workspace, Connection: request.connection.ID, ConnectionName: request.connection.Name, Judged: request.row,
		Door: signals.UniversalLogout, Kind: signals.Logout, Subject: request.subject,
		Evidence: signals.Evidence{Issuer: request.token.Issuer, TokenID: request.token.ID, Type: request.token.Type, Digest: request.token.Digest, Quirks: quirks},
		Occurred: request.token.Issued, Received: request.received,
	}, &signals.Once{
		TokenID: request.token.ID, BodyHash: request.digest, Status: http.StatusNoContent, Nobody: http.StatusNotFound,
		Expires: request.token.Expires.Add(jwt.Skew),
	})
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
	missing := core.Unauthenticated("send the signed token as Authorization: Bearer").WithCode("no_token")
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", missing
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", missing
	}
	return strings.TrimSpace(token), nil
}

// isJSON reports whether a Content-Type is application/json, with or without parameters.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

func tooMany(wait time.Duration) *core.Error {
	return &core.Error{Kind: core.KindRateLimited, Code: "rate_limited", RetryAfter: wait, Message: "too many tokens from this address were not accepted"}
}
