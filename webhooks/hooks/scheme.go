package hooks

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA-1 is what some senders have, and as a MAC it holds
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/jwt"
	"postern/core/seal"
)

// Scheme is how a sender signs: by HMAC, or with a JWT.
type Scheme struct {
	// Preset fills in what the other fields leave empty: workos, polis, github or clerk.
	Preset string `json:"preset,omitempty"`
	HMAC   *HMAC  `json:"hmac,omitempty"`
	JWT    *JWT   `json:"jwt,omitempty"`
}

// HMAC is a signature over a text that is made of the message.
type HMAC struct {
	Algorithm string `json:"algorithm,omitempty"` // sha256 (default), sha512 or sha1
	Header    string `json:"header,omitempty"`
	// Pattern is a regular expression over the header's value. The group s is the signature; every other named
	// group can be said in Signed, and t is the time. Each match is tried.
	Pattern string `json:"pattern,omitempty"`
	// Signed is what is signed: {body}, {header:NAME}, and {t} and other groups stand for themselves.
	Signed      string `json:"signed,omitempty"`
	Encoding    string `json:"encoding,omitempty"`     // of the signature: hex (default) or base64
	KeyEncoding string `json:"key_encoding,omitempty"` // raw (default) or base64, after a prefix such as whsec_
	TimeHeader  string `json:"time_header,omitempty"`  // where the time is, if no group t has it
	// Tolerance is how far the time may be from now, in seconds; 0: there is no time, and only the single use of
	// a message's id stops a copy of it.
	Tolerance int `json:"tolerance,omitempty"`
}

// JWT is a token that stands for the message.
type JWT struct {
	Header   string `json:"header,omitempty"` // default Authorization, as a bearer token
	JWKS     string `json:"jwks"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// BodyHash is the claim with the SHA-256 of the body, in hex or base64; empty: the token says nothing of
	// the body, and whoever captures one can use it for another until it expires.
	BodyHash string `json:"body_hash,omitempty"`
}

// presets are as the senders document them; times are in milliseconds where their digits say so.
var presets = map[string]HMAC{
	"workos": {Header: "WorkOS-Signature", Pattern: `t=(?P<t>\d+),\s*v1=(?P<s>[0-9a-fA-F]+)`, Signed: "{t}.{body}", Tolerance: 180},
	"polis":  {Header: "BoxyHQ-Signature", Pattern: `t=(?P<t>\d+),s=(?P<s>[0-9a-fA-F]+)`, Signed: "{t}.{body}", Tolerance: 300},
	"github": {Header: "X-Hub-Signature-256", Pattern: `^sha256=(?P<s>[0-9a-f]{64})$`, Signed: "{body}"},
	"clerk": {
		Header: "svix-signature", Pattern: `v1,(?P<s>[A-Za-z0-9+/=]+)`, Signed: "{header:svix-id}.{header:svix-timestamp}.{body}", Encoding: "base64",
		KeyEncoding: "base64", TimeHeader: "svix-timestamp", Tolerance: 300,
	},
}

// Presets are the names of the schemes that are known.
func Presets() []string { return []string{"workos", "polis", "github", "clerk"} }

// filled is a scheme with what its preset and the defaults add.
func (s Scheme) filled() Scheme {
	if s.JWT != nil {
		own := *s.JWT
		own.Header = cmp.Or(own.Header, "Authorization")
		s.JWT = &own
		return s
	}
	var own HMAC
	if s.HMAC != nil {
		own = *s.HMAC
	}
	preset := presets[s.Preset]
	own.Header, own.Pattern, own.Signed = cmp.Or(own.Header, preset.Header), cmp.Or(own.Pattern, preset.Pattern), cmp.Or(own.Signed, preset.Signed)
	own.Algorithm, own.Encoding = cmp.Or(own.Algorithm, "sha256"), cmp.Or(own.Encoding, preset.Encoding, "hex")
	own.KeyEncoding, own.TimeHeader = cmp.Or(own.KeyEncoding, preset.KeyEncoding, "raw"), cmp.Or(own.TimeHeader, preset.TimeHeader)
	own.Pattern, own.Signed = cmp.Or(own.Pattern, `^(?P<s>\S+)$`), cmp.Or(own.Signed, "{body}")
	if own.Tolerance == 0 {
		own.Tolerance = preset.Tolerance
	}
	s.HMAC = &own
	return s
}

func (s Scheme) check() error {
	if s.Preset != "" && !slices.Contains(Presets(), s.Preset) {
		return core.Invalid("scheme.preset", "a preset is %s", strings.Join(Presets(), ", "))
	}
	if s.JWT != nil {
		address, err := url.Parse(s.JWT.JWKS)
		if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
			return core.Invalid("scheme.jwt.jwks", "the address of the sender's keys is needed")
		}
		if s.JWT.Issuer == "" || s.JWT.Audience == "" {
			return core.Invalid("scheme.jwt", "an issuer and an audience are needed")
		}
		return nil
	}
	h := s.HMAC
	if h.Header == "" {
		return core.Invalid("scheme.hmac.header", "the header with the signature is needed")
	}
	pattern, err := regexp.Compile(h.Pattern)
	if err != nil || len(h.Pattern) > 500 || pattern.SubexpIndex("s") < 0 {
		return core.Invalid("scheme.hmac.pattern", "a regular expression with a group (?P<s>…) is needed")
	}
	if !strings.Contains(h.Signed, "{body}") {
		return core.Invalid("scheme.hmac.signed", "what is signed holds {body}, or anybody could change it")
	}
	for _, name := range placeholder.FindAllStringSubmatch(h.Signed, -1) {
		if name[1] != "body" && !strings.HasPrefix(name[1], "header:") && pattern.SubexpIndex(name[1]) < 0 {
			return core.Invalid("scheme.hmac.signed", "there is no group %q in the pattern", core.Cut(name[1], 60))
		}
	}
	timed := h.TimeHeader != "" && strings.Contains(strings.ToLower(h.Signed), "{header:"+strings.ToLower(h.TimeHeader)+"}") ||
		pattern.SubexpIndex("t") >= 0 && strings.Contains(h.Signed, "{t}")
	switch {
	case h.Tolerance < 0 || h.Tolerance > 3600:
		return core.Invalid("scheme.hmac.tolerance", "0 to 3600 seconds")
	case h.Tolerance > 0 && !timed:
		return core.Invalid("scheme.hmac.tolerance", "a time that is not signed proves nothing: sign {t} or {header:NAME}")
	case !slices.Contains([]string{"sha256", "sha512", "sha1"}, h.Algorithm):
		return core.Invalid("scheme.hmac.algorithm", "sha256, sha512 or sha1")
	case h.Encoding != "hex" && h.Encoding != "base64":
		return core.Invalid("scheme.hmac.encoding", "hex or base64")
	case h.KeyEncoding != "raw" && h.KeyEncoding != "base64":
		return core.Invalid("scheme.hmac.key_encoding", "raw or base64")
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{([^{}]+)\}`)

