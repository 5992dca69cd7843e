package ssf

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"postern/core"
)

// documents are what a transmitter's metadata is called: by the framework, and by its earlier drafts.
var documents = []string{"ssf-configuration", "sse-configuration", "risc-configuration"}

// Discover reads what a transmitter says about itself. Its address is the issuer's with the well-known part
// between host and path (Shared Signals Framework 1.0 §7.2.1); some put it at the end. The document must be
// the issuer's own.
func (s *Service) Discover(ctx context.Context, issuer string) (Metadata, error) {
	if err := checkAddress("issuer", issuer, ""); err != nil {
		return Metadata{}, err
	}
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.RawQuery != "" {
		return Metadata{}, core.Invalid("issuer", "an issuer has no query")
	}
	var failure error
	for _, address := range wellKnown(parsed) {
		found, err := exchange{client: s.HTTP, method: http.MethodGet, address: address}.do(ctx)
		if err != nil {
			return Metadata{}, core.AsError(err).WithCode("discovery")
		}
		if found.status != http.StatusOK {
			if failure == nil || found.status != http.StatusNotFound {
				failure = core.Invalid("issuer", "%s tells nothing of Shared Signals: %s answers %d", parsed.Host, address, found.status).WithCode("discovery")
			}
			continue
		}
		var metadata Metadata
		if err := found.read(&metadata); err != nil {
			failure = core.Invalid("issuer", "%s is no Shared Signals metadata", address).WithCode("discovery").Because(err)
			continue
		}
		if metadata.Issuer != issuer {
			return Metadata{}, core.Invalid("issuer", "the metadata is of %q, not of %q: give the issuer exactly so", cut(metadata.Issuer, 200), issuer).WithCode("discovery")
		}
		metadata.From = address
		return metadata, metadata.check()
	}
	return Metadata{}, failure
}

// wellKnown are the places metadata may be, the standard one first.
func wellKnown(issuer *url.URL) []string {
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	root := issuer.Scheme + "://" + issuer.Host
	var all []string
	for _, name := range documents {
		all = append(all, root+"/.well-known/"+name+path)
		if path != "" {
			all = append(all, root+path+"/.well-known/"+name)
		}
	}
	return all
}

// check refuses metadata that would lead a credential astray.
func (m Metadata) check() error {
	for field, address := range map[string]string{
		"jwks_uri": m.JWKSURI, "configuration_endpoint": m.Streams, "status_endpoint": m.Status, "add_subject_endpoint": m.Add,
		"remove_subject_endpoint": m.Remove, "verification_endpoint": m.Verification,
	} {
		if address == "" {
			continue
		}
		if err := checkAddress(field, address, m.Issuer); err != nil {
			return core.AsError(err).WithCode("discovery")
		}
	}
	if m.JWKSURI == "" {
		return core.Invalid("jwks_uri", "the transmitter does not say where its keys are").WithCode("discovery")
	}
	return nil
}

// method is what the transmitter calls a way of delivery: its own older name, if it knows no other.
func (m Metadata) method(delivery Delivery) string {
	standard, older := "urn:ietf:rfc:8935", base+"risc/delivery-method/push"
	if delivery == Poll {
		standard, older = "urn:ietf:rfc:8936", base+"risc/delivery-method/poll"
	}
	for _, name := range m.Methods {
		if name == standard {
			return standard
		}
	}
	for _, name := range m.Methods {
		if name == older {
			return older
		}
	}
	return standard
}

// offers reports whether a transmitter delivers so; one that does not say may.
func (m Metadata) offers(delivery Delivery) bool {
	if len(m.Methods) == 0 {
		return true
	}
	name := m.method(delivery)
	for _, one := range m.Methods {
		if one == name {
			return true
		}
	}
	return false
}

// tokenEndpoint asks an authorization server where its token endpoint is (OpenID Connect Discovery, RFC 8414).
func (s *Service) tokenEndpoint(ctx context.Context, issuer string) (string, error) {
	parsed, err := url.Parse(issuer)
	if err != nil {
		return "", core.Invalid("token_endpoint", "give the token endpoint's address").Because(err)
	}
	path := strings.TrimSuffix(parsed.EscapedPath(), "/")
	root := parsed.Scheme + "://" + parsed.Host
	for _, address := range []string{
		strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration", root + "/.well-known/oauth-authorization-server" + path,
	} {
		found, err := exchange{client: s.HTTP, method: http.MethodGet, address: address}.do(ctx)
		if err != nil {
			return "", core.AsError(err).WithCode("discovery")
		}
		var document struct {
			Issuer        string `json:"issuer"`
			TokenEndpoint string `json:"token_endpoint"`
		}
		if found.status != http.StatusOK || found.read(&document) != nil || document.TokenEndpoint == "" || document.Issuer != issuer {
			continue
		}
		if err := checkAddress("token_endpoint", document.TokenEndpoint, issuer); err != nil {
			return "", err
		}
		return document.TokenEndpoint, nil
	}
	return "", core.Invalid("token_endpoint", "%s does not say where tokens are to be had: give the token endpoint", parsed.Host).WithCode("discovery")
}
