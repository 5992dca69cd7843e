package gateway

import (
	"postern/core/rotation"
	"postern/core/signing"
)

// Rest has a rotation come to rest as a worker of this process would.
func (g *Gateway) Rest(r rotation.Rotation) { g.rotations.Rested(r) }

// Signing is what the gateway publishes the keys of.
func (g *Gateway) Signing() *signing.Signing { return g.signing }
