package oidc

import (
	"context"
	"errors"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// clockSkew is how far an IdP's clock may be ahead. The library also shortens exp by it.
const clockSkew = 10 * time.Second

// algorithms an ID token may be signed with, whatever the IdP's documents list.
func algorithms() []string { return []string{"RS256", "ES256", "PS256"} }

// identity is who an IdP says has signed in.
type identity struct {
	issuer        string
	subject       string
	objectID      string // oid, Entra's id of the person; sub differs there for every client
	userName      string // preferred_username
	email         string // only when the IdP has verified it
	sid           string
	authenticated time.Time // auth_time; zero when the IdP sent none
	acr           string
	amr           []string
}

// exchange turns a code into a verified identity.
func (p *provider) exchange(ctx context.Context, code string, flow directory.Flow, secret seal.Secret) (identity, error) {
	config := p.oauth
	config.ClientSecret = secret.Reveal()
	if secret.IsZero() {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client says only its id
	}
	asking, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, p.http), fetchTimeout)
	defer cancel()
	tokens, err := config.Exchange(asking, code, oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return identity{}, tokenRefusal(err)
	}
	signed, ok := tokens.Extra("id_token").(string)
	if !ok || signed == "" {
		return identity{}, core.Denied("the identity provider sent no ID token").WithCode(codeTokenRefused)
	}
	verifier := rp.NewIDTokenVerifier(p.connection.Issuer, p.connection.ClientID, p.keys,
		rp.WithNonce(func(context.Context) string { return flow.Nonce }),
		rp.WithSupportedSigningAlgorithms(algorithms()...),
		rp.WithIssuedAtOffset(clockSkew))
	claims, err := rp.VerifyTokens[*zoidc.IDTokenClaims](ctx, tokens.AccessToken, signed, verifier)
	switch {
	case core.KindOf(err) == core.KindUnavailable:
		return identity{}, core.AsError(err).WithCode(codeProviderDown)
	case err != nil:
		return identity{}, core.Denied("the identity provider's token was not accepted: %s", tokenFault(err)).WithCode(codeTokenRefused).Because(err)
	}
	who := identity{issuer: claims.Issuer, subject: claims.Subject, sid: claims.SessionID, authenticated: claims.GetAuthTime(),
		acr: claims.AuthenticationContextClassReference, amr: claims.AuthenticationMethodsReferences}
	if claims.AuthTime == 0 {
		who.authenticated = time.Time{}
	}
	info := claims.GetUserInfo()
	if info.PreferredUsername == "" && info.Email == "" && p.userinfo != "" {
		// Some IdPs keep names out of the ID token when there is an access token to ask with.
		if asked, err := p.ask(ctx, tokens.AccessToken, claims.Subject); err == nil {
			info = asked
		}
	}
	who.userName = info.PreferredUsername
	if bool(info.EmailVerified) && p.connection.Kind != directory.Entra {
		who.email = info.Email
	}
	if p.connection.Kind == directory.Entra {
		who.objectID, _ = claims.Claims["oid"].(string)
	}
	return who, nil
}

// ask reads the userinfo endpoint. An answer about somebody else is an error.
func (p *provider) ask(ctx context.Context, accessToken, subject string) (*zoidc.UserInfo, error) {
	var info zoidc.UserInfo
	if err := fetchJSON(ctx, p.http, p.userinfo, accessToken, &info); err != nil {
		return nil, err
	}
	if info.Subject != subject {
		return nil, rp.ErrUserInfoSubNotMatching
	}
	return &info, nil
}

// tokenRefusal says what a token endpoint's no means. Its body stays out of the error.
func tokenRefusal(err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return core.Unavailable(discoveryRetry, "the identity provider's token endpoint does not answer").WithCode(codeProviderDown).Because(err)
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	switch {
	case status >= 500:
		return core.Unavailable(discoveryRetry, "the identity provider's token endpoint answered %d", status).WithCode(codeProviderDown)
	case answer.ErrorCode == "invalid_client" || answer.ErrorCode == "unauthorized_client" || status == 401:
		return core.Denied("the identity provider does not accept this connection's client id or secret").WithCode(codeProviderWrong)
	case answer.ErrorCode == "invalid_grant":
		return core.Denied("the identity provider does not accept the code: it has expired, was used, or belongs to another sign-in").WithCode(codeTokenRefused)
	}
	return core.Denied("the identity provider's token endpoint answered %d", status).WithCode(codeTokenRefused)
}

// tokenFault says in a person's words why an ID token was refused.
func tokenFault(err error) string {
	for _, fault := range []struct {
		is   error
		text string
	}{
		{zoidc.ErrNonceInvalid, "it belongs to another sign-in"},
		{zoidc.ErrIssuerInvalid, "it is of another issuer"},
		{zoidc.ErrAudience, "it is meant for another client"},
		{zoidc.ErrAzpInvalid, "it is meant for another client"},
		{zoidc.ErrAzpMissing, "it does not say which client it is for"},
		{zoidc.ErrExpired, "it has expired"},
		{zoidc.ErrIatInFuture, "it is from the future: check the clocks"},
		{zoidc.ErrSignatureUnsupportedAlg, "its signature's algorithm is not allowed"},
		{zoidc.ErrSignatureInvalid, "its signature is not the identity provider's"},
		{zoidc.ErrAtHash, "it does not belong to the access token"},
	} {
		if errors.Is(err, fault.is) {
			return fault.text
		}
	}
	return "it is malformed"
}
