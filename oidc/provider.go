package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
)

const (
	discoveryLife  = time.Hour       // a discovery document is read again after this
	discoveryRetry = 5 * time.Second // after one that could not be read
)

// provider is the IdP of a connection as its discovery document describes it.
type provider struct {
	connection directory.Connection
	oauth      oauth2.Config // without the secret
	keys       keySet
	http       *http.Client // follows no redirect
	userinfo   string
	endSession string
	saysIssuer bool // promises iss in every answer (RFC 9207)
}

// document is the part of a discovery document that is used. The library's type lacks RFC 9207.
type document struct {
	zoidc.DiscoveryConfiguration
	SaysIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// providers remembers one provider per connection. A changed connection is a new one.
type providers struct {
	flight singleflight.Group
	lock   sync.Mutex
	known  map[core.ID]*remembered
}

type remembered struct {
	of       directory.Connection
	provider *provider // nil: it could not be read yet
	read     time.Time
	failure  error
	failed   time.Time
}

// same reports whether two readings of a connection lead to the same provider.
func same(a, b directory.Connection) bool {
	return a.ID == b.ID && a.Issuer == b.Issuer && a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret &&
		a.JWKSURI == b.JWKSURI && a.Kind == b.Kind
}

// provider gives the provider of a connection, reading its discovery document when that is due. While
// the IdP does not answer, what was read before stays in use.
func (s *Service) provider(ctx context.Context, connection directory.Connection) (*provider, error) {
	p := &s.providers
	p.lock.Lock()
	entry := p.known[connection.ID]
	if entry != nil && !same(entry.of, connection) {
		entry = nil
	}
	now := s.now()
	if entry != nil {
		fresh := entry.provider != nil && now.Sub(entry.read) < discoveryLife
		waiting := entry.failure != nil && now.Sub(entry.failed) < discoveryRetry
		if fresh || waiting {
			p.lock.Unlock()
			return entry.provider.orFailure(entry.failure)
		}
	}
	p.lock.Unlock()
	// What is read serves everybody who waits, so no one caller's end may cancel it.
	key := strings.Join([]string{connection.ID.String(), connection.Issuer, connection.ClientID, connection.JWKSURI}, "\x00")
	reading := p.flight.DoChan(key, func() (any, error) { return s.discover(context.WithoutCancel(ctx), connection) })
	select {
	case <-ctx.Done():
		return nil, core.Unavailable(discoveryRetry, "the identity provider is slow").WithCode(codeProviderDown).Because(ctx.Err())
	case answer := <-reading:
		found, _ := answer.Val.(*provider)
		return found.orFailure(answer.Err)
	}
}

// orFailure prefers what is known over why it could not be read again.
func (p *provider) orFailure(failure error) (*provider, error) {
	if p != nil {
		return p, nil
	}
	return nil, failure
}

// discover reads the document and remembers the result, good or bad.
func (s *Service) discover(ctx context.Context, connection directory.Connection) (*provider, error) {
	client := direct(s.HTTP)
	var read document
	err := fetchJSON(ctx, client, strings.TrimSuffix(connection.Issuer, "/")+zoidc.DiscoveryEndpoint, "", &read)
	if connection.JWKSURI != "" {
		read.JwksURI = connection.JWKSURI
	}
	if err != nil {
		err = core.Unavailable(discoveryRetry, "the identity provider does not answer").WithCode(codeProviderDown).Because(err)
	} else if fault := read.fault(connection.Issuer); fault != "" {
		err = core.Invalid("issuer", "the identity provider's discovery document cannot be used: %s", fault).WithCode(codeProviderWrong)
	}
	p := &s.providers
	p.lock.Lock()
	defer p.lock.Unlock()
	entry := p.known[connection.ID]
	if entry == nil || !same(entry.of, connection) {
		entry = &remembered{of: connection}
		if p.known == nil {
			p.known = map[core.ID]*remembered{}
		}
		p.known[connection.ID] = entry
	}
	if err != nil {
		s.log().WarnContext(ctx, "discovery failed", "connection", connection.ID, "issuer", connection.Issuer, "error", err)
		entry.failure, entry.failed = err, s.now()
		return entry.provider, err
	}
	entry.provider = s.describe(connection, read, client)
	entry.read, entry.failure = s.now(), nil
	return entry.provider, nil
}

func (s *Service) describe(connection directory.Connection, read document, client *http.Client) *provider {
	made := &provider{
		connection: connection, http: client, userinfo: read.UserinfoEndpoint, endSession: read.EndSessionEndpoint, saysIssuer: read.SaysIssuer,
		oauth: oauth2.Config{
			ClientID:    connection.ClientID,
			RedirectURL: s.redirectURI(connection.ID),
			Scopes:      []string{zoidc.ScopeOpenID, zoidc.ScopeProfile, zoidc.ScopeEmail},
			Endpoint:    oauth2.Endpoint{AuthURL: read.AuthorizationEndpoint, TokenURL: read.TokenEndpoint, AuthStyle: authStyle(read)},
		},
	}
	// Under the same name as at the other doors, so that the IdP is asked once for all of them.
	made.keys = keySet{keys: s.Keys, source: jwt.Source{Issuer: connection.Issuer, URI: connection.JWKSURI}}
	return made
}

// fault says what is wrong with a document, or nothing. An issuer over https may name no address over
// http: what it names is sent the client's secret.
func (d document) fault(issuer string) string {
	if d.Issuer != issuer {
		return fmt.Sprintf("it is of the issuer %q", d.Issuer)
	}
	required := map[string]string{"authorization_endpoint": d.AuthorizationEndpoint, "token_endpoint": d.TokenEndpoint, "jwks_uri": d.JwksURI}
	optional := map[string]string{"userinfo_endpoint": d.UserinfoEndpoint, "end_session_endpoint": d.EndSessionEndpoint}
	for name, address := range required {
		if address == "" {
			return "it lacks " + name
		}
		optional[name] = address
	}
	for name, address := range optional {
		if address == "" {
			continue
		}
		parsed, err := url.Parse(address)
		plain := err == nil && parsed.Scheme == "http" && strings.HasPrefix(issuer, "http://")
		if err != nil || parsed.Host == "" || parsed.Scheme != "https" && !plain {
			return name + " is not an https address"
		}
	}
	return ""
}

// authStyle chooses how the client's secret is sent. Asking and trying again would burn the code.
func authStyle(d document) oauth2.AuthStyle {
	methods := d.TokenEndpointAuthMethodsSupported
	if len(methods) == 0 || slices.Contains(methods, zoidc.AuthMethodBasic) {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}
