package gateway

import "postern/core/rotation"

// Rest has a rotation come to rest as a worker of this process would.
func (g *Gateway) Rest(r rotation.Rotation) { g.rotations.Rested(r) }
