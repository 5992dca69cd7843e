package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/sync/singleflight"

	"postern/core"
	"postern/core/directory"
)

const (
	discoveryLife  = time.Hour       // a discovery document is read again after this
	discoveryRetry = 5 * time.Second // after one that could not be read
)

// provider is the IdP of a connection as its discovery document describes it.
type provider struct {
	connection directory.Connection
	http       *http.Client // follows no redirect
	redirect   string
	authorize  string
	token      string
	keys       string
	methods    []string // of client authentication at the token endpoint
	pushed     string   // where authorization requests are pushed to; empty: nowhere
	mustPush   bool
	userinfo   string
	endSession string
	saysIssuer bool // promises iss in every answer (RFC 9207)
}

// document is the part of a discovery document that is used. The library's type lacks RFC 9207 and RFC 9126.
type document struct {
	zoidc.DiscoveryConfiguration
	SaysIssuer bool   `json:"authorization_response_iss_parameter_supported"`
	Pushed     string `json:"pushed_authorization_request_endpoint"`
	MustPush   bool   `json:"require_pushed_authorization_requests"`
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
		a.JWKSURI == b.JWKSURI && a.Kind == b.Kind && reflect.DeepEqual(a.SignIn, b.SignIn)
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
	return &provider{
		connection: connection, http: client, redirect: s.redirectURI(connection.ID), authorize: read.AuthorizationEndpoint,
		token: read.TokenEndpoint, keys: read.JwksURI, methods: authMethods(read), pushed: read.Pushed, mustPush: read.MustPush,
		userinfo: read.UserinfoEndpoint, endSession: read.EndSessionEndpoint, saysIssuer: read.SaysIssuer,
	}
}

func authMethods(read document) []string {
	methods := make([]string, 0, len(read.TokenEndpointAuthMethodsSupported))
	for _, method := range read.TokenEndpointAuthMethodsSupported {
		methods = append(methods, string(method))
	}
	return methods
}

// fault says what is wrong with a document, or nothing. An issuer over https may name no address over
// http: what it names is sent the client's secret.
func (d document) fault(issuer string) string {
	if d.Issuer != issuer {
		return fmt.Sprintf("it is of the issuer %q", d.Issuer)
	}
	plainIssuer := strings.HasPrefix(issuer, "http://")
	if plainIssuer && !onThisMachine(issuer) {
		return "the issuer is not an https address"
	}
	required := map[string]string{"authorization_endpoint": d.AuthorizationEndpoint, "token_endpoint": d.TokenEndpoint, "jwks_uri": d.JwksURI}
	optional := map[string]string{"userinfo_endpoint": d.UserinfoEndpoint, "end_session_endpoint": d.EndSessionEndpoint, "pushed_authorization_request_endpoint": d.Pushed}
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
		plain := err == nil && parsed.Scheme == "http" && plainIssuer
		if err != nil || parsed.Host == "" || parsed.Scheme != "https" && !plain {
			return name + " is not an https address"
		}
	}
	return ""
}

// onThisMachine reports whether an address is loopback's, where development and tests have their IdPs.
func onThisMachine(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && core.Loopback(parsed.Hostname())
}
