package gateway

import (
	"postern/core/rotation"
	"postern/core/signing"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/webhooks/delivery"
)

// Rest has a rotation come to rest as a worker of this process would.
func (g *Gateway) Meter() rotation.Meter { return g.rotations.Meter }

// Signing is what the gateway publishes the keys of.
func (g *Gateway) Signing() *signing.Signing { return g.signing }

// DeliveryMeter is what deliveries of this process are counted by.
func (g *Gateway) DeliveryMeter() delivery.Meter { return g.told.deliveries.Meter }

// Kinds are what workspaces can make sinks of.
func (g *Gateway) Kinds() map[string]sink.Kind { return reaches{g.config.AllowPrivate}.kinds() }

// Own keeps the sinks of workspaces.
func (g *Gateway) Own() *sinks.Service { return g.own }
