package transmitter

import (
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/webhooks/origins"
)

// The scopes of receivers.
const (
	ScopeManage = "ssf.manage" // make, change and end its stream; hear of what happens
	ScopeRead   = "ssf.read"   // see its stream, and hear of what happens
)

// Scopes are those a receiver's service account may have.
func Scopes() []string { return []string{ScopeManage, ScopeRead} }

// tokenLife is how long an access token opens the transmitter.
const tokenLife = time.Hour

// caller is a receiver that asks.
type caller struct {
	receiver Receiver
	scopes   []string
	cause    core.Cause
}

func seconds(wait time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))) }

// token gives out access tokens (RFC 6749 §4.4): client_id is the id of a receiver's service account, and
// client_secret one of its tokens. An address that was wrong too often is answered 429 before anything is looked at.
func (s *Service) token(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
	token, scopes, err := s.grant(c)
	if err == nil {
		c.JSON(http.StatusOK, gin.H{"access_token": token.Reveal(), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "scope": strings.Join(scopes, " ")})
		return
	}
	_ = c.Error(err)
	classified := core.AsError(err)
	status, code := http.StatusBadRequest, classified.Code
	switch classified.Kind {
	case core.KindUnauthenticated:
		status, code = http.StatusUnauthorized, "invalid_client"
		c.Header("WWW-Authenticate", `Basic realm="ssf"`)
	case core.KindNotFound:
		status, code = http.StatusNotFound, "invalid_request"
	case core.KindInvalid:
	default:
		answer(c, err)
		return
	}
	if code == "" {
		code = "invalid_request"
	}
	c.JSON(status, gin.H{"error": code, "error_description": classified.Message})
}

func (s *Service) grant(c *gin.Context) (seal.Secret, []string, error) {
	named, err := core.ParseID(c.Param("workspace"))
	if err != nil {
		return seal.Secret{}, nil, core.NotFound("transmitter")
	}
	from := origins.Of(named, c.ClientIP())
	if wait, limited := s.failures.Limited(s.now(), from); limited {
		return seal.Secret{}, nil, &core.Error{Kind: core.KindRateLimited, RetryAfter: wait, Message: "too many clients from this address were not accepted"}
	}
	if err := take(c); err != nil {
		return seal.Secret{}, nil, err
	}
	workspace, err := s.known(c)
	if err != nil {
		return seal.Secret{}, nil, err
	}
	if kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return seal.Secret{}, nil, core.Invalid("", "send a form, application/x-www-form-urlencoded")
	}
	text, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return seal.Secret{}, nil, core.Invalid("", "the form could not be read to its end")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return seal.Secret{}, nil, core.Invalid("", "the form cannot be read")
	}
	for name, values := range form {
		if len(values) > 1 {
			return seal.Secret{}, nil, core.Invalid("", "%.40q is there twice", name)
		}
	}
	if form.Get("grant_type") != "client_credentials" {
		return seal.Secret{}, nil, core.Invalid("grant_type", "the grant is client_credentials").WithCode("unsupported_grant_type")
	}
	id, secret, basic := c.Request.BasicAuth()
	if basic {
		if id, err = url.QueryUnescape(id); err == nil {
			secret, err = url.QueryUnescape(secret)
		}
		if err != nil || form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id {
			return seal.Secret{}, nil, core.Invalid("", "a client proves itself in one way")
		}
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	cause := core.NewCause(core.System, s.now())
	cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), 200)}
	receiver, by, scopes, err := s.client(c, workspace, id, secret)
	if core.KindOf(err) == core.KindUnauthenticated && err != nil {
		s.failures.Count(s.now(), from)
		s.tellRefused(c.Request.Context(), cause, workspace, id)
	}
	if err != nil {
		return seal.Secret{}, nil, err
	}
	granted := scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		granted = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(asked))), func(scope string) bool { return !slices.Contains(scopes, scope) })
	}
	if len(granted) == 0 {
		return seal.Secret{}, nil, core.Invalid("scope", "the client may have %s", strings.Join(scopes, " ")).WithCode("invalid_scope")
	}
	cause.Actor = receiver.actor()
	token, err := s.issue(c.Request.Context(), cause, receiver, by, granted)
	return token, granted, err
}

// tellRefused tells that somebody claimed to be a client and was not: a few times, then sparingly, with how often it
// was left out.
func (s *Service) tellRefused(ctx context.Context, cause core.Cause, workspace core.ID, client string) {
	suppressed, ok := s.refused.Allow(cause.Received, workspace)
	if !ok {
		return
	}
	// Whoever hangs up is told of all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var targets []core.Target
	if account, err := core.ParseID(client); err == nil {
		if receiver, err := s.receiverOf(ctx, s.DB, workspace, account); err == nil {
			targets = append(targets, receiver.target())
		}
	}
	event := core.NewEvent(core.ReceiverTokenIssued, workspace, cause, cause.Received, targets...).Failed(unknownClient)
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	if err := s.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) }); err != nil {
		if s.Log != nil {
			s.Log.WarnContext(ctx, "that a client was refused could not be recorded", "workspace", workspace.String(), "error", err)
		}
		return
	}
	s.wake()
}

