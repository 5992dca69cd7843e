package signing

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

// Sign makes a JWT of claims with the workspace's current key: header alg RS256, kid, and typ unless it is "".
// The claims are marshalled as they are; nothing is added. A workspace without a key gets its first one.
func (s *Signing) Sign(ctx context.Context, workspace core.ID, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", core.Internal(err)
	}
	known, signs, err := s.signer(ctx, workspace)
	if err != nil {
		return "", err
	}
	return s.sign(ctx, workspace, typ, payload, known, signs, nil)
}

// SignText is Sign of a payload as it is, to the byte. The public key that verifies it comes with it.
func (s *Signing) SignText(ctx context.Context, workspace core.ID, typ string, payload []byte) (string, jose.JSONWebKey, error) {
	known, signs, err := s.signer(ctx, workspace)
	if err != nil {
		return "", jose.JSONWebKey{}, err
	}
	public, err := signs.public()
	if err != nil {
		return "", jose.JSONWebKey{}, err
	}
	signed, err := s.sign(ctx, workspace, typ, payload, known, signs, nil)
	return signed, public, err
}

// more adds to the header of what is signed.
type more func(key, *rsa.PrivateKey, *jose.SignerOptions) error

func (s *Signing) sign(ctx context.Context, workspace core.ID, typ string, payload []byte, known *remembered, signs *key, add more) (string, error) {
	private, err := s.private(ctx, workspace, known, signs.ID)
	if err != nil {
		return "", err
	}
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	if add != nil {
		if err := add(*signs, private, options); err != nil {
			return "", err
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: signs.ID.String()}}, options)
	if err != nil {
		return "", core.Internal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", core.Internal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return "", core.Internal(err)
	}
	return compact, nil
}

// signer is the key that signs now, made if there is none.
func (s *Signing) signer(ctx context.Context, workspace core.ID) (*remembered, *key, error) {
	known, err := s.keys(ctx, workspace, remember)
	if err != nil {
		return nil, nil, err
	}
	if current(known.keys, s.now()) == nil {
		if err := s.Prepare(ctx, core.NewCause(core.System, s.now()), workspace); err != nil {
			return nil, nil, err
		}
		if known, err = s.keys(ctx, workspace, remember); err != nil {
			return nil, nil, err
		}
	}
	signs := current(known.keys, s.now())
	if signs == nil {
		return nil, nil, core.Internal(nil)
	}
	return known, signs, nil
}

// PublicKeys are the keys others verify with, oldest first: what signed within the last week, what signs, and
// what will. An unknown workspace has none, and neither has one that never signed.
func (s *Signing) PublicKeys(ctx context.Context, workspace core.ID) ([]jose.JSONWebKey, error) {
	known, err := s.keys(ctx, workspace, fresh)
	if err != nil {
		return nil, err
	}
	return publicKeys(published(known.keys, s.now()))
}

// EveryPublicKey is PublicKeys with those that are published no longer: for what was signed to be kept, such as
// certificates. Nobody may let somebody in by one of them.
func (s *Signing) EveryPublicKey(ctx context.Context, workspace core.ID) ([]jose.JSONWebKey, error) {
	known, err := s.keys(ctx, workspace, fresh)
	if err != nil {
		return nil, err
	}
	return publicKeys(known.keys)
}

func publicKeys(keys []key) ([]jose.JSONWebKey, error) {
	set := make([]jose.JSONWebKey, 0, 3)
	for _, one := range keys {
		public, err := one.public()
		if err != nil {
			return nil, err
		}
		set = append(set, public)
	}
	return set, nil
}

// public is the half of a key that others may have.
func (k key) public() (jose.JSONWebKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return jose.JSONWebKey{}, core.Internal(err)
	}
	return jose.JSONWebKey{Key: public, KeyID: k.ID.String(), Algorithm: k.Algorithm, Use: "sig"}, nil
}
