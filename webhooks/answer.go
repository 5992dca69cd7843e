package webhooks

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/jwt"
	"postern/core/signals"
)

// fault is the body of a refusal, in the words of OAuth. Okta reads the status alone; people and
// other senders read this.
type fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// statusOf is the draft's status for an error.
func statusOf(err error) int {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	classified := core.AsError(err)
	if classified.Code == errCannot {
		return http.StatusUnprocessableEntity
	}
	switch classified.Kind {
	case core.KindInvalid:
		return http.StatusBadRequest
	case core.KindUnauthenticated:
		return http.StatusUnauthorized
	case core.KindDenied:
		return http.StatusForbidden
	case core.KindNotFound:
		return http.StatusNotFound
	case core.KindConflict, core.KindStale:
		return http.StatusUnprocessableEntity
	case core.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case core.KindRateLimited:
		return http.StatusTooManyRequests
	case core.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// words are what a status is called in OAuth, and what is said when only the status is known any
// more: for a request that is repeated.
var words = map[int]fault{
	http.StatusBadRequest:            {"invalid_request", "the request cannot be understood"},
	http.StatusUnauthorized:          {"invalid_token", "the token is not accepted"},
	http.StatusForbidden:             {"access_denied", "this is not allowed"},
	http.StatusNotFound:              {"not_found", "there is no such user in this connection"},
	http.StatusRequestEntityTooLarge: {"invalid_request", "the body is too large"},
	http.StatusUnprocessableEntity:   {"unprocessable", "the user cannot be logged out"},
	http.StatusTooManyRequests:       {"temporarily_unavailable", "too many requests"},
	http.StatusServiceUnavailable:    {"temporarily_unavailable", "try again"},
	http.StatusInternalServerError:   {"server_error", "something went wrong on our side"},
}

// answer writes the status with its body and headers.
func answer(c *gin.Context, status int, err error) {
	c.Header("Cache-Control", "no-store")
	if status == http.StatusNoContent {
		c.Status(status)
		c.Writer.WriteHeaderNow()
		return
	}
	body := words[status]
	classified, ok := errors.AsType[*core.Error](err)
	if ok && classified.Kind != core.KindInternal && classified.Message != "" {
		body.Description = classified.Message
		if classified.Field != "" {
			body.Description = classified.Field + ": " + body.Description
		}
	}
	switch status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="postern"`
		if !ok || classified.Code != "no_token" {
			challenge += `, error="invalid_token", error_description="` + quotable(body.Description) + `"`
		}
		c.Header("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		wait := 5 * time.Second
		if ok && classified.RetryAfter > 0 {
			wait = classified.RetryAfter
		}
		c.Header("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	}
	c.JSON(status, body)
}

// quotable keeps what a quoted string of a header may hold.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text)
}

// refused records a refusal and returns what to answer. A verified token is used up by a refusal as by a success,
// so that one captured on its way cannot be tried with other bodies; what failed on our side is no refusal, and the
// same request may come again.
func (s *Service) refused(ctx context.Context, request *logout, err error) (int, error) {
	status := statusOf(err)
	if status >= http.StatusInternalServerError || request.kept {
		return status, err
	}
	// The refusal stands even if the caller has hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if request.token != nil && core.AsError(err).Code != "replayed" {
		var first int
		var replay bool
		failed := s.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
			first, replay, err = s.Directory.UseTokenID(ctx, tx, request.connection.ID, request.token.ID, request.digest, status, request.token.Expires.Add(jwt.Skew))
			return err
		})
		switch {
		case replay:
			return first, nil // the same request again
		case core.KindOf(failed) == core.KindUnauthenticated:
			err = core.AsError(failed).WithCode("replayed")
			status = statusOf(err)
		case failed != nil:
			return statusOf(failed), failed
		}
	}
	s.Signals.Refused(ctx, signals.Refusal{
		Connection: request.connection, Door: signals.UniversalLogout, Stage: core.AsError(err).Code, Err: err, Subject: request.subject.String(),
		Origin: request.cause.Origin, Known: request.token != nil,
	})
	return status, err
}