const unknownClient = "the client is not known or its secret is wrong"

// client checks who asks for a token, and by which of its secrets. Whatever is wrong, the answer is the same.
func (s *Service) client(c *gin.Context, workspace core.ID, id, secret string) (Receiver, core.ID, []string, error) {
	stranger := core.Unauthenticated(unknownClient)
	account, err := s.Directory.AuthenticateServiceAccount(c.Request.Context(), seal.NewSecret(secret))
	if core.KindOf(err) == core.KindUnauthenticated && err != nil {
		return Receiver{}, core.ID{}, nil, stranger
	}
	if err != nil {
		return Receiver{}, core.ID{}, nil, err
	}
	if account.ID.String() != id || account.Workspace != workspace {
		return Receiver{}, core.ID{}, nil, stranger
	}
	receiver, err := s.receiverOf(c.Request.Context(), s.DB, workspace, account.ID)
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return Receiver{}, core.ID{}, nil, stranger
	}
	scopes := slices.DeleteFunc(slices.Clone(account.Scopes), func(scope string) bool { return !slices.Contains(Scopes(), scope) })
	return receiver, account.Token, scopes, err
}

// What has expired goes in passing, and so does the oldest of more than anybody needs.
const insertToken = `
with old as (
	delete from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver and hash in (
		select hash from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver
		order by expires desc offset 99 limit 32)),
expired as (
	delete from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver and expires <= @now)
insert into transmitter_tokens (hash, workspace_id, receiver_id, secret_id, scopes, created, expires)
values (@hash, @workspace, @receiver, @secret, @scopes, @now, @expires)`

func (s *Service) issue(ctx context.Context, cause core.Cause, receiver Receiver, by core.ID, scopes []string) (seal.Secret, error) {
	token, now := seal.NewToken("pst_ssf_at"), s.now()
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertToken, pgx.StrictNamedArgs{
			"hash": seal.HashToken(token.Reveal()), "workspace": receiver.Workspace, "receiver": receiver.ID, "secret": by, "scopes": scopes, "now": now, "expires": now.Add(tokenLife),
		}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReceiverTokenIssued, receiver.Workspace, cause, now, receiver.target()).With("scopes", strings.Join(scopes, " ")))
	})
	if err == nil {
		s.wake()
	}
	return token, postgres.Classify(err)
}

// A secret that is revoked takes its tokens with it at once, and so does a receiver that is deleted.
const selectToken = `
select r.id, r.workspace_id, r.service_account_id, r.name, r.subject_format, r.audience, r.sessions, r.accounts, r.created, t.scopes
from transmitter_tokens t join receivers r on r.workspace_id = t.workspace_id and r.id = t.receiver_id
where t.workspace_id = @workspace and t.hash = @hash and t.expires > @now`

// guard lets in who shows a token with a scope. To manage includes to read.
func (s *Service) guard(scope string, handle func(c *gin.Context, by caller) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		var by caller
		err := take(c)
		if err == nil {
			by, err = s.admit(c)
		}
		if err == nil && !slices.Contains(by.scopes, scope) && !slices.Contains(by.scopes, ScopeManage) {
			c.Header("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+scope+`"`)
			err = core.Denied("the token lacks the scope %s", scope)
		}
		if err == nil {
			err = handle(c, by)
		}
		if err != nil {
			answer(c, err)
		}
	}
}

func (s *Service) admit(c *gin.Context) (caller, error) {
	c.Header("Cache-Control", "no-store")
	stranger := core.Unauthenticated("send an access token as Authorization: Bearer")
	workspace, err := core.ParseID(c.Param("workspace"))
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if err != nil || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return caller{}, stranger
	}
	rows, err := s.DB.Query(c.Request.Context(), selectToken, pgx.StrictNamedArgs{"workspace": workspace, "hash": seal.HashToken(strings.TrimSpace(token)), "now": s.now()})
	if err != nil {
		return caller{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Receiver
		Scopes []string `db:"scopes"`
	}])
	if errors.Is(err, pgx.ErrNoRows) {
		return caller{}, stranger
	}
	if err != nil {
		return caller{}, postgres.Classify(err)
	}
	by := caller{receiver: found.Receiver, scopes: found.Scopes}
	by.cause = core.NewCause(found.actor(), s.now())
	by.cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), 200)}
	return by, nil
}
