package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/jwt"
)

const (
	issuer  = "https://idp.example"
	alias   = "https://login.example"
	gateway = "https://postern.example/door"
	client  = "client-1"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// issuers is an identity provider's keys, and how often they were looked for.
type issuers struct {
	rsa, stranger, older *rsa.PrivateKey
	ec                   *ecdsa.PrivateKey
	ed                   ed25519.PrivateKey
	set                  []jose.JSONWebKey
	renewed              []jose.JSONWebKey // what Renew brings to light
	finds, renewals      int
	down                 bool
}

func newIssuers(t testing.TB) *issuers {
	t.Helper()
	i := &issuers{}
	var err error
	for _, key := range []**rsa.PrivateKey{&i.rsa, &i.stranger, &i.older} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	i.set = []jose.JSONWebKey{
		{Key: i.rsa.Public(), KeyID: "rsa"}, {Key: i.ec.Public(), KeyID: "ec", Algorithm: "ES256"}, {Key: i.ed.Public(), KeyID: "ed"},
		{Key: i.older.Public(), KeyID: "only-rs512", Algorithm: "RS512"}, {Key: []byte("a secret that leaked into the set"), KeyID: "shared"},
	}
	return i
}

func (i *issuers) Find(_ context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	i.finds++
	if i.down {
		return nil, core.Unavailable(time.Second, "the identity provider's keys cannot be fetched")
	}
	if source.Issuer != issuer && source.Issuer != alias {
		return nil, nil
	}
	if kid == "" {
		return i.set, nil
	}
	var found []jose.JSONWebKey
	for _, key := range i.set {
		if key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found, nil
}

func (i *issuers) Renew(context.Context, jwt.Source) ([]jose.JSONWebKey, error) {
	i.renewals++
	return append(i.set, i.renewed...), nil
}

func (i *issuers) verifier() *jwt.Verifier {
	return &jwt.Verifier{Keys: i, Now: func() time.Time { return start }}
}

// expected is what the door of these tests wants.
func expected(changes ...func(*jwt.Expected)) jwt.Expected {
	want := jwt.Expected{
		Types: []string{"global-token-revocation+jwt"}, Issuers: []string{issuer, alias}, Audiences: []string{gateway}, OnlyAudience: true,
		Subject: client, MaxLifetime: 15 * time.Minute, NeedID: true, NeedIssued: true, Without: []string{"nonce"},
	}
	for _, change := range changes {
		change(&want)
	}
	return want
}

// made describes a token by what differs from a right one; nil removes.
type made struct {
	header, claims map[string]any
	rawHeader      string // in place of the header
	rawClaims      string
	key            string // rsa (default), ec, ed, stranger, older, hmac, none
	alg            string
	tamper         bool
}

func with(base, changes map[string]any) string {
	all := maps.Clone(base)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, _ := json.Marshal(all)
	return string(text)
}

var encode = base64.RawURLEncoding.EncodeToString

// mint makes a token by hand, so that a header may claim whatever it likes.
func (i *issuers) mint(t testing.TB, m made) string {
	t.Helper()
	alg, kid := "RS256", "rsa"
	switch m.key {
	case "ec":
		alg, kid = "ES256", "ec"
	case "ed":
		alg, kid = "EdDSA", "ed"
	case "hmac":
		alg = "HS256"
	case "none":
		alg = "none"
	}
	if m.alg != "" {
		alg = m.alg
	}
	header := with(map[string]any{"typ": "global-token-revocation+jwt", "alg": alg, "kid": kid}, m.header)
	if m.rawHeader != "" {
		header = m.rawHeader
	}
	claims := with(map[string]any{
		"jti": "one", "iss": issuer, "sub": client, "aud": gateway, "exp": start.Unix() + 300, "nbf": start.Unix() - 300, "iat": start.Unix(),
	}, m.claims)
	if m.rawClaims != "" {
		claims = m.rawClaims
	}
	signing := encode([]byte(header)) + "." + encode([]byte(claims))
	signature := i.sign(t, m.key, alg, signing)
	if m.tamper {
		signing = encode([]byte(header)) + "." + encode([]byte(claims+" "))
	}
	return signing + "." + encode(signature)
}

func (i *issuers) sign(t testing.TB, key, alg, signing string) []byte {
	t.Helper()
	hash, digest := crypto.SHA256, sha256.Sum256([]byte(signing))
	sum := digest[:]
	if alg == "RS512" {
		hash = crypto.SHA512
		h := hash.New()
		h.Write([]byte(signing))
		sum = h.Sum(nil)
	}
	private := map[string]*rsa.PrivateKey{"stranger": i.stranger, "older": i.older}[key]
	if private == nil {
		private = i.rsa
	}
	var signature []byte
	var err error
	switch {
	case key == "none":
	case key == "hmac":
		public, failed := x509.MarshalPKIXPublicKey(i.rsa.Public())
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signing))
		signature, err = mac.Sum(nil), failed
	case key == "ec":
		r, s, failed := ecdsa.Sign(rand.Reader, i.ec, sum)
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), failed
	case key == "ed":
		signature = ed25519.Sign(i.ed, []byte(signing))
	case alg == "PS256":
		signature, err = rsa.SignPSS(rand.Reader, private, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		signature, err = rsa.SignPKCS1v15(rand.Reader, private, hash, sum)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}
