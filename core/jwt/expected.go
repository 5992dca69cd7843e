package jwt

import (
	"context"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

// Source says where an issuer's keys are.
type Source struct {
	Issuer string
	// URI is the address of the key set. Empty: asked from the issuer's discovery document.
	URI string
}

// Keys finds issuers' public keys. It remembers and bounds what it fetches, since anybody can send a token.
type Keys interface {
	// Find returns the keys a token may have been signed with: those of the key id, or all of them for an
	// empty one. None is an answer too. When there never were keys to be had the error is Unavailable.
	Find(ctx context.Context, source Source, kid string) ([]jose.JSONWebKey, error)
	// Renew asks the issuer again, if it was not asked just now, and returns all its keys.
	Renew(ctx context.Context, source Source) ([]jose.JSONWebKey, error)
}

// Expiry says what a door makes of exp.
type Expiry uint8

// What may be with exp.
const (
	Required  Expiry = iota // the zero value is the strictest that fits most tokens
	Optional                // some Keycloak versions leave it out of logout tokens
	Forbidden               // in a security event token (Shared Signals Framework 1.0 §4.1.7)
)

// Skew is how far clocks may differ.
const Skew = time.Minute

// The bounds of what is read.
const (
	DefaultMaxSize = 16 << 10 // of a token
	MaxID          = 255      // of jti and kid
	maxAudiences   = 32
	maxText        = 2048 // of iss, sub, and each aud
	// lifetimeSlack is for issuers that date iat back against slow clocks, as Entra ID does by five minutes.
	lifetimeSlack = 5 * time.Minute
)

// asymmetric are the algorithms an identity provider may sign with. "none" and the ones with a shared
// secret are not among them (RFC 8725 §3.1).
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Expected is what a token must be and say at one door.
type Expected struct {
	// Types are the values of typ that are accepted, in any case and with or without "application/"
	// (RFC 7515 §4.1.9). "" accepts a token without one. None: nothing is accepted.
	Types []string
	// Algorithms pins alg; only asymmetric ones count. nil: all of them.
	Algorithms []jose.SignatureAlgorithm
	// Issuers are the values of iss that are accepted, exactly.
	Issuers []string
	// Audiences are the values one of which aud must hold, exactly: an address with a query or a fragment
	// is another one.
	Audiences []string
	// OnlyAudience refuses a token that is for somebody else too.
	OnlyAudience bool
	// Subject is what sub must be, exactly; "": whatever it is. It is checked last: a token whose issuer
	// truly signed it about another subject is Denied.
	Subject string
	// KeysURI is where the issuer's keys are. Empty: its discovery document says.
	KeysURI string
	Expiry  Expiry
	// MaxLifetime bounds exp: counted from now, and (with five minutes of grace) from iat. 0: unbounded.
	MaxLifetime time.Duration
	// MaxAge bounds how long ago iat may be. 0: unbounded.
	MaxAge time.Duration
	// NeedID and NeedIssued ask for jti and iat.
	NeedID, NeedIssued bool
	// Without are claims the token must not have: they belong to another kind of token.
	Without []string
	// MaxSize of the token. 0: 16 KiB.
	MaxSize int
}

// accepts reports whether a typ is one of the expected.
func (e Expected) accepts(kind string) bool {
	for _, want := range e.Types {
		if normalType(want) == normalType(kind) {
			return true
		}
	}
	return false
}

func normalType(text string) string {
	return strings.TrimPrefix(strings.ToLower(text), "application/")
}

// The stages at which a token is refused: the Code of the error.
const (
	StageMalformed = "malformed"
	StageType      = "type"
	StageAlgorithm = "algorithm"
	StageIssuer    = "issuer"
	StageKey       = "key"
	StageSignature = "signature"
	StageAudience  = "audience"
	StageSubject   = "subject" // Denied, not Unauthenticated
	StageExpired   = "expired" // also: exp is missing, forbidden, or too far away
	StageNotYet    = "not_yet" // also: iat is missing
	StageID        = "id"
)

func refuse(stage, format string, args ...any) *core.Error {
	return core.Unauthenticated(format, args...).WithCode(stage)
}
