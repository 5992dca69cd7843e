package oidc

import (
	"context"

	"github.com/go-jose/go-jose/v4"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"

	"postern/core/jwt"
)

// keySet is the keys of one IdP, from the cache of the process, as the library wants to have them.
type keySet struct {
	keys   jwt.Keys
	source jwt.Source
}

var _ zoidc.KeySet = keySet{}

// VerifySignature implements zitadel's oidc.KeySet. When the keys cannot be had its error is Unavailable.
func (k keySet) VerifySignature(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	return jwt.Prove(ctx, k.keys, k.source, signed)
}
