package oidc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// Signer signs with a workspace's own key, whose public half is at {PublicURL}/jwks/{workspace id}:
// core/signing is one.
type Signer interface {
	Sign(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
	// SignCertified names the key by its certificate's thumbprints as well.
	SignCertified(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
}

// assertionLife is how long a client assertion can be used: once, at once.
const assertionLife = time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertion is a client's proof of its key (RFC 7523 §3, OpenID Connect Core 1.0 §9). The library's has
// no jti and lives an hour.
type assertion struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	Issued    int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
}

// method is how Postern proves to a provider that it is the client. What a connection does not say, its
// secret and the discovery document do: asking and trying again would burn the code.
func (p *provider) method() directory.ClientAuthentication {
	switch {
	case p.connection.SignIn.Authentication != directory.AuthenticateDetected:
		return p.connection.SignIn.Authentication
	case p.connection.ClientSecret == "":
		return directory.AuthenticateNone
	case len(p.methods) == 0 || slices.Contains(p.methods, string(directory.AuthenticateBasic)):
		return directory.AuthenticateBasic
	}
	return directory.AuthenticatePost
}

// authenticateClient adds to a request of the token or the pushed-authorization endpoint what proves
// that Postern is the client.
func (s *Service) authenticateClient(ctx context.Context, p *provider, form url.Values, header http.Header) error {
	connection, method := p.connection, p.method()
	if method != directory.AuthenticateBasic {
		form.Set("client_id", connection.ClientID)
	}
	switch method {
	case directory.AuthenticateNone:
		return nil
	case directory.AuthenticateKey:
		signed, err := s.assert(ctx, p)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", signed)
		return nil
	}
	secret, err := s.secretOf(connection)
	if err != nil {
		return err
	}
	if method == directory.AuthenticatePost {
		form.Set("client_secret", secret.Reveal())
		return nil
	}
	pair := url.QueryEscape(connection.ClientID) + ":" + url.QueryEscape(secret.Reveal()) // RFC 6749 §2.3.1
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

func (s *Service) secretOf(connection directory.Connection) (seal.Secret, error) {
	if connection.ClientSecret == "" {
		return seal.Secret{}, core.Denied("the connection has no client secret, which its way of signing in needs").WithCode(codeProviderWrong)
	}
	if s.OpenSecret == nil {
		return seal.Secret{}, core.Internal(nil).WithCode(codeProviderWrong)
	}
	secret, err := s.OpenSecret(connection.ClientSecret)
	if err != nil {
		return seal.Secret{}, core.Internal(err).WithCode(codeProviderWrong)
	}
	return secret, nil
}

// assert makes a client assertion. Okta and Entra ID want the token endpoint's address as aud, others
// the issuer, which is safer: nobody can have it sent elsewhere by lying about the endpoint.
func (s *Service) assert(ctx context.Context, p *provider) (string, error) {
	if s.Signer == nil {
		return "", core.Internal(nil).WithCode(codeProviderWrong)
	}
	audience := p.connection.Issuer
	if p.connection.SignIn.AssertionToTokenEndpoint || p.connection.Kind == directory.Okta || p.connection.Kind == directory.Entra {
		audience = p.token
	}
	sign := s.Signer.Sign
	if p.connection.Kind == directory.Entra {
		sign = s.Signer.SignCertified // Entra ID knows the key by nothing else
	}
	now := s.now()
	signed, err := sign(ctx, p.connection.Workspace, "JWT", assertion{
		Issuer: p.connection.ClientID, Subject: p.connection.ClientID, Audience: audience, ID: rand.Text(),
		Issued: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", core.Internal(err).WithCode(codeProviderWrong)
	}
	return signed, nil
}
