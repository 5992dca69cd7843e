package gateway

import (
	"context"

	"golang.org/x/sync/errgroup"

	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
	"postern/webhooks/outlogout"
	"postern/webhooks/transmitter"
)

// transmission is what tells others of what happens here: receivers of Shared Signals, apps of logouts, and webhooks
// of everything.
type transmission struct {
	deliveries *delivery.Deliveries
	receivers  *transmitter.Service
	logouts    *outlogout.Service
	webhooks   *outgoing.Service
}

// transmit makes what tells others.
func (g *Gateway) transmit() {
	t := &g.told
	t.deliveries = &delivery.Deliveries{DB: g.db, Now: g.now, Log: g.log, Wake: g.sequencer.Wake, Meter: g.metrics}
	t.receivers = &transmitter.Service{
		DB: g.db, Directory: g.directory, Vault: g.vault, Deliveries: t.deliveries, Sign: g.signing.Sign, HTTP: g.guarded(), PublicURL: g.config.PublicURL,
		AllowPrivate: g.config.AllowPrivate, Log: g.log, Now: g.now, Wake: g.sequencer.Wake,
	}
	t.logouts = &outlogout.Service{
		DB: g.db, Directory: g.directory, Deliveries: t.deliveries, Sign: g.signing.Sign, HTTP: g.guarded(), PublicURL: g.config.PublicURL,
		AllowPrivate: g.config.AllowPrivate, Now: g.now, Wake: g.sequencer.Wake,
	}
	t.webhooks = g.endpoints()
	t.deliveries.Carriers = map[string]delivery.Carrier{
		transmitter.Kind: t.receivers.Carrier(), outlogout.Kind: t.logouts.Carrier(), outgoing.Kind: t.webhooks.Carrier(),
	}
}

// run follows the log and delivers, until ctx ends.
func (t *transmission) run(ctx context.Context) error {
	follower := &delivery.Follower{Deliveries: t.deliveries, Listeners: []delivery.Listener{t.receivers, t.logouts, t.webhooks}}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return follower.Run(ctx) })
	group.Go(func() error { return t.deliveries.Run(ctx) })
	return group.Wait()
}
