package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/signals"
)

// Receiver is the pipeline every signal goes through: signals.Signals.
type Receiver interface {
	Receive(ctx context.Context, cause core.Cause, signal signals.Signal, once *signals.Once) (signals.Receipt, error)
	Refused(ctx context.Context, refusal signals.Refusal)
}

// BackChannelEvent is the event a logout token tells of (OpenID Connect Back-Channel Logout 1.0 §2.4).
const BackChannelEvent = "http://schemas.openid.net/event/backchannel-logout"

const (
	maxLogoutBody = 64 << 10
	// logoutLife bounds how far ahead exp may be: until then the token's id is kept. The profile advises
	// two minutes.
	logoutLife = 24 * time.Hour
	// logoutAge is how old a token without exp may be, where such tokens are accepted.
	logoutAge = 5 * time.Minute

	stageEvent   = "event"
	stageSubject = "subject"
	stageMissing = "malformed"
)

// logoutToken is what a logout token says beyond the registered claims.
type logoutToken struct {
	SID    *string         `json:"sid"`
	Events json.RawMessage `json:"events"`
}

// backchannelLogout answers POST /sso/:connection/backchannel-logout: the IdP itself says that somebody's
// session there has ended. 200 is said after the commit, and also when there is nothing left to end.
func (s *Service) backchannelLogout(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
	refusal := signals.Refusal{Door: signals.BackChannelLogout}
	if err := s.endAtBack(c, &refusal); err != nil {
		_ = c.Error(err)
		fault := core.AsError(err)
		if refusal.Stage = fault.Code; refusal.Stage == "" {
			refusal.Stage = fault.Kind.String()
		}
		refusal.Err, refusal.Origin = err, s.cause(c, core.System).Origin
		if !refusal.Connection.ID.IsZero() {
			s.Signals.Refused(context.WithoutCancel(c.Request.Context()), refusal)
		}
		refuseLogout(c, fault)
		return
	}
	c.Status(http.StatusOK)
}

// refuseLogout answers as §2.8 of the specification wants. What failed on our side is not the token's
// fault and may be sent again.
func refuseLogout(c *gin.Context, fault *core.Error) {
	status, word, text := http.StatusBadRequest, "invalid_request", fault.Message
	switch fault.Kind {
	case core.KindUnavailable, core.KindRateLimited:
		status, word = http.StatusServiceUnavailable, "temporarily_unavailable"
		c.Header("Retry-After", strconv.Itoa(max(1, int(fault.RetryAfter.Seconds()))))
	case core.KindTooLarge:
		status = http.StatusRequestEntityTooLarge
	case core.KindInternal:
		status, word, text = http.StatusInternalServerError, "server_error", core.Internal(nil).Message
	}
	c.JSON(status, gin.H{"error": word, "error_description": text})
}

func (s *Service) endAtBack(c *gin.Context, refusal *signals.Refusal) error {
	ctx, received := c.Request.Context(), s.now()
	// Whoever is not the connection's IdP learns nothing, not even that there is no such connection.
	unknown := core.Unauthenticated("the logout token is not one of this connection").WithCode("connection")
	connection, err := s.connection(c)
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return unknown.Because(err)
	}
	if err != nil {
		return err
	}
	refusal.Connection = connection
	compact, err := logoutTokenOf(c)
	if err != nil {
		return err
	}
	allowed, err := s.Directory.LogoutQuirks(ctx, s.DB, connection.Workspace, connection.ID)
	if err != nil {
		return err
	}
	token, said, quirks, err := s.VerifyLogout(ctx, compact, connection, allowed)
	if err != nil {
		return err
	}
	refusal.Known, refusal.Subject = true, token.Subject
	digest := sha256.Sum256([]byte(compact))
	cause := s.cause(c, connection.Actor())
	signal := signals.Signal{
		Workspace: connection.Workspace, Connection: connection.ID, ConnectionName: connection.Name, Door: signals.BackChannelLogout,
		Kind: signals.Logout, Subject: signals.NoSubject(), SID: said, Occurred: token.Issued, Received: received,
		Evidence: signals.Evidence{
			Issuer: token.Issuer, TokenID: token.ID, Type: BackChannelEvent, Digest: token.Digest, Quirks: quirks,
		},
	}
	if token.Subject != "" {
		signal.Subject = signals.IssSubSubject(token.Issuer, token.Subject)
	}
	if said != "" {
		signal.Evidence.Facts = map[string]string{signals.FactScope: "session"}
	}
	expires := token.Expires
	if expires.IsZero() {
		expires = token.Issued.Add(logoutAge)
	}
	_, err = s.Signals.Receive(ctx, cause, signal, &signals.Once{
		TokenID: token.ID, BodyHash: digest[:], Status: http.StatusOK, Expires: expires.Add(2 * jwt.Skew),
	})
	if core.KindOf(err) == core.KindNotFound {
		return nil // nobody is signed in who could be signed out: that is what was wanted (§2.8)
	}
	return err
}

