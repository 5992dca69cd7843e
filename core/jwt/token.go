package jwt

import (
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Token is what a token says. What Verify returns is proven; what Peek returns is not.
type Token struct {
	Type      string // typ, as sent
	Algorithm string
	KeyID     string
	ID        string // jti
	Issuer    string
	Subject   string
	Audience  []string
	Issued    time.Time // zero: the token does not say
	Expires   time.Time
	NotBefore time.Time
	Claims    stdjson.RawMessage // the whole payload: valid JSON, in which no name comes twice
	Digest    []byte             // SHA-256 of it
}

// Has reports whether the token has a claim, whatever its value.
func (t Token) Has(claim string) bool {
	var said map[string]jsontext.Value
	if json.Unmarshal(t.Claims, &said) != nil {
		return false
	}
	_, there := said[claim]
	return there
}

// Read decodes the claims into a struct whose fields have json tags. Names are case-sensitive, and unknown
// ones are passed over.
func (t Token) Read(into any) error {
	if err := json.Unmarshal(t.Claims, into); err != nil {
		return refuse(StageMalformed, "the token's claims cannot be read").Because(err)
	}
	return nil
}

// Peek reads a token without believing it, such as to learn which settings to judge it by. Of what is expected
// only MaxSize, Types, Algorithms and Without count; nothing in the result is proven.
func Peek(compact string, want Expected) (Token, error) {
	read, err := parse(compact, want.MaxSize)
	if err != nil {
		return Token{}, err
	}
	if _, err := read.admissible(want); err != nil {
		return Token{}, err
	}
	return read.Token, nil
}

// header is the protected header (RFC 7515 §4.1). What else it may hold, such as a key, is passed over.
type header struct {
	Algorithm string         `json:"alg"`
	Type      string         `json:"typ"`
	KeyID     string         `json:"kid"`
	Critical  jsontext.Value `json:"crit"`
	Unencoded jsontext.Value `json:"b64"`
}

// claims are the registered ones (RFC 7519 §4.1).
type claims struct {
	ID        string       `json:"jti"`
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  audience     `json:"aud"`
	Expires   *numericDate `json:"exp"`
	NotBefore *numericDate `json:"nbf"`
	Issued    *numericDate `json:"iat"`
}

// unproven is a token as far as it can be read without a key.
type unproven struct {
	Token
	names map[string]jsontext.Value // of all claims
}

// parse reads header and claims. It refuses whatever two readers could understand differently.
func parse(compact string, maxSize int) (unproven, error) {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	if len(compact) > maxSize {
		return unproven{}, refuse(StageMalformed, "the token is longer than %d bytes", maxSize)
	}
	protected, rest, _ := strings.Cut(compact, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return unproven{}, refuse(StageMalformed, "the token is not a signed JWT of three parts")
	}
	var head header
	if _, err := decode(protected, &head); err != nil {
		return unproven{}, refuse(StageMalformed, "the token's header cannot be read").Because(err)
	}
	if head.Critical != nil || head.Unencoded != nil {
		return unproven{}, refuse(StageMalformed, "the token uses an extension that is not accepted")
	}
	var said claims
	text, err := decode(payload, &said)
	if err != nil {
		return unproven{}, refuse(StageMalformed, "the token's claims cannot be read").Because(err)
	}
	for _, character := range signature {
		if !urlSafe(character) {
			return unproven{}, refuse(StageMalformed, "the token's signature cannot be read")
		}
	}
	digest := sha256.Sum256(text)
	read := unproven{Token: Token{
		Type: head.Type, Algorithm: head.Algorithm, KeyID: head.KeyID, ID: said.ID, Issuer: said.Issuer, Subject: said.Subject,
		Audience: said.Audience, Issued: said.Issued.time(), Expires: said.Expires.time(), NotBefore: said.NotBefore.time(),
		Claims: text, Digest: digest[:],
	}}
	if err := json.Unmarshal(text, &read.names); err != nil {
		return unproven{}, refuse(StageMalformed, "the token's claims cannot be read").Because(err)
	}
	for _, name := range []string{"jti", "iss", "sub", "aud", "exp", "nbf", "iat"} {
		if value, there := read.names[name]; there && value.Kind() == 'n' {
			return unproven{}, refuse(StageMalformed, "the token's %s is null", name)
		}
	}
	return read, read.bounded()
}

// bounded keeps out what a database or a log could not take.
func (u unproven) bounded() error {
	switch {
	case len(u.KeyID) > MaxID:
		return refuse(StageKey, "the token's kid is longer than %d bytes", MaxID)
	case len(u.ID) > MaxID:
		return refuse(StageID, "the token's jti is longer than %d bytes", MaxID)
	case len(u.Audience) > maxAudiences:
		return refuse(StageMalformed, "the token has more than %d audiences", maxAudiences)
	}
	for _, text := range append([]string{u.Issuer, u.Subject, u.ID, u.KeyID, u.Type}, u.Audience...) {
		if len(text) > maxText || strings.ContainsRune(text, 0) {
			return refuse(StageMalformed, "the token's claims cannot be read")
		}
	}
	return nil
}

// decode reads one part of a token: an object, in UTF-8, with no name twice at any depth.
func decode(part string, into any) ([]byte, error) {
	for _, character := range part { // the decoder would pass over line breaks
		if !urlSafe(character) {
			return nil, errors.New("not base64url")
		}
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, err
	}
	if value := jsontext.Value(text); value.Kind() != '{' || !value.IsValid() {
		return nil, errors.New("not an object in which every name comes once")
	}
	return text, json.Unmarshal(text, into)
}

func urlSafe(character rune) bool {
	return 'a' <= character && character <= 'z' || 'A' <= character && character <= 'Z' || '0' <= character && character <= '9' ||
		character == '-' || character == '_'
}

// audience is a text or a list of texts.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	if jsontext.Value(text).Kind() == '"' {
		*a = audience{""}
		return json.Unmarshal(text, &(*a)[0])
	}
	var list []*string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	if list == nil {
		return errors.New("an audience that is null")
	}
	for _, one := range list {
		if one == nil {
			return errors.New("an audience that is null")
		}
		*a = append(*a, *one)
	}
	return nil
}

// numericDate is seconds since 1970, perhaps with a fraction (RFC 7519 §2).
type numericDate float64

// UnmarshalJSON implements json.Unmarshaler: no date is further away than a calendar reaches.
func (d *numericDate) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || jsontext.Value(text).Kind() != '0' {
		return errors.New("a date that is not a number")
	}
	if math.Abs(seconds) > 1<<40 {
		return errors.New("a date out of range")
	}
	*d = numericDate(seconds)
	return nil
}

// time is the date, or the zero time for none.
func (d *numericDate) time() time.Time {
	if d == nil {
		return time.Time{}
	}
	seconds, fraction := math.Modf(float64(*d))
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC()
}
