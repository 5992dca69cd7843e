package certificates

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"postern/core/statements"
)

// Type is the typ of a signed certificate (RFC 7515 §4.1.9): it is taken for nothing else.
const Type = "postern-certificate+jws"

// kind is what certificates are among what a workspace signs for good.
var kind = statements.Kind{Type: Type, Member: "certificate", Noun: "certificate"}

// Document is a certificate as a file: readable, and with a JWS of it whose payload is detached (RFC 7515
// appendix F). What is signed is the canonical form (RFC 8785) of Certificate, however it is laid out.
type Document struct {
	Certificate json.RawMessage     `json:"certificate"`
	Signature   string              `json:"signature"`
	Keys        *jose.JSONWebKeySet `json:"keys,omitempty"` // what it was signed with; whoever forges it can put theirs here
}

// Compact is the document as a JWS in one line, without the keys.
func (d Document) Compact() (string, error) { return kind.Compact(d.statement()) }

func (d Document) statement() statements.Document {
	return statements.Document{Said: d.Certificate, Signature: d.Signature, Keys: d.Keys}
}

// Read reads a certificate from a file: a document, or a JWS in one line. Nothing of it is verified.
func Read(text []byte) (Document, error) {
	read, err := kind.Read(text)
	return Document{read.Said, read.Signature, read.Keys}, err
}

// Verify checks that a certificate was signed with one of the keys, and returns what it says and the key.
// Whether a key is the workspace's is for whoever brings it to know. What is not signed so, in every
// respect, is Unauthenticated.
func (d Document) Verify(keys []jose.JSONWebKey) (Certificate, jose.JSONWebKey, error) {
	payload, key, err := kind.Verify(d.statement(), keys)
	if err != nil {
		return Certificate{}, jose.JSONWebKey{}, err
	}
	var said Certificate
	if err := json.Unmarshal(payload, &said); err != nil || said.Format != Format {
		return Certificate{}, jose.JSONWebKey{}, kind.Refused("it has a form this version does not know")
	}
	return said, key, nil
}
