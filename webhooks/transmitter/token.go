package transmitter

import (
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
	"postern/core/postgres"
	"postern/core/seal"
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
// client_secret one of its tokens.
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
	receiver, scopes, err := s.client(c, workspace, id, secret)
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
	token, err := s.issue(c, receiver, granted)
	return token, granted, err
}

// client checks who asks for a token. Whatever is wrong, the answer is the same.
func (s *Service) client(c *gin.Context, workspace core.ID, id, secret string) (Receiver, []string, error) {
	stranger := core.Unauthenticated("the client is not known or its secret is wrong")
	account, err := s.Directory.AuthenticateServiceAccount(c.Request.Context(), seal.NewSecret(secret))
	if core.KindOf(err) == core.KindUnauthenticated && err != nil {
		return Receiver{}, nil, stranger
	}
	if err != nil {
		return Receiver{}, nil, err
	}
	if account.ID.String() != id || account.Workspace != workspace {
		return Receiver{}, nil, stranger
	}
	receiver, err := s.receiverOf(c.Request.Context(), s.DB, workspace, account.ID)
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return Receiver{}, nil, stranger
	}
	scopes := slices.DeleteFunc(slices.Clone(account.Scopes), func(scope string) bool { return !slices.Contains(Scopes(), scope) })
	return receiver, scopes, err
}

// What has expired goes in passing, and so does the oldest of more than anybody needs.
const insertToken = `
with old as (
	delete from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver and hash in (
		select hash from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver
		order by expires desc offset 99 limit 32)),
expired as (
	delete from transmitter_tokens where workspace_id = @workspace and receiver_id = @receiver and expires <= @now)
insert into transmitter_tokens (hash, workspace_id, receiver_id, scopes, created, expires)
values (@hash, @workspace, @receiver, @scopes, @now, @expires)`

func (s *Service) issue(c *gin.Context, receiver Receiver, scopes []string) (seal.Secret, error) {
	token, now := seal.NewToken("pst_ssf_at"), s.now()
	_, err := s.DB.Exec(c.Request.Context(), insertToken, pgx.StrictNamedArgs{
		"hash": seal.HashToken(token.Reveal()), "workspace": receiver.Workspace, "receiver": receiver.ID, "scopes": scopes, "now": now, "expires": now.Add(tokenLife),
	})
	return token, postgres.Classify(err)
}

// A secret that was revoked takes its tokens with it within their life; a receiver that is deleted at once.
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
	by.cause = core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: found.Account, Name: found.Name}, s.now())
	by.cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), 200)}
	return by, nil
}
