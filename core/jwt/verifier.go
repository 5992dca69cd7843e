package jwt

import (
	"context"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

// Verifier judges tokens. It is safe for concurrent use.
type Verifier struct {
	Keys Keys
	Now  func() time.Time // nil: time.Now
}

// Verify checks everything a token can be wrong in, cheap and local things first: no key is looked for until
// all but the signature is right. A token that fails is Unauthenticated; one the issuer truly signed about
// another subject is Denied. The error's Code is the stage.
func (v *Verifier) Verify(ctx context.Context, compact string, want Expected) (Token, error) {
	read, err := parse(compact, want.MaxSize)
	if err != nil {
		return Token{}, err
	}
	algorithm, err := read.admissible(want)
	if err != nil {
		return Token{}, err
	}
	if err := read.judge(want, v.now()); err != nil {
		return Token{}, err
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{algorithm})
	if err != nil || len(signed.Signatures) != 1 {
		return Token{}, refuse(StageMalformed, "the token is not a signed JWT").Because(err)
	}
	if _, err := Prove(ctx, v.Keys, Source{Issuer: read.Issuer, URI: want.KeysURI}, signed); err != nil {
		return Token{}, err
	}
	if want.Subject != "" && read.Subject != want.Subject {
		return Token{}, core.Denied("the token's sub is not the one expected here").WithCode(StageSubject)
	}
	return read.Token, nil
}

// Plausible is Verify as far as that goes without a key: nil says that only the signature and the subject are left
// to be checked. A door uses it to spend nothing on the token of somebody who sent many bad ones.
func (v *Verifier) Plausible(compact string, want Expected) error {
	read, err := parse(compact, want.MaxSize)
	if err != nil {
		return err
	}
	if _, err := read.admissible(want); err != nil {
		return err
	}
	return read.judge(want, v.now())
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

// admissible says what kind of token it is: nothing of another kind is looked at any closer (RFC 8725 §3.11).
func (u unproven) admissible(want Expected) (jose.SignatureAlgorithm, error) {
	if !want.accepts(u.Type) {
		return "", refuse(StageType, "the token's typ is not one that is accepted here")
	}
	algorithm := jose.SignatureAlgorithm(u.Algorithm)
	if !slices.Contains(asymmetric, algorithm) || want.Algorithms != nil && !slices.Contains(want.Algorithms, algorithm) {
		return "", refuse(StageAlgorithm, "the token's algorithm is not one that is accepted here")
	}
	for _, claim := range want.Without {
		if _, there := u.names[claim]; there {
			return "", refuse(StageType, "a token with the claim %s is not for this", claim)
		}
	}
	return algorithm, nil
}

// judge checks the claims. That they are not proven yet does no harm: whoever forges them right gets no further
// than to the signature.
func (u unproven) judge(want Expected, now time.Time) error {
	if u.Issuer == "" || !slices.Contains(want.Issuers, u.Issuer) {
		return refuse(StageIssuer, "the token's iss is not one that is accepted here")
	}
	meant := slices.ContainsFunc(u.Audience, func(one string) bool { return one != "" && slices.Contains(want.Audiences, one) })
	if !meant || want.OnlyAudience && len(u.Audience) != 1 {
		return refuse(StageAudience, "the token's aud is not the one expected here")
	}
	if err := u.timely(want, now); err != nil {
		return err
	}
	if want.NeedID && u.ID == "" {
		return refuse(StageID, "the token needs a jti of at most %d bytes", MaxID)
	}
	return nil
}

func (u unproven) timely(want Expected, now time.Time) error {
	_, expires := u.names["exp"]
	_, issued := u.names["iat"]
	switch {
	case want.Expiry == Required && !expires:
		return refuse(StageExpired, "the token needs exp")
	case want.Expiry == Forbidden && expires:
		return refuse(StageExpired, "the token must not have exp")
	case expires && !now.Before(u.Expires.Add(Skew)):
		return refuse(StageExpired, "the token has expired")
	case want.NeedIssued && !issued:
		return refuse(StageNotYet, "the token needs iat")
	case u.NotBefore.After(now.Add(Skew)), u.Issued.After(now.Add(Skew)):
		return refuse(StageNotYet, "the token is not valid yet")
	case want.MaxAge > 0 && issued && now.Sub(u.Issued) > want.MaxAge+Skew:
		return refuse(StageExpired, "the token was issued longer ago than %v", want.MaxAge)
	}
	if want.MaxLifetime > 0 && expires {
		if u.Expires.Sub(now) > want.MaxLifetime+Skew || issued && u.Expires.Sub(u.Issued) > want.MaxLifetime+lifetimeSlack {
			return refuse(StageExpired, "the token lives longer than %v", want.MaxLifetime)
		}
	}
	return nil
}

// Prove verifies a signature with an issuer's keys and returns what was signed; it judges nothing else. A token
// that names no key and that no known key fits gets one more try with keys that may be new.
func Prove(ctx context.Context, keys Keys, source Source, signed *jose.JSONWebSignature) ([]byte, error) {
	if len(signed.Signatures) != 1 {
		return nil, refuse(StageMalformed, "the token has not one signature")
	}
	header := signed.Signatures[0].Protected
	found, err := keys.Find(ctx, source, header.KeyID)
	if err != nil {
		return nil, err
	}
	if payload, ok := try(signed, header.Algorithm, found); ok {
		return payload, nil
	}
	if header.KeyID == "" {
		renewed, err := keys.Renew(ctx, source)
		if err != nil {
			return nil, err
		}
		if payload, ok := try(signed, header.Algorithm, renewed); ok {
			return payload, nil
		}
	}
	if len(found) == 0 {
		return nil, refuse(StageKey, "the issuer has no such key")
	}
	return nil, refuse(StageSignature, "the token's signature is not the issuer's")
}

// try looks for the key that made the signature. One that says its algorithm is used for no other, and a shared
// secret or a private key for none.
func try(signed *jose.JSONWebSignature, algorithm string, candidates []jose.JSONWebKey) ([]byte, bool) {
	for _, key := range candidates {
		if key.Algorithm != "" && key.Algorithm != algorithm || !key.IsPublic() {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}
