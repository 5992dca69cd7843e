package webhooks

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
	"postern/core/jwt"
)

// LogoutTokenType is the only typ a logout token may have: an ID token or another door's token is
// not mistaken for it.
const LogoutTokenType = "global-token-revocation+jwt"

const (
	skew        = 60 * time.Second
	maxLifetime = 15 * time.Minute
	maxToken    = 16 << 10
	maxTokenID  = 255
)

// algorithms are the asymmetric ones an identity provider may sign with. "none" and the shared
// secret ones are refused before a key is looked for.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Expected is what a token of one connection must say.
type Expected struct {
	Type     string   // typ of the header
	Issuers  []string // any of them
	Audience string   // exactly
	Subject  string   // exactly: the client id of the application at the identity provider
	KeysURI  string   // where the keys are; empty: the issuer's discovery says
}

// Token is a verified token.
type Token struct {
	ID      string // jti
	Issuer  string
	Issued  time.Time
	Expires time.Time
}

// Verifier verifies signed tokens. Both fields are needed.
type Verifier struct {
	Keys jwt.Keys
	Now  func() time.Time
}

// claims are the registered ones, still unjudged.
type claims struct {
	ID        string       `json:"jti"`
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  audience     `json:"aud"`
	Expires   *numericDate `json:"exp"`
	NotBefore *numericDate `json:"nbf"`
	Issued    *numericDate `json:"iat"`
}

// audience is a string or an array of strings.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// numericDate is seconds since 1970, perhaps with a fraction (RFC 7519 §2).
type numericDate float64

// UnmarshalJSON implements json.Unmarshaler: no date is further away than a calendar reaches.
func (d *numericDate) UnmarshalJSON(text []byte) error {
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	if math.Abs(seconds) > 1<<40 {
		return errors.New("a date out of range")
	}
	*d = numericDate(seconds)
	return nil
}

func (d numericDate) time() time.Time {
	seconds, fraction := math.Modf(float64(d))
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC()
}

// Verify checks everything a token can be wrong in, cheap and local things first: no key is looked
// for until type, algorithm and issuer are right. A token that fails is Unauthenticated, with one
// exception: one the issuer truly signed for another application is Denied. The error's Code names
// the check that failed. It does not check single use; that belongs into the effect's transaction.
func (v *Verifier) Verify(ctx context.Context, compact string, want Expected) (Token, error) {
	if len(compact) > maxToken {
		return Token{}, refuse("malformed", "the token is too long")
	}
	signed, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return Token{}, refuse("malformed", "the token is not a JWT signed with an accepted algorithm").Because(err)
	}
	header := signed.Signatures[0].Protected
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); kind != want.Type {
		return Token{}, refuse("type", "the token's typ is not %s", want.Type)
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, there := header.ExtraHeaders[name]; there {
			return Token{}, refuse("malformed", "the token uses an extension that is not accepted")
		}
	}
	if len(header.KeyID) > maxTokenID {
		return Token{}, refuse("key", "the token's kid is too long")
	}
	var unverified claims
	if err := josejson.Unmarshal(signed.UnsafePayloadWithoutVerification(), &unverified); err != nil {
		return Token{}, refuse("malformed", "the token's claims cannot be read").Because(err)
	}
	if unverified.Issuer == "" || !slices.Contains(want.Issuers, unverified.Issuer) {
		return Token{}, refuse("issuer", "the token's issuer is not this connection's")
	}
	payload, err := v.verifySignature(ctx, signed, header, jwt.Source{Issuer: unverified.Issuer, URI: want.KeysURI})
	if err != nil {
		return Token{}, err
	}
	var verified claims
	if err := josejson.Unmarshal(payload, &verified); err != nil {
		return Token{}, refuse("malformed", "the token's claims cannot be read").Because(err)
	}
	return v.judge(verified, want)
}

// verifySignature tries the keys the token can have been signed with. A token that names no key and
// that no known key fits gets one more try with keys that may be new.
func (v *Verifier) verifySignature(ctx context.Context, signed *jose.JSONWebSignature, header jose.Header, source jwt.Source) ([]byte, error) {
	found, err := v.Keys.Find(ctx, source, header.KeyID)
	if err != nil {
		return nil, err
	}
	if payload, ok := try(signed, header.Algorithm, found); ok {
		return payload, nil
	}
	if header.KeyID == "" {
		renewed, err := v.Keys.Renew(ctx, source)
		if err != nil {
			return nil, err
		}
		if payload, ok := try(signed, header.Algorithm, renewed); ok {
			return payload, nil
		}
	}
	if len(found) == 0 {
		return nil, refuse("key", "the issuer has no such key")
	}
	return nil, refuse("signature", "the token's signature is not the issuer's")
}

func try(signed *jose.JSONWebSignature, algorithm string, candidates []jose.JSONWebKey) ([]byte, bool) {
	for _, key := range candidates {
		if key.Algorithm != "" && key.Algorithm != algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// judge checks the claims of a token whose signature is right.
func (v *Verifier) judge(c claims, want Expected) (Token, error) {
	if len(c.Audience) != 1 || c.Audience[0] != want.Audience {
		return Token{}, refuse("audience", "the token's audience is not %s", want.Audience)
	}
	if c.Expires == nil || c.Issued == nil {
		return Token{}, refuse("times", "the token needs exp and iat")
	}
	now := v.Now()
	issued, expires := c.Issued.time(), c.Expires.time()
	switch {
	case !now.Before(expires.Add(skew)):
		return Token{}, refuse("expired", "the token has expired")
	case issued.After(now.Add(skew)), c.NotBefore != nil && c.NotBefore.time().After(now.Add(skew)):
		return Token{}, refuse("times", "the token is not valid yet")
	case expires.Sub(issued) > maxLifetime:
		return Token{}, refuse("times", "the token lives longer than %d minutes", int(maxLifetime.Minutes()))
	}
	if c.ID == "" || len(c.ID) > maxTokenID || strings.ContainsRune(c.ID, 0) {
		return Token{}, refuse("token_id", "the token needs a jti of at most %d bytes", maxTokenID)
	}
	if want.Subject == "" || c.Subject != want.Subject {
		return Token{}, core.Denied("the token's sub is not this connection's client id").WithCode("subject")
	}
	return Token{ID: c.ID, Issuer: c.Issuer, Issued: issued, Expires: expires}, nil
}

func refuse(code, format string, args ...any) *core.Error {
	return core.Unauthenticated(format, args...).WithCode(code)
}
