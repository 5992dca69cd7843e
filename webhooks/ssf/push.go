package ssf

import (
	"crypto/subtle"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/jwt"
	"postern/core/seal"
	"postern/core/signals"
)

// The error codes of RFC 8935 §2.4 and of the Shared Signals Framework.
const (
	errInvalidRequest  = "invalid_request"
	errInvalidKey      = "invalid_key"
	errInvalidIssuer   = "invalid_issuer"
	errInvalidAudience = "invalid_audience"
	errAuthentication  = "authentication_failed"
	errAccessDenied    = "access_denied"
	errInvalidState    = "invalid_state"
)

// fault is the body of a refusal, and of a setErrs member.
type fault struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// faultOf is what a transmitter is told of an error that is not transient.
func faultOf(err error) fault {
	classified := core.AsError(err)
	told := fault{errInvalidRequest, visible(err)}
	switch classified.Code {
	case jwt.StageAlgorithm, jwt.StageKey:
		told.Err = errInvalidKey
	case jwt.StageIssuer:
		told.Err = errInvalidIssuer
	case jwt.StageAudience:
		told.Err = errInvalidAudience
	case jwt.StageSignature, StageAuthorization:
		told.Err = errAuthentication
	case errInvalidState:
		told.Err = errInvalidState
	case StageEffect:
		if classified.Kind == core.KindDenied || classified.Kind == core.KindConflict {
			told.Err = errAccessDenied
		}
	}
	return told
}

// stageOf is the check that failed.
func stageOf(err error) string {
	classified := core.AsError(err)
	switch {
	case classified.Code == errInvalidState:
		return StageState
	case classified.Code != "":
		return classified.Code
	}
	return classified.Kind.String()
}

// stranger is the one answer to whoever is not the stream's transmitter, so that ids cannot be tried.
func stranger() *core.Error {
	return core.Unauthenticated("the Authorization header is not the one of this stream").WithCode(StageAuthorization)
}

// push answers POST /webhooks/:connection/ssf/:stream (RFC 8935): 202 once the token's effect is durable.
func (s *Service) push(c *gin.Context) {
	in := arrival{door: signals.SSFPush, received: s.now(), origin: core.Origin{Address: c.ClientIP(), UserAgent: cut(c.Request.UserAgent(), 200)}}
	known, err := s.pushed(c, &in)
	c.Header("Cache-Control", "no-store")
	if err == nil {
		c.Status(http.StatusAccepted)
		c.Writer.WriteHeaderNow()
		return
	}
	_ = c.Error(err)
	if transient(err) {
		wait := 5 * time.Second
		if classified := core.AsError(err); classified.RetryAfter > 0 {
			wait = classified.RetryAfter
		}
		c.Header("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
		c.Status(http.StatusServiceUnavailable)
		c.Writer.WriteHeaderNow()
		return
	}
	if !in.connection.ID.IsZero() {
		s.Signals.Refused(c.Request.Context(), signals.Refusal{
			Connection: in.connection, Door: in.door, Stage: stageOf(err), Err: err, Origin: in.origin, Known: known,
		})
		if known {
			s.failed(c.Request.Context(), in.stream, stageOf(err), err, 0)
		}
	}
	c.Header("Content-Language", "en")
	c.JSON(http.StatusBadRequest, faultOf(err))
}

// pushed does it. known says that the caller has shown the stream's authorization.
func (s *Service) pushed(c *gin.Context, in *arrival) (known bool, err error) {
	header := c.Request.Header.Values("Authorization")
	presented := seal.HashToken(strings.Join(header, "\x00"))
	if err := s.route(c, in); err != nil {
		return false, err
	}
	matched := 0
	for _, hash := range in.stream.PushHashes {
		matched |= subtle.ConstantTimeCompare(hash, presented)
	}
	switch {
	case in.stream.Delivery != Push:
		return false, stranger()
	case len(in.stream.PushHashes) == 0 && in.stream.Profile.traits().noAuthorization: // the signature has to do
	case len(header) != 1 || matched != 1:
		return false, stranger()
	default:
		known = true
	}
	if kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || kind != "application/secevent+jwt" {
		return known, refuse(StageRequest, "the Content-Type is application/secevent+jwt")
	}
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, MaxSize+2))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); !large {
			return known, refuse(StageRequest, "the body could not be read to its end").Because(err)
		}
	}
	if len(body) > MaxSize+1 || err != nil {
		return known, refuse(StageRequest, "a token may have at most %d bytes", MaxSize)
	}
	if in.stream.Status == Creating {
		return known, core.Unavailable(2*time.Second, "the stream is being made")
	}
	in.compact = strings.TrimSpace(string(body))
	return known, s.accept(c.Request.Context(), *in)
}

// route finds the stream of the path. One that is not there is answered as a wrong header is.
func (s *Service) route(c *gin.Context, in *arrival) error {
	id, err := core.ParseID(c.Param("connection"))
	if err != nil {
		return stranger().Because(err)
	}
	stream, err := core.ParseID(c.Param("stream"))
	if err != nil {
		return stranger().Because(err)
	}
	ctx := c.Request.Context()
	connection, err := s.Directory.ConnectionByID(ctx, s.DB, id)
	if err == nil {
		in.connection = connection
		in.stream, err = s.Stream(ctx, s.DB, connection.Workspace, stream)
	}
	if core.KindOf(err) == core.KindNotFound {
		return stranger().Because(err)
	}
	if err != nil {
		return err
	}
	if in.stream.Connection != connection.ID {
		return stranger()
	}
	return nil
}
