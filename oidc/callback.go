package oidc

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/seal"
)

// callback is where the IdP sends the browser back to.
func (s *Service) callback(c *gin.Context) {
	ctx := c.Request.Context()
	connection, err := s.connection(c)
	if err != nil {
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	state := c.Query("state")
	over := core.Invalid("state", "this sign-in was begun in another browser, was used already, or has expired").WithCode(codeFlowOver)
	if !begunHere(c, state) {
		s.refuse(c, connection, "/", over)
		return
	}
	flow, err := s.Directory.TakeFlow(ctx, s.DB, connection.Workspace, connection.ID, state)
	if core.KindOf(err) == core.KindUnauthenticated {
		err = over.Because(err)
	}
	if err != nil {
		s.refuse(c, connection, "/", err)
		return
	}
	returnTo := ReturnTo(flow.ReturnTo)
	who, err := s.identify(c, connection, flow)
	if err != nil {
		s.fail(c, connection, returnTo, who, err)
		return
	}
	token, err := s.signIn(c, connection, flow, who)
	if err != nil {
		s.fail(c, connection, returnTo, who, err)
		return
	}
	setCookie(c, SessionCookie, token.Reveal(), 0)
	setCookie(c, connectionCookie, connection.ID.String(), connectionLife)
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
	c.Redirect(http.StatusSeeOther, returnTo)
}

// identify checks the IdP's answer and turns its code into an identity.
func (s *Service) identify(c *gin.Context, connection directory.Connection, flow directory.Flow) (identity, error) {
	provider, err := s.provider(c.Request.Context(), connection)
	if err != nil {
		return identity{}, err
	}
	// Before anything of the answer is used: an answer of another IdP must not have its code sent to
	// this one (RFC 9207).
	issuer, said := c.GetQuery("iss")
	if said && issuer != connection.Issuer || !said && provider.saysIssuer {
		return identity{}, core.Denied("the answer is not from this connection's identity provider").WithCode(codeWrongIssuer)
	}
	if refused := c.Query("error"); refused != "" {
		return identity{}, answered(refused, c.Query("error_description"))
	}
	code := c.Query("code")
	if code == "" {
		return identity{}, core.Denied("the identity provider's answer holds no code").WithCode(codeTokenRefused)
	}
	return s.exchange(c.Request.Context(), provider, code, flow)
}

// signIn begins the session: the link to the user, the session and their events commit together.
func (s *Service) signIn(c *gin.Context, connection directory.Connection, flow directory.Flow, who identity) (seal.Secret, error) {
	ctx := c.Request.Context()
	before, holder, replaces := s.Current(c)
	if err := s.proven(connection, flow, who); err != nil {
		return seal.Secret{}, err
	}
	var token seal.Secret
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		user, err := s.userOf(ctx, tx, s.cause(c, connection.Actor()), connection, who)
		if err != nil {
			return err
		}
		cause := s.cause(c, user.Actor())
		authenticated := who.authenticated
		if authenticated.IsZero() {
			authenticated = flow.Created
		}
		wanted := directory.NewSession{
			Workspace: connection.Workspace, User: user.ID, Connection: connection.ID, Issuer: who.issuer, Subject: who.subject,
			SID: who.sid, Authenticated: authenticated, Begun: flow.Created, ACR: who.acr, AMR: who.amr, IDToken: who.token,
		}
		var steppedUp bool
		if token, steppedUp, err = s.stepUp(ctx, tx, cause, flow, wanted); steppedUp || err != nil {
			return err
		}
		_, token, err = s.Directory.StartSession(ctx, tx, cause, wanted)
		if err != nil {
			return err
		}
		if !replaces {
			return nil
		}
		// The browser forgets the old session's token now; nobody should find it usable later. It may be
		// somebody else's, in another workspace: there it is its holder's browser that ends it.
		cause.Actor = holder.Actor()
		return s.Directory.EndSession(ctx, tx, cause, before.Workspace, before.ID, "replaced by a new sign-in")
	})
	return token, err
}

// fail records a sign-in that came back from the IdP and did not succeed, and says so.
func (s *Service) fail(c *gin.Context, connection directory.Connection, returnTo string, who identity, err error) {
	if suppressed, ok := s.throttle(who).Allow(s.now(), connection.ID); ok {
		s.record(c, connection, who, core.AsError(err), suppressed)
	}
	s.refuse(c, connection, returnTo, err)
}

func (s *Service) record(c *gin.Context, connection directory.Connection, who identity, fault *core.Error, suppressed int) {
	ctx := context.WithoutCancel(c.Request.Context())
	event := core.NewEvent(core.SignInFailed, connection.Workspace, s.cause(c, connection.Actor()), s.now(),
		connection.Target()).Failed(fault.Message)
	for key, value := range map[string]string{"code": fault.Code, "subject": who.subject, "user_name": who.userName, "provider_code": traceOf(fault)} {
		if value != "" {
			event = event.With(key, strings.ToValidUTF8(value[:min(len(value), 200)], ""))
		}
	}
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	if failure := s.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) }); failure != nil {
		s.log().ErrorContext(ctx, "a failed sign-in could not be recorded", "connection", connection.ID, "error", failure)
	}
}
