package devidp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

// UniversalLogout asks an endpoint to end all sessions of the person with an e-mail address, as Okta
// does: a POST with {"sub_id":{"format":"email",…}} and a signed token of type
// global-token-revocation+jwt. The error says what an answer other than 2xx means.
func (s *Server) UniversalLogout(ctx context.Context, endpoint, email string) (push.Exchange, error) {
	target := Target{Name: "Universal Logout", LogoutEndpoint: endpoint}
	for _, known := range s.Targets() {
		if known.LogoutEndpoint == endpoint {
			target = known
		}
	}
	return s.logout(ctx, target, email)
}

func (s *Server) logout(ctx context.Context, target Target, email string) (push.Exchange, error) {
	token, err := s.LogoutToken(target.LogoutEndpoint, s.logoutSubject(target))
	if err != nil {
		return push.Exchange{}, err
	}
	body, err := json.Marshal(map[string]any{"sub_id": map[string]string{"format": "email", "email": email}})
	if err != nil {
		return push.Exchange{}, core.Internal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.LogoutEndpoint, bytes.NewReader(body))
	if err != nil {
		return push.Exchange{}, core.Invalid("endpoint", "the logout address cannot be read").Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	request.Header.Set("Content-Type", "application/json")
	exchange, err := push.Do(s.http(), request, body, s.options.Now)
	exchange.Response = strings.ReplaceAll(exchange.Response, token.Reveal(), "[redacted]")
	if err == nil && exchange.Status >= 300 {
		err = &core.Error{Kind: logoutKind(exchange.Status), Message: fmt.Sprintf("the logout endpoint answered %d", exchange.Status)}
	}
	s.record(target.Name+": clear sessions of "+email, push.Result{Exchanges: []push.Exchange{exchange}}, err)
	return exchange, err
}

// LogoutToken signs a token for a logout endpoint, good for one use within five minutes. The subject
// is the client id the endpoint expects.
func (s *Server) LogoutToken(endpoint, subject string) (seal.Secret, error) {
	options := (&jose.SignerOptions{}).WithType("global-token-revocation+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.keyID},
	}, options)
	if err != nil {
		return seal.Secret{}, core.Internal(err)
	}
	audience, _, _ := strings.Cut(endpoint, "#")
	audience, _, _ = strings.Cut(audience, "?")
	now := s.now()
	claims, err := json.Marshal(map[string]any{
		"jti": rand.Text(), "iss": s.options.Issuer, "sub": subject, "aud": audience,
		"exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "iat": now.Unix(),
	})
	if err != nil {
		return seal.Secret{}, core.Internal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return seal.Secret{}, core.Internal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return seal.Secret{}, core.Internal(err)
	}
	return seal.NewSecret(compact), nil
}

func (s *Server) logoutSubject(target Target) string {
	if target.Client != "" {
		return target.Client
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if len(s.state.Clients) == 0 {
		return ""
	}
	return s.state.Clients[0].ID
}

func logoutKind(status int) core.Kind {
	switch {
	case status == http.StatusUnauthorized:
		return core.KindUnauthenticated
	case status == http.StatusForbidden:
		return core.KindDenied
	case status == http.StatusNotFound:
		return core.KindNotFound
	case status == http.StatusTooManyRequests:
		return core.KindRateLimited
	case status >= 500:
		return core.KindUnavailable
	}
	return core.KindInvalid
}
