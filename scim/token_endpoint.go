package scim

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/seal"
)

// tokenPath is where the token endpoint is, under the public URL.
const tokenPath = "/scim/oauth/token"

// The bounds of an access token's life. Entra ID wants 60 to 360 minutes.
const (
	MinAccessTokenLife = time.Hour
	MaxAccessTokenLife = 6 * time.Hour
)

// maxVerifying is how many assertions of one connection may wait for its issuer's keys. They hold no
// place meanwhile: an issuer that is slow keeps nobody else waiting.
const maxVerifying = 4

// tokens is the state of the token endpoint.
type tokens struct {
	failures audit.Throttle
	prepared sync.Once

	mutex     sync.Mutex
	verifying map[core.ID]int // assertions per connection
}

// claimant is whose connection a client says it belongs to, and how it proves that.
type claimant struct {
	connection directory.Connection
	proof      directory.Proof
	assertion  *assertion
}

// serveToken gives out access tokens (RFC 6749 §4.4) for a client's secret, or for an assertion of an
// identity provider the connection trusts (RFC 7523 §2.2).
func (s *Service) serveToken(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
	received, client := s.now(), c.ClientIP()
	asked, err := readTokenRequest(c.Writer, c.Request)
	var token seal.Secret
	var life time.Duration
	if err == nil {
		token, life, err = s.exchange(c.Request.Context(), asked, received, core.Origin{Address: client, UserAgent: core.Cut(c.Request.UserAgent(), maxUserAgent)})
	}
	if err != nil {
		_ = c.Error(err) // for the access log
		s.refuseToken(c, err)
		return
	}
	c.JSON(http.StatusOK, struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
		Scope   string `json:"scope"`
	}{token.Reveal(), "Bearer", int64(life / time.Second), tokenScope})
}

// exchange believes the client and gives it a token. Before it is believed it waits among strangers,
// then it counts as its workspace.
func (s *Service) exchange(ctx context.Context, asked tokenRequest, received time.Time, origin core.Origin) (seal.Secret, time.Duration, error) {
	who, err := s.believe(ctx, asked, origin.Address)
	cause := core.NewCause(who.connection.Actor(), received)
	cause.Origin = origin
	var token seal.Secret
	var life time.Duration
	if err == nil {
		token, life, err = s.issue(ctx, cause, who)
	}
	if core.KindOf(err) == core.KindUnauthenticated {
		s.blame(origin.Address)
		s.recordFailure(ctx, cause, who, asked.method, core.AsError(err))
	}
	return token, life, err
}

// believe finds the connection and checks the proof. With an error the claimant is who was named, if
// that much is known.
func (s *Service) believe(ctx context.Context, asked tokenRequest, address string) (claimant, error) {
	leave, err := s.admitStranger(ctx, address)
	if err != nil {
		return claimant{}, err
	}
	who, err := s.claim(ctx, asked)
	leave()
	if err != nil || who.assertion == nil {
		return who, err
	}
	done, err := s.verify(who.connection.ID)
	if err != nil {
		return who, err
	}
	defer done()
	return who, who.assertion.check(ctx, s, who.connection.Provisioning.Assertion)
}

// claim finds whose connection is meant. A secret is checked on the way.
func (s *Service) claim(ctx context.Context, asked tokenRequest) (who claimant, err error) {
	who.proof.Method = asked.method
	if asked.method != signedJWT {
		who.connection, who.proof.Client, err = s.Directory.AuthenticateClient(ctx, asked.clientID, asked.secret)
		return who, err
	}
	if who.assertion, err = readAssertion(asked.assertion.Reveal()); err != nil {
		return claimant{proof: who.proof}, err
	}
	id, notID := core.ParseID(asked.clientID)
	switch {
	case asked.clientID == "":
		c := who.assertion.claims
		who.connection, err = s.Directory.ConnectionByAssertion(ctx, c.Issuer, c.Subject, c.Audience)
	case notID == nil:
		who.connection, err = s.Directory.ConnectionByID(ctx, s.DB, id)
		if err != nil && core.KindOf(err) == core.KindNotFound {
			err = distrust("client_id names no connection and no client")
		}
	default:
		who.connection, who.proof.Client, err = s.Directory.ConnectionByClient(ctx, asked.clientID)
	}
	who.proof.Assertion = who.connection.Provisioning.Assertion
	return who, err
}

