package ssf

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/core"
	"postern/core/seal"
)

// secretField is what the vault calls a stream's secret; the item is the stream.
const secretField = "secret"

// tokens are the access tokens of transmitters, in memory alone.
type tokens struct {
	lock  sync.Mutex
	known map[core.ID]granted
}

// granted is an access token and what it was granted for.
type granted struct {
	token   seal.Secret
	access  Access
	secret  int
	expires time.Time
}

// token is what we show a transmitter: of OAuth a fresh one, or the static one. The zero Secret: nothing.
func (s *Service) token(ctx context.Context, stream Stream) (seal.Secret, error) {
	s.prepare()
	switch {
	case stream.Access.Method == MethodBearer:
		return s.secret(ctx, stream)
	case !stream.Access.oauth():
		return seal.Secret{}, core.Conflict("", "an administrator manages this stream at the transmitter: Postern has no credential there").WithCode("token")
	}
	s.tokens.lock.Lock()
	known, ok := s.tokens.known[stream.ID]
	s.tokens.lock.Unlock()
	if ok && known.secret == stream.SecretVersion && reflect.DeepEqual(known.access, stream.Access) && s.now().Before(known.expires) {
		return known.token, nil
	}
	fresh, err := s.grant(ctx, stream)
	if err != nil {
		return seal.Secret{}, core.AsError(err).WithCode("token")
	}
	s.tokens.lock.Lock()
	defer s.tokens.lock.Unlock()
	s.tokens.known[stream.ID] = fresh
	return fresh.token, nil
}

// forget drops a token that was refused.
func (s *Service) forget(stream Stream) {
	s.tokens.lock.Lock()
	defer s.tokens.lock.Unlock()
	delete(s.tokens.known, stream.ID)
}

// grant asks for an access token (RFC 6749 §4.4).
func (s *Service) grant(ctx context.Context, stream Stream) (granted, error) {
	access := stream.Access
	request := exchange{client: s.HTTP, method: http.MethodPost, address: access.TokenEndpoint, form: url.Values{"grant_type": {"client_credentials"}}}
	if len(access.Scopes) > 0 {
		request.form.Set("scope", strings.Join(access.Scopes, " "))
	}
	switch access.Method {
	case MethodPrivateKeyJWT:
		if s.Sign == nil {
			return granted{}, core.Conflict("access.method", "private_key_jwt cannot be used here")
		}
		now := s.now()
		assertion, err := s.Sign(ctx, stream.Workspace, "JWT", map[string]any{
			"iss": access.ClientID, "sub": access.ClientID, "aud": access.TokenEndpoint, "jti": core.NewID().String(),
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		})
		if err != nil {
			return granted{}, err
		}
		request.form.Set("client_id", access.ClientID)
		request.form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		request.form.Set("client_assertion", assertion)
	default:
		secret, err := s.secret(ctx, stream)
		if err != nil {
			return granted{}, err
		}
		if access.Method == MethodClientSecretBasic {
			request.basic = url.UserPassword(access.ClientID, secret.Reveal())
		} else {
			request.form.Set("client_id", access.ClientID)
			request.form.Set("client_secret", secret.Reveal())
		}
	}
	got, err := request.do(ctx)
	if err == nil && got.status == http.StatusBadRequest && got.says("invalid_scope") && slices.Equal(access.Scopes, DefaultScopes) {
		// Some, such as Keycloak, know no such scopes and let every receiver manage its own stream.
		request.form.Del("scope")
		got, err = request.do(ctx)
	}
	if err != nil {
		return granted{}, err
	}
	if got.status != http.StatusOK {
		refused := got.refusal("the token endpoint")
		if got.status == http.StatusBadRequest || got.status == http.StatusUnauthorized {
			refused = core.Denied("the token endpoint gives no token (%d): %s", got.status, got.words())
		}
		return granted{}, refused
	}
	var said struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
	}
	if err := got.read(&said); err != nil {
		return granted{}, err
	}
	if said.Token == "" || !strings.EqualFold(said.Type, "Bearer") || strings.ContainsAny(said.Token, "\r\n ") {
		return granted{}, core.Unavailable(0, "the token endpoint gives no bearer token")
	}
	life := time.Minute
	if said.Expires > 0 {
		life = time.Duration(min(said.Expires, 86400)) * time.Second
	}
	return granted{seal.NewSecret(said.Token), access, stream.SecretVersion, s.now().Add(life * 9 / 10)}, nil
}

// secret is what the stream's access goes by: where the reference leads, or out of the vault.
func (s *Service) secret(ctx context.Context, stream Stream) (seal.Secret, error) {
	if reference := stream.Access.SecretReference; reference != "" {
		if s.OpenSecret == nil {
			return seal.Secret{}, core.Conflict("", "references to secrets cannot be resolved here").WithCode("token")
		}
		return s.OpenSecret(reference)
	}
	if s.Vault == nil || s.Vault.Keys == nil {
		return seal.Secret{}, core.Conflict("", "the credential is sealed, and the key is not here").WithCode("token")
	}
	return s.Vault.Open(ctx, s.DB, stream.Workspace, stream.ID, secretField, stream.SecretVersion)
}