// logoutTokenOf takes the token out of the form; other parameters are passed over (§2.5).
func logoutTokenOf(c *gin.Context) (string, error) {
	if c.ContentType() != "application/x-www-form-urlencoded" {
		return "", core.Invalid("", "send the logout token as application/x-www-form-urlencoded").WithCode(stageMissing)
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxLogoutBody)
	if err := c.Request.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return "", core.TooLarge("a logout request may have %d bytes", maxLogoutBody).WithCode(stageMissing).Because(err)
		}
		return "", core.Invalid("", "the form cannot be read").WithCode(stageMissing).Because(err)
	}
	values := c.Request.PostForm["logout_token"]
	if len(values) != 1 || values[0] == "" {
		return "", core.Invalid("logout_token", "exactly one logout_token is needed").WithCode(stageMissing)
	}
	return values[0], nil
}

// VerifyLogout judges a logout token of a connection (OpenID Connect Back-Channel Logout 1.0 §2.6), and
// returns it with the sid it names and the quirks it needed. Single use is not checked: that belongs to the effect.
// An error's Code names the check that failed.
func (s *Service) VerifyLogout(ctx context.Context, compact string, connection directory.Connection, allowed []directory.LogoutQuirk) (jwt.Token, string, []string, error) {
	want := jwt.Expected{
		Types: []string{"logout+jwt"}, Issuers: append([]string{connection.Issuer}, connection.LogoutIssuers...),
		Audiences: []string{connection.ClientID}, KeysURI: connection.JWKSURI, Expiry: jwt.Required, MaxLifetime: logoutLife,
		Algorithms: algorithms(connection), // as an ID token's (Back-Channel Logout 1.0 §2.6)
		NeedID:     true, NeedIssued: true, Without: []string{"nonce"},
	}
	if slices.Contains(allowed, directory.LogoutUntyped) {
		want.Types = append(want.Types, "", "JWT")
	}
	if slices.Contains(allowed, directory.LogoutNoExpiry) {
		want.Expiry, want.MaxAge = jwt.Optional, logoutAge
	}
	token, err := (&jwt.Verifier{Keys: s.Keys, Now: s.now}).Verify(ctx, compact, want)
	if err != nil {
		return jwt.Token{}, "", nil, err
	}
	var used []string
	if token.Type == "" || strings.EqualFold(token.Type, "JWT") {
		used = append(used, string(directory.LogoutUntyped))
	}
	if token.Expires.IsZero() {
		used = append(used, string(directory.LogoutNoExpiry))
	}
	said, err := readLogout(token)
	return token, said, used, err
}

// readLogout checks what makes a verified token a logout token, and gives its sid.
func readLogout(token jwt.Token) (string, error) {
	var claims logoutToken
	if err := token.Read(&claims); err != nil {
		return "", err
	}
	var events, event map[string]json.RawMessage
	if err := json.Unmarshal(claims.Events, &events); err != nil || events == nil {
		return "", core.Unauthenticated("the token's events is no object").WithCode(stageEvent)
	}
	member, there := events[BackChannelEvent]
	if !there {
		return "", core.Unauthenticated("the token does not tell of a logout").WithCode(stageEvent)
	}
	if err := json.Unmarshal(member, &event); err != nil || event == nil {
		return "", core.Unauthenticated("the token's event is no object").WithCode(stageEvent)
	}
	said := ""
	if claims.SID != nil {
		said = *claims.SID
	}
	switch {
	case token.Has("sid") && said == "", token.Has("sub") && token.Subject == "":
		return "", core.Unauthenticated("the token's sid or sub is empty").WithCode(stageSubject)
	case said == "" && token.Subject == "":
		return "", core.Unauthenticated("the token names neither a session nor a person").WithCode(stageSubject)
	case len(said) > jwt.MaxID:
		return "", core.Unauthenticated("the token's sid is longer than %d bytes", jwt.MaxID).WithCode(stageSubject)
	}
	return said, nil
}
