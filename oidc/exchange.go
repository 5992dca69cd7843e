package oidc

import (
	"context"
	"net/http"
	"net/url"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/seal"
)

// answerOf is the token endpoint's answer to a code (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3).
type answerOf struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
}

// exchange turns a code into a verified identity.
func (s *Service) exchange(ctx context.Context, p *provider, code string, flow directory.Flow) (identity, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}, "code_verifier": {flow.Verifier},
	}
	header := http.Header{}
	if err := s.authenticateClient(ctx, p, form, header); err != nil {
		return identity{}, err
	}
	var tokens answerOf
	if err := p.post(ctx, p.token, form, header, http.StatusOK, &tokens); err != nil {
		return identity{}, tokenRefusal(err, "token endpoint")
	}
	if tokens.IDToken == "" {
		return identity{}, core.Denied("the identity provider sent no ID token").WithCode(codeTokenRefused)
	}
	return s.judge(ctx, p, tokens, flow)
}

// judge verifies an ID token and asks for the names it does not hold.
func (s *Service) judge(ctx context.Context, p *provider, tokens answerOf, flow directory.Flow) (identity, error) {
	verifier := jwt.Verifier{Keys: s.Keys, Now: s.now}
	token, err := verifier.Verify(ctx, tokens.IDToken, p.expected())
	if err != nil {
		return identity{}, tokenFault(err)
	}
	said, err := p.claimsOf(token, tokens.AccessToken, flow.Nonce)
	if err != nil {
		return identity{}, tokenFault(err)
	}
	who := said.identity(p.connection)
	who.token = seal.NewSecret(tokens.IDToken)
	who.issuer = p.connection.Issuer // Google's other spelling is the same issuer
	if said.PreferredUsername == "" && said.Email == "" && p.userinfo != "" && tokens.AccessToken != "" {
		// Some IdPs keep names out of the ID token when there is an access token to ask with.
		if asked, err := p.ask(ctx, tokens.AccessToken, said.Subject); err == nil {
			said.names = asked
			named := said.identity(p.connection)
			who.userName, who.email, who.givenName, who.familyName, who.displayName = named.userName, named.email, named.givenName, named.familyName, named.displayName
		}
	}
	return who, nil
}

// ask reads the userinfo endpoint. An answer about somebody else is an error.
func (p *provider) ask(ctx context.Context, accessToken, subject string) (names, error) {
	var info struct {
		Subject string `json:"sub"`
		names
	}
	if err := fetchJSON(ctx, p.http, p.userinfo, accessToken, &info); err != nil {
		return names{}, err
	}
	if info.Subject != subject {
		return names{}, core.Denied("the userinfo endpoint answered about somebody else")
	}
	return info.names, nil
}