// key is the bytes of a secret.
func (s Scheme) key(secret seal.Secret) ([]byte, error) {
	if s.HMAC.KeyEncoding == "raw" {
		return []byte(secret.Reveal()), nil
	}
	text := secret.Reveal()
	if _, after, found := strings.Cut(text, "_"); found {
		text = after
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 16 {
		return nil, core.Invalid("secret", "the secret is base64 of at least 16 bytes, after a prefix such as whsec_")
	}
	return key, nil
}

// verify checks a request's signature with any of the keys. The time is judged only of what was signed.
func (h HMAC) verify(header http.Header, body []byte, keys [][]byte, now time.Time) error {
	pattern, err := regexp.Compile(h.Pattern)
	if err != nil {
		return core.Internal(err)
	}
	makers := map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New}
	value, stale := header.Get(h.Header), false
	if len(value) > 4096 {
		return core.Unauthenticated("the signature's header is too long").WithCode(stageSigned)
	}
	for _, match := range pattern.FindAllStringSubmatch(value, 16) {
		signature, err := hex.DecodeString(match[pattern.SubexpIndex("s")])
		if h.Encoding == "base64" {
			signature, err = base64.StdEncoding.DecodeString(match[pattern.SubexpIndex("s")])
		}
		if err != nil {
			continue
		}
		signed := placeholder.ReplaceAllStringFunc(h.Signed, func(found string) string {
			name := found[1 : len(found)-1]
			if name == "body" {
				return string(body)
			}
			if wanted, ok := strings.CutPrefix(name, "header:"); ok {
				return header.Get(wanted)
			}
			return match[pattern.SubexpIndex(name)]
		})
		for _, key := range keys {
			mac := hmac.New(makers[h.Algorithm], key)
			mac.Write([]byte(signed))
			if !hmac.Equal(mac.Sum(nil), signature) {
				continue
			}
			said := header.Get(h.TimeHeader)
			if index := pattern.SubexpIndex("t"); index >= 0 {
				said = match[index]
			}
			if h.Tolerance == 0 || near(said, now, time.Duration(h.Tolerance)*time.Second) {
				return nil
			}
			stale = true
		}
	}
	if stale {
		return core.Unauthenticated("the signature's time is too far from now").WithCode(stageTime)
	}
	return core.Unauthenticated("no signature is of this hook's secret").WithCode(stageSigned)
}

func near(said string, now time.Time, tolerance time.Duration) bool {
	if _, err := strconv.ParseInt(said, 10, 64); err != nil {
		return false
	}
	at := moment(said)
	return !at.Before(now.Add(-tolerance)) && !at.After(now.Add(tolerance))
}

// expected is what a sender's tokens say.
func (j JWT) expected() jwt.Expected {
	return jwt.Expected{
		Types: []string{"JWT", ""}, Issuers: []string{j.Issuer}, Audiences: []string{j.Audience}, KeysURI: j.JWKS, Expiry: jwt.Required, MaxLifetime: 2 * time.Hour,
	}
}
