package statements

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/signing"
)

// MaxSize bounds a file that is read, in bytes.
const MaxSize = 128 << 20

// Kind is a kind of statement.
type Kind struct {
	Type   string // typ in the signature's header (RFC 7515 §4.1.9): it is taken for nothing else
	Member string // of the file, which holds what is said
	Noun   string // for people: certificate
}

// Signed is what was signed at one time.
type Signed struct {
	Text      string          // canonical JSON: the bytes that were signed
	Digest    []byte          // SHA-256 of Text
	Signature string          // JWS with detached payload
	Key       json.RawMessage // JWK
}

// Sign signs what is said with the workspace's current key.
func (k Kind) Sign(ctx context.Context, keys *signing.Signing, workspace core.ID, said any) (Signed, error) {
	text, err := json.Marshal(said)
	if err != nil {
		return Signed{}, core.Internal(err)
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return Signed{}, core.Internal(err)
	}
	signed, public, err := keys.SignText(ctx, workspace, k.Type, canonical)
	if err != nil {
		return Signed{}, err
	}
	key, err := json.Marshal(public)
	if err != nil {
		return Signed{}, core.Internal(err)
	}
	header, rest, _ := strings.Cut(signed, ".")
	_, signature, _ := strings.Cut(rest, ".")
	digest := sha256.Sum256(canonical)
	return Signed{string(canonical), digest[:], header + ".." + signature, key}, nil
}

// Document is a statement as a file.
type Document struct {
	Said      json.RawMessage
	Signature string
	Keys      *jose.JSONWebKeySet // what it was signed with; whoever forges it can put theirs here
}

// Document is what was signed with the key that verifies it.
func (s Signed) Document() (Document, error) {
	var key jose.JSONWebKey
	if err := json.Unmarshal(s.Key, &key); err != nil {
		return Document{}, core.Internal(err)
	}
	return Document{Said: json.RawMessage(s.Text), Signature: s.Signature, Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}}}, nil
}

// Compact is a document as a JWS in one line, without the keys.
func (k Kind) Compact(document Document) (string, error) {
	header, signature, ok := strings.Cut(document.Signature, "..")
	payload := jsontext.Value(bytes.Clone(document.Said))
	if !ok || payload.Kind() != '{' || payload.Canonicalize() != nil {
		return "", k.malformed()
	}
	return header + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + signature, nil
}

// Read reads a file: a document, or a JWS in one line. Nothing of it is verified.
func (k Kind) Read(text []byte) (Document, error) {
	if len(text) > MaxSize {
		return Document{}, core.TooLarge("a %s has at most %d bytes", k.Noun, MaxSize)
	}
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("{")) {
		return k.open(text)
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return Document{}, k.malformed()
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return Document{}, k.malformed()
	}
	return Document{Said: payload, Signature: parts[0] + ".." + parts[2]}, nil
}

// open reads a document. Names that come twice, or in another case, could be read in two ways.
func (k Kind) open(text []byte) (Document, error) {
	var members map[string]jsontext.Value
	if strict.Unmarshal(text, &members) != nil {
		return Document{}, k.malformed()
	}
	document := Document{Said: json.RawMessage(members[k.Member])}
	signature, keys := members["signature"], members["keys"]
	delete(members, k.Member)
	delete(members, "signature")
	delete(members, "keys")
	if len(document.Said) == 0 || len(members) > 0 || strict.Unmarshal(signature, &document.Signature) != nil {
		return Document{}, k.malformed()
	}
	if len(keys) > 0 && strict.Unmarshal(keys, &document.Keys) != nil {
		return Document{}, k.malformed()
	}
	return document, nil
}

// Verify checks that a document was signed with one of the keys, and returns the bytes that were and the key.
// Whether a key is the workspace's is for whoever brings it to know. What is not signed so, in every
// respect, is Unauthenticated.
func (k Kind) Verify(document Document, keys []jose.JSONWebKey) ([]byte, jose.JSONWebKey, error) {
	compact, err := k.Compact(document)
	if err != nil {
		return nil, jose.JSONWebKey{}, err
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(signed.Signatures) != 1 {
		return nil, jose.JSONWebKey{}, k.malformed()
	}
	header := signed.Signatures[0].Protected
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); kind != k.Type {
		return nil, jose.JSONWebKey{}, k.Refused("it is signed as something else than a " + k.Noun)
	}
	at := slices.IndexFunc(keys, func(key jose.JSONWebKey) bool { return key.KeyID == header.KeyID && key.IsPublic() })
	if header.KeyID == "" || at < 0 {
		return nil, jose.JSONWebKey{}, k.Refused("none of the keys is the one it names, " + header.KeyID).WithCode("key")
	}
	payload, err := signed.Verify(keys[at].Key)
	if err != nil {
		return nil, jose.JSONWebKey{}, k.Refused("the signature is not of this " + k.Noun + " and this key: one of them was changed").WithCode("signature")
	}
	return payload, keys[at], nil
}

func (k Kind) malformed() *core.Error { return k.Refused("this is no " + k.Noun).WithCode("malformed") }

// Refused says why a statement is not believed.
func (k Kind) Refused(why string) *core.Error {
	return core.Unauthenticated("the %s cannot be believed: %s", k.Noun, why)
}
