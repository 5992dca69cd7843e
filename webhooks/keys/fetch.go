package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"postern/core/jwt"
)

const (
	maxAnswer = 512 << 10
	maxKeys   = 32
)

// fetchSet reads the key set of a source, by its own address or through discovery.
func fetchSet(ctx context.Context, client *http.Client, source jwt.Source) ([]jose.JSONWebKey, error) {
	address := source.URI
	if address == "" {
		found, err := discover(ctx, client, source.Issuer)
		if err != nil {
			return nil, err
		}
		address = found
	}
	body, err := get(ctx, client, address)
	if err != nil {
		return nil, err
	}
	set, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("key set of %s: %w", source.Issuer, err)
	}
	return set, nil
}

// discover reads jwks_uri from the issuer's discovery document, which must be the issuer's own.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	body, err := get(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", fmt.Errorf("discovery of %s: %w", issuer, err)
	}
	if document.Issuer != issuer {
		return "", fmt.Errorf("discovery of %s names the issuer %q", issuer, document.Issuer)
	}
	if strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(document.JWKSURI, "https://") {
		return "", fmt.Errorf("discovery of %s gives keys without https", issuer)
	}
	return document.JWKSURI, nil
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return nil, fmt.Errorf("%q is not an http address", address)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	still := *client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := still.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", parsed.Host, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s answered more than %d bytes", parsed.Host, maxAnswer)
	}
	return body, nil
}

// parse keeps the keys that can verify a signature. One that cannot be read does not spoil the
// rest (RFC 7517 §5), but a set without any usable key is a fault.
func parse(body []byte) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, err
	}
	var set []jose.JSONWebKey
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil || !usable(key) {
			continue
		}
		if len(set) == maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
		set = append(set, key)
	}
	if len(set) == 0 {
		return nil, errors.New("no usable key")
	}
	return set, nil
}

// usable keeps a shared secret, a private key or a short modulus from ever verifying a token.
func usable(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= 2048 && public.N.BitLen() <= 8192 && key.Valid()
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return key.Valid()
	}
	return false
}
