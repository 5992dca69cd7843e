package signing_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"postern/core/coretest"
	"postern/core/jwt"
)

func TestCertificates(t *testing.T) {
	h := open(t)
	made, err := h.signing.Certificates(t.Context(), h.acme)
	coretest.Must(t, err)
	again, err := h.neighbour.Certificates(t.Context(), h.acme)
	coretest.Must(t, err)
	if len(made) != 1 || len(again) != 1 || !bytes.Equal(made[0].DER, again[0].DER) || !made[0].Signs {
		t.Fatalf("%d certificates and %d in another process, which differ", len(made), len(again))
	}
	other, err := h.signing.Certificates(t.Context(), h.globex)
	coretest.Must(t, err)
	if bytes.Equal(other[0].DER, made[0].DER) {
		t.Error("two workspaces have one certificate")
	}
	parsed, err := x509.ParseCertificate(made[0].DER)
	coretest.Must(t, err)
	coretest.Must(t, parsed.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSCertificate, parsed.Signature))

	signed, err := h.signing.SignCertified(t.Context(), h.acme, "JWT", map[string]string{"iss": "a"})
	coretest.Must(t, err)
	read, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.RS256})
	coretest.Must(t, err)
	if _, err := read.Verify(parsed.PublicKey.(*rsa.PublicKey)); err != nil {
		t.Error(err)
	}
	header := read.Signatures[0].Header
	if header.ExtraHeaders["x5t#S256"] != made[0].Thumbprint() || header.KeyID != made[0].KeyID.String() {
		t.Errorf("header %+v, thumbprint %s", header, made[0].Thumbprint())
	}
	if _, err := jwt.Peek(signed, jwt.Expected{Types: []string{"JWT"}}); err != nil {
		t.Error(err)
	}
}
