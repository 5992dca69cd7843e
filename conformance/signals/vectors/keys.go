package vectors

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Token is a token as a vector describes it.
type Token struct {
	Signing   string         // rs256 (default), es256, ps256, none, hs256-public, other-key
	Header    map[string]any // over alg and kid; null takes out
	RawHeader string         // instead
	Claims    any
	Payload   string // instead of claims
	Tamper    bool
}

// Keys are those of an issuer, and one of a stranger.
type Keys struct {
	rsa, stranger *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
}

// NewKeys makes keys.
func NewKeys() (*Keys, error) {
	k := &Keys{}
	var err error
	for _, key := range []**rsa.PrivateKey{&k.rsa, &k.stranger} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, err
		}
	}
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k, err
}

// Set is what the issuer publishes.
func (k *Keys) Set() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.rsa.Public(), KeyID: "rsa-1", Use: "sig"}, {Key: k.ec.Public(), KeyID: "ec-1", Use: "sig", Algorithm: "ES256"}}}
}

// Sign makes a compact token by hand, so that a header may claim whatever it likes.
func (k *Keys) Sign(s Token) (string, error) {
	alg, kid := "RS256", "rsa-1"
	switch s.Signing {
	case "es256":
		alg, kid = "ES256", "ec-1"
	case "ps256":
		alg = "PS256"
	case "hs256-public":
		alg = "HS256"
	case "none":
		alg = "none"
	}
	members := map[string]any{"alg": alg, "kid": kid}
	for name, value := range s.Header {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	header, payload := s.RawHeader, s.Payload
	for _, one := range []struct {
		into *string
		from any
	}{{&header, members}, {&payload, s.Claims}} {
		if *one.into == "" {
			text, err := json.Marshal(one.from)
			if err != nil {
				return "", err
			}
			*one.into = string(text)
		}
	}
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	input := encode(header) + "." + encode(payload)
	signature, err := k.signature(s.Signing, input)
	if s.Tamper {
		input = encode(header) + "." + encode(strings.Replace(payload, "{", `{"sub_extra":true,`, 1))
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func (k *Keys) signature(method, input string) ([]byte, error) {
	digest := sha256.Sum256([]byte(input))
	switch method {
	case "none":
		return nil, nil
	case "hs256-public":
		public, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		return mac.Sum(nil), nil
	case "es256":
		r, s, err := ecdsa.Sign(rand.Reader, k.ec, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case "other-key":
		return rsa.SignPKCS1v15(rand.Reader, k.stranger, crypto.SHA256, digest[:])
	case "ps256":
		return rsa.SignPSS(rand.Reader, k.rsa, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, digest[:])
}
