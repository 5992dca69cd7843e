package devidp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"postern/core/seal"
)

const (
	requestLife = 10 * time.Minute // from the redirect here to the code's use
	tokenLife   = 5 * time.Minute
)

// storage is what zitadel's provider keeps its requests and tokens in: memory.
type storage struct{ *Server }

var (
	_ op.Storage                        = storage{}
	_ op.CanSetUserinfoFromRequest      = storage{}
	_ op.CanTerminateSessionFromRequest = storage{}
)

// accessToken is what /userinfo knows of a token.
type accessToken struct {
	client, person string
	scopes         []string
	expires        time.Time
}

func (s storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for id, old := range s.requests {
		if s.now().Sub(old.created) > requestLife {
			delete(s.requests, id)
		}
	}
	for id, old := range s.tokens {
		if !old.expires.After(s.now()) {
			delete(s.tokens, id)
		}
	}
	made := authRequest{id: rand.Text(), asked: *asked, created: s.now()}
	s.requests[made.id] = made
	return &made, nil
}

func (s storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	request, err := s.request(id)
	if err != nil {
		return nil, err
	}
	return &request, nil
}

var errGone = errors.New("this sign-in is over or was never begun")

func (s *Server) request(id string) (authRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, ok := s.requests[id]
	if !ok || s.now().Sub(found.created) > requestLife {
		return authRequest{}, errGone
	}
	return found, nil
}

func (s storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, request := range s.requests {
		if request.done && request.code != "" && subtle.ConstantTimeCompare([]byte(request.code), []byte(code)) == 1 {
			return &request, nil
		}
	}
	return nil, errGone
}

func (s storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	request, ok := s.requests[id]
	if !ok {
		return errGone
	}
	request.code = code
	s.requests[id] = request
	return nil
}

// DeleteAuthRequest is called when the code has been turned into tokens: it works once.
func (s storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, ok := s.requests[id]; !ok {
		return oidc.ErrInvalidGrant().WithDescription("the code was used before")
	}
	delete(s.requests, id)
	return nil
}

func (s storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	signedIn, ok := request.(*authRequest)
	if !ok {
		return "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	id, expires := rand.Text(), s.now().Add(tokenLife)
	s.tokens[id] = accessToken{client: signedIn.asked.ClientID, person: signedIn.person, scopes: signedIn.asked.Scopes, expires: expires}
	return id, expires, nil
}

func (s storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	signedIn, ok := request.(*authRequest)
	if !ok {
		return errGone
	}
	info.AppendClaims("sid", signedIn.sid)
	return s.describe(info, signedIn.person, signedIn.asked.ClientID, scopes)
}

func (s storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, _, _ string) error {
	s.lock.Lock()
	token, ok := s.tokens[id]
	s.lock.Unlock()
	if !ok || !token.expires.After(s.now()) {
		return errGone
	}
	return s.describe(info, token.person, token.client, token.scopes)
}

// describe fills in what a client of its style is told about a person.
func (s storage) describe(info *oidc.UserInfo, id, clientID string, scopes []string) error {
	person, err := s.personByID(id)
	if err != nil {
		return err
	}
	client, err := s.client(clientID)
	if err != nil {
		return err
	}
	info.Subject = subject(person, client)
	for _, scope := range scopes {
		switch scope {
		case oidc.ScopeProfile:
			info.PreferredUsername, info.Name = person.UserName, person.DisplayName
			info.GivenName, info.FamilyName = person.GivenName, person.FamilyName
		case oidc.ScopeEmail:
			info.Email = person.Email
			info.EmailVerified = oidc.Bool(!client.Style.IsEntra()) // Entra sends no such claim
		}
	}
	if client.Style.IsEntra() {
		s.lock.Lock()
		defer s.lock.Unlock()
		info.AppendClaims("oid", person.ObjectID)
		info.AppendClaims("tid", s.state.Tenant)
	}
	return nil
}

// subject is what a client is told as sub: with Entra another one for every client.
func subject(person Person, client storedClient) string {
	if !client.Style.IsEntra() {
		return person.ID
	}
	sum := sha256.Sum256([]byte(client.ID + "\x00" + person.ObjectID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s storage) SigningKey(context.Context) (op.SigningKey, error) { return signingKey{s.Server}, nil }

func (s storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{s.Server}}, nil }

func (s storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	client, err := s.client(id)
	if err != nil {
		return nil, oidc.ErrInvalidClient().WithDescription("there is no client with this id")
	}
	return opClient{client}, nil
}

func (s storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	client, err := s.client(id)
	if err != nil || subtle.ConstantTimeCompare(client.SecretHash, seal.HashToken(secret)) != 1 {
		return oidc.ErrInvalidClient().WithDescription("client id or secret is wrong")
	}
	return nil
}

// TerminateSessionFromRequest answers where to go after signing out; the session itself ended before,
// where the browser's cookie was at hand.
func (s storage) TerminateSessionFromRequest(_ context.Context, request *op.EndSessionRequest) (string, error) {
	return request.RedirectURI, nil
}

// The rest of op.Storage belongs to grants this provider does not offer.

func (s storage) TerminateSession(context.Context, string, string) error { return nil }

func (s storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, oidc.ErrUnsupportedGrantType()
}

func (s storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

func (s storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s storage) RevokeToken(_ context.Context, id, _, clientID string) *oidc.Error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if token, ok := s.tokens[id]; ok && token.client == clientID {
		delete(s.tokens, id)
	}
	return nil
}

func (s storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

func (s storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return oidc.ErrRequestNotSupported()
}

func (s storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (s storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, oidc.ErrRequestNotSupported()
}

func (s storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, oidc.ErrRequestNotSupported()
}

func (s storage) Health(context.Context) error { return nil }
