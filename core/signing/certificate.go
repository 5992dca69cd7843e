package signing

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

// certificateLife is how long a certificate of a key is valid. Entra ID refuses what has expired, and
// keys are replaced long before.
const certificateLife = 10 * 365 * 24 * time.Hour

// Certificate is a key in the form in which Entra ID takes one: self-signed, which nobody checks.
type Certificate struct {
	KeyID   core.ID
	DER     []byte
	Signs   bool // now; the others signed until lately, or will soon
	Expires time.Time
}

// Thumbprint is x5t#S256 (RFC 7515 §4.1.8).
func (c Certificate) Thumbprint() string {
	sum := sha256.Sum256(c.DER)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Certificates are those of a workspace's published keys, oldest first. A workspace without a key gets
// its first one. The same key always has the same certificate, to the byte: none is kept anywhere.
func (s *Signing) Certificates(ctx context.Context, workspace core.ID) ([]Certificate, error) {
	known, signs, err := s.signer(ctx, workspace)
	if err != nil {
		return nil, err
	}
	var made []Certificate
	for _, one := range published(known.keys, s.now()) {
		private, err := s.private(ctx, workspace, known, one.ID)
		if err != nil {
			return nil, err
		}
		der, err := certify(one, private)
		if err != nil {
			return nil, err
		}
		made = append(made, Certificate{KeyID: one.ID, DER: der, Signs: one.ID == signs.ID, Expires: one.Created.Add(certificateLife)})
	}
	return made, nil
}

// SignCertified is Sign with the thumbprints of the key's certificate in the header (x5t, x5t#S256), by
// which Entra ID finds the key.
func (s *Signing) SignCertified(ctx context.Context, workspace core.ID, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", core.Internal(err)
	}
	known, signs, err := s.signer(ctx, workspace)
	if err != nil {
		return "", err
	}
	return s.sign(ctx, workspace, typ, payload, known, signs, func(of key, private *rsa.PrivateKey, options *jose.SignerOptions) error {
		der, err := certify(of, private)
		if err != nil {
			return err
		}
		short, long := sha1.Sum(der), sha256.Sum256(der) // x5t is SHA-1 by definition: a name, no proof
		options.WithHeader("x5t", base64.RawURLEncoding.EncodeToString(short[:]))
		options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(long[:]))
		return nil
	})
}

// certify makes the certificate of a key. Nothing in it comes from a clock or from chance, and an RSA
// signature of this kind is the same every time.
func certify(of key, private *rsa.PrivateKey) ([]byte, error) {
	name := pkix.Name{CommonName: "Postern " + of.Workspace.String(), SerialNumber: of.ID.String()}
	begins := of.Created.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(of.ID[:]), Subject: name, Issuer: name, NotBefore: begins.Add(-time.Hour), NotAfter: begins.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, SignatureAlgorithm: x509.SHA256WithRSA, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, core.Internal(err)
	}
	return der, nil
}
