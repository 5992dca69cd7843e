package certificates

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
)

// Type is the typ of a signed certificate (RFC 7515 §4.1.9): it is taken for nothing else.
const Type = "postern-certificate+jws"

// MaxSize bounds a certificate that is read, in bytes.
const MaxSize = 64 << 20

// Document is a certificate as a file: readable, and with a JWS of it whose payload is detached (RFC 7515
// appendix F). What is signed is the canonical form (RFC 8785) of Certificate, however it is laid out.
type Document struct {
	Certificate json.RawMessage     `json:"certificate"`
	Signature   string              `json:"signature"`
	Keys        *jose.JSONWebKeySet `json:"keys,omitempty"` // what it was signed with; whoever forges it can put theirs here
}

// Compact is the document as a JWS in one line, without the keys.
func (d Document) Compact() (string, error) {
	header, signature, ok := strings.Cut(d.Signature, "..")
	payload := jsontext.Value(bytes.Clone(d.Certificate))
	if !ok || payload.Kind() != '{' || payload.Canonicalize() != nil {
		return "", malformed()
	}
	return header + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + signature, nil
}

// Read reads a certificate from a file: a document, or a JWS in one line. Nothing of it is verified.
func Read(text []byte) (Document, error) {
	if len(text) > MaxSize {
		return Document{}, core.TooLarge("a certificate has at most %d bytes", MaxSize)
	}
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("{")) {
		var read Document
		// Names that come twice, or in another case, could be read in two ways.
		if strict.Unmarshal(text, &read, strict.RejectUnknownMembers(true)) != nil || len(read.Certificate) == 0 {
			return Document{}, malformed()
		}
		return read, nil
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return Document{}, malformed()
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return Document{}, malformed()
	}
	return Document{Certificate: payload, Signature: parts[0] + ".." + parts[2]}, nil
}

// Verify checks that a certificate was signed with one of the keys, and returns what it says and the key.
// Whether a key is the workspace's is for whoever brings it to know. What is not signed so, in every
// respect, is Unauthenticated.
func (d Document) Verify(keys []jose.JSONWebKey) (Certificate, jose.JSONWebKey, error) {
	compact, err := d.Compact()
	if err != nil {
		return Certificate{}, jose.JSONWebKey{}, err
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(signed.Signatures) != 1 {
		return Certificate{}, jose.JSONWebKey{}, malformed()
	}
	header := signed.Signatures[0].Protected
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); kind != Type {
		return Certificate{}, jose.JSONWebKey{}, refused("it is signed as something else than a certificate")
	}
	at := slices.IndexFunc(keys, func(key jose.JSONWebKey) bool { return key.KeyID == header.KeyID && key.IsPublic() })
	if header.KeyID == "" || at < 0 {
		return Certificate{}, jose.JSONWebKey{}, refused("none of the keys is the one it names, " + header.KeyID).WithCode("key")
	}
	payload, err := signed.Verify(keys[at].Key)
	if err != nil {
		return Certificate{}, jose.JSONWebKey{}, refused("the signature is not of this certificate and this key: one of them was changed").WithCode("signature")
	}
	var said Certificate
	if err := json.Unmarshal(payload, &said); err != nil || said.Format != Format {
		return Certificate{}, jose.JSONWebKey{}, refused("it has a form this version does not know")
	}
	return said, keys[at], nil
}

func malformed() *core.Error { return refused("this is no certificate").WithCode("malformed") }

func refused(why string) *core.Error {
	return core.Unauthenticated("the certificate cannot be believed: %s", why)
}
