package oidc

import (
	"context"
	"maps"
	"net/http"
	"net/url"

	"postern/core"
	"postern/core/directory"
)

// authorization is the address a browser is sent to for a sign-in, whose parameters are pushed to the
// provider beforehand where the connection or the provider wants that (RFC 9126): then the browser
// carries only their name, and nobody on the way reads or changes them.
func (s *Service) authorization(ctx context.Context, p *provider, parameters url.Values) (string, error) {
	setting := p.connection.SignIn.Pushing
	switch {
	case setting == directory.PushNever && p.mustPush:
		return "", core.Denied("the identity provider takes only pushed authorization requests, which this connection never sends").WithCode(codeProviderWrong)
	case setting == directory.PushAlways && p.pushed == "", p.mustPush && p.pushed == "":
		return "", core.Denied("the identity provider has no endpoint for the pushed authorization requests that are wanted").WithCode(codeProviderWrong)
	case setting == directory.PushNever || p.pushed == "":
		return withQuery(p.authorize, parameters)
	}
	form, header := maps.Clone(parameters), http.Header{}
	if err := s.authenticateClient(ctx, p, form, header); err != nil {
		return "", err
	}
	form.Set("client_id", p.connection.ClientID)
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := p.post(ctx, p.pushed, form, header, http.StatusCreated, &answer); err != nil {
		return "", tokenRefusal(err, "pushed authorization endpoint")
	}
	if answer.RequestURI == "" {
		return "", core.Denied("the identity provider took the pushed authorization request but gave it no name").WithCode(codeProviderWrong)
	}
	return withQuery(p.authorize, url.Values{"client_id": {p.connection.ClientID}, "request_uri": {answer.RequestURI}})
}

// withQuery adds parameters to an endpoint's address, which may have some of its own (RFC 6749 §3.1).
func withQuery(endpoint string, parameters url.Values) (string, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return "", core.Denied("the identity provider's authorization endpoint is no address").WithCode(codeProviderWrong)
	}
	query := address.Query()
	maps.Copy(query, parameters)
	address.RawQuery = query.Encode()
	return address.String(), nil
}
