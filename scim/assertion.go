package scim

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"postern/core"
	"postern/core/directory"
)

const (
	assertionSkew = time.Minute
	// maxAssertionLife is how far away an assertion's end may be. Entra ID's live for at most a day.
	maxAssertionLife = 24 * time.Hour
	maxAssertion     = 16 << 10
	maxAssertionID   = 255
)

// assertionAlgorithms are the asymmetric ones. "none" and the shared secret ones are refused before a
// key is looked for.
var assertionAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// assertionTypes are the types a client assertion may call itself. Entra ID sends an access token of
// its own, a plain JWT. A logout token, a security event or anybody's access token says what it is.
var assertionTypes = []string{"", "jwt", "client-authentication+jwt"}

// assertion is a client assertion (RFC 7523 §3) that was read but not believed.
type assertion struct {
	signed *jose.JSONWebSignature
	header jose.Header
	claims assertionClaims
}

type assertionClaims struct {
	ID        string         `json:"jti"`
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  audiences      `json:"aud"`
	Expires   *assertionTime `json:"exp"`
	NotBefore *assertionTime `json:"nbf"`
	Issued    *assertionTime `json:"iat"`

	// What only a logout token, or an ID token, says.
	Events josejson.RawMessage `json:"events"`
	Nonce  josejson.RawMessage `json:"nonce"`
	AtHash josejson.RawMessage `json:"at_hash"`
	CHash  josejson.RawMessage `json:"c_hash"`
}

// audiences is a text or a list of texts.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// assertionTime is seconds since 1970, perhaps with a fraction (RFC 7519 §2).
type assertionTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler: no date is further away than a calendar reaches.
func (d *assertionTime) UnmarshalJSON(text []byte) error {
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	if math.Abs(seconds) > 1<<40 {
		return errors.New("a date out of range")
	}
	whole, fraction := math.Modf(seconds)
	d.Time = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	return nil
}

// readAssertion reads an assertion as far as that goes without a key.
func readAssertion(compact string) (*assertion, error) {
	if len(compact) > maxAssertion {
		return nil, distrust("the assertion is too long")
	}
	signed, err := jose.ParseSignedCompact(compact, assertionAlgorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, distrust("the assertion is not a JWT signed with an asymmetric algorithm")
	}
	header := signed.Signatures[0].Protected
	kind, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(assertionTypes, strings.TrimPrefix(strings.ToLower(kind), "application/")) {
		return nil, distrust("the assertion's typ is not that of a client assertion")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, there := header.ExtraHeaders[name]; there {
			return nil, distrust("the assertion uses an extension that is not accepted")
		}
	}
	if len(header.KeyID) > maxAssertionID {
		return nil, distrust("the assertion's kid is too long")
	}
	read := &assertion{signed: signed, header: header}
	// This decoder refuses a name that comes twice.
	if err := josejson.Unmarshal(signed.UnsafePayloadWithoutVerification(), &read.claims); err != nil {
		return nil, distrust("the assertion's claims cannot be read")
	}
	for _, text := range append([]string{read.claims.Issuer, read.claims.Subject, read.claims.ID}, read.claims.Audience...) {
		if strings.ContainsRune(text, 0) {
			return nil, distrust("the assertion's claims cannot be read")
		}
	}
	return read, nil
}

// check believes an assertion if it says what the connection wants it to say, now, and is signed by
// who it says. Whether it was used before is for the transaction that gives out the token.
func (a *assertion) check(ctx context.Context, s *Service, want directory.Assertion) error {
	c, now := a.claims, s.now()
	switch {
	case want.Issuer == "" || s.Keys == nil:
		return distrust("the connection takes no assertions")
	case c.Issuer != want.Issuer:
		return distrust("the assertion's iss is not the connection's")
	case c.Subject != want.Subject:
		return distrust("the assertion's sub is not the connection's")
	case !slices.ContainsFunc(c.Audience, func(one string) bool { return directory.Audience(one) == directory.Audience(want.Audience) }):
		return distrust("the assertion's aud is not the connection's")
	case c.Events != nil || c.Nonce != nil || c.AtHash != nil || c.CHash != nil:
		return distrust("the token is no client assertion: it is meant for a sign-in or a sign-out")
	case c.Expires == nil:
		return distrust("the assertion has no exp")
	case !now.Before(c.Expires.Add(assertionSkew)):
		return distrust("the assertion has expired")
	case c.Expires.After(now.Add(maxAssertionLife + assertionSkew)):
		return distrust("the assertion lives longer than a day")
	case c.NotBefore != nil && c.NotBefore.After(now.Add(assertionSkew)), c.Issued != nil && c.Issued.After(now.Add(assertionSkew)):
		return distrust("the assertion is not valid yet")
	case len(c.ID) > maxAssertionID:
		return distrust("the assertion's jti is too long")
	}
	keys, err := s.Keys(ctx, want.Issuer, want.JWKSURI, a.header.KeyID)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != a.header.Algorithm {
			continue
		}
		if _, err := a.signed.Verify(key.Key); err == nil {
			return nil
		}
	}
	if len(keys) == 0 {
		return distrust("the issuer has no such key")
	}
	return distrust("the assertion's signature is not the issuer's")
}

func distrust(text string) error { return core.Unauthenticated("%s", text).WithCode(invalidClient) }
