package gateway

import (
	"net/http"
	"time"

	"postern/connectors/guard"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// listen makes what listens to transmitters of Shared Signals and manages the streams they send.
func (g *Gateway) listen() {
	g.issuers = &keys.Cache{HTTP: g.guarded(), Now: g.now}
	g.streams = &ssf.Service{
		DB: g.db, Directory: g.directory, Signals: g.signals, Vault: g.vault, Keys: g.issuers, HTTP: g.guarded(), Poll: g.patient(), PublicURL: g.config.PublicURL,
		OpenSecret: OpenReference, Sign: g.signing.Sign, Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
}

// patient is guarded for answers that take their time: a transmitter may hold a poll until there is something to
// tell, and then tell much.
func (g *Gateway) patient() *http.Client {
	return guard.Client(guard.Options{AllowPrivate: g.config.AllowPrivate, MaxBody: 8 << 20, Timeout: ssf.LongPoll + 20*time.Second})
}