// verify counts an assertion under way.
func (s *Service) verify(connection core.ID) (done func(), err error) {
	state := &s.tokens
	state.mutex.Lock()
	defer state.mutex.Unlock()
	if state.verifying[connection] >= maxVerifying {
		return nil, busy(time.Second)
	}
	if state.verifying == nil {
		state.verifying = map[core.ID]int{}
	}
	state.verifying[connection]++
	return func() {
		state.mutex.Lock()
		defer state.mutex.Unlock()
		if state.verifying[connection]--; state.verifying[connection] == 0 {
			delete(state.verifying, connection)
		}
	}, nil
}

// issue gives out the token. An assertion that has an id is good once. One without, as Entra ID sends
// it, is good until it expires: the issuer keeps handing out the same one meanwhile, and refusing it
// the second time would end provisioning for as long.
func (s *Service) issue(ctx context.Context, cause core.Cause, who claimant) (token seal.Secret, life time.Duration, err error) {
	leave, err := s.enter(ctx, who.connection.Workspace, laneKey(who.connection.ID))
	if err != nil {
		return seal.Secret{}, 0, err
	}
	defer leave()
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if who.assertion != nil && who.assertion.claims.ID != "" {
			// The prefix keeps it apart from the ids of the same issuer's logout tokens.
			hash := sha256.Sum256([]byte(cause.Correlation.String()))
			_, _, err := s.Directory.UseTokenID(ctx, tx, who.connection.ID, "client_assertion:"+who.assertion.claims.ID, hash[:], http.StatusOK,
				who.assertion.claims.Expires.Add(jwt.Skew))
			if core.KindOf(err) == core.KindUnauthenticated && err != nil {
				return distrust("the assertion was used before")
			}
			if err != nil {
				return err
			}
		}
		token, life, err = s.Directory.IssueAccessToken(ctx, tx, cause, who.connection, who.proof, s.accessTokenLife())
		return err
	})
	if err == nil && s.Lifecycle.Wake != nil {
		s.Lifecycle.Wake()
	}
	return token, life, err
}

func (s *Service) accessTokenLife() time.Duration {
	return min(max(s.AccessTokenLife, MinAccessTokenLife), MaxAccessTokenLife)
}

// recordFailure tells that somebody claimed to be a connection's client and was not: a few times, then
// sparingly, with how often it was left out.
func (s *Service) recordFailure(ctx context.Context, cause core.Cause, who claimant, method string, fault *core.Error) {
	if who.connection.ID.IsZero() {
		return
	}
	s.tokens.prepared.Do(func() { s.tokens.failures.Burst, s.tokens.failures.Every = 5, 10*time.Second })
	suppressed, ok := s.tokens.failures.Allow(cause.Received, who.connection.ID)
	if !ok {
		return
	}
	event := core.NewEvent(core.ConnectionTokenIssued, who.connection.Workspace, cause, cause.Received,
		who.connection.Target()).Failed(fault.Message).With("method", method)
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	s.record(ctx, event)
}

// refuseToken answers with an error of RFC 6749 §5.2. Why a client was not believed is told to its
// administrator, by the event, and to nobody else.
func (s *Service) refuseToken(c *gin.Context, err error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = core.Unavailable(5*time.Second, "the request took too long; send it again")
	}
	fault := core.AsError(err)
	status, code, text := http.StatusBadRequest, fault.Code, fault.Message
	switch fault.Kind {
	case core.KindInvalid:
	case core.KindTooLarge:
		status = http.StatusRequestEntityTooLarge
	case core.KindUnauthenticated:
		status, code, text = http.StatusUnauthorized, invalidClient, "the client is not known, or what it showed is not its own"
		c.Header("WWW-Authenticate", `Basic realm="Postern SCIM", charset="UTF-8"`)
	case core.KindRateLimited, core.KindUnavailable:
		status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
		if fault.Kind == core.KindRateLimited {
			status = http.StatusTooManyRequests
		}
		for name, value := range retryAfter(fault.RetryAfter) {
			c.Header(name, value)
		}
	case core.KindDenied, core.KindNotFound, core.KindConflict, core.KindStale, core.KindInternal:
		status, code, text = http.StatusInternalServerError, "server_error", "something went wrong on our side"
	}
	if status >= http.StatusInternalServerError {
		s.log().ErrorContext(c.Request.Context(), "a token request failed", "error", err.Error())
	}
	c.JSON(status, struct {
		Code string `json:"error"`
		Text string `json:"error_description"`
	}{code, text})
}
