package gateway

import (
	"time"

	"postern/connectors/guard"
	"postern/webhooks/hooks"
	"postern/webhooks/outgoing"
)

// hook makes what senders of events call, and what asks them again.
func (g *Gateway) hook() {
	g.hooks = &hooks.Service{
		DB: g.db, Directory: g.directory, Signals: g.signals, Vault: g.vault, Keys: g.issuers, PublicURL: g.config.PublicURL, OpenSecret: OpenReference,
		HTTP: guard.Client(guard.Options{AllowPrivate: g.config.AllowPrivate, MaxBody: 8 << 20, Timeout: 30 * time.Second}),
		Sign: g.signing.Sign, Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
}

// endpoints makes what tells webhooks of events. Standard Webhooks 1.0 gives an endpoint 15 to 30 s.
func (g *Gateway) endpoints() *outgoing.Service {
	return &outgoing.Service{
		DB: g.db, Vault: g.vault, Deliveries: g.told.deliveries, AllowPrivate: g.config.AllowPrivate,
		HTTP: guard.Client(guard.Options{AllowPrivate: g.config.AllowPrivate, MaxBody: 1 << 20, Timeout: 20 * time.Second}),
		Now:  g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
}
