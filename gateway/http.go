package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/seal"
	"postern/gateway/api"
	"postern/gateway/console"
	"postern/gateway/problem"
	"postern/oidc"
	"postern/scim"
	"postern/webhooks"
	"postern/webhooks/sms"
	"postern/webhooks/transmitter"
)

// serve answers HTTP until ctx ends, then lets requests under way finish within the grace period.
func (g *Gateway) serve(ctx context.Context) error {
	handler, err := g.Handler()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", g.config.Listen)
	if err != nil {
		return core.Invalid("listen", "%s cannot be listened on", g.config.Listen).Because(err)
	}
	// Requests outlive ctx, but not the grace period.
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	guests := &guests{}
	server := &http.Server{
		Handler:           guests.lastly(handler),
		ConnState:         guests.note,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute, // a live stream moves its own deadline on
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	g.log.InfoContext(ctx, "listening", "address", listener.Addr().String(), "public_url", g.config.PublicURL)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	g.health.stop()
	guests.leaving.Store(true)
	time.Sleep(g.config.Drain)
	_ = listener.Close()
	g.log.DebugContext(ctx, "listening no more", "reason", <-failed) // nobody closes the listener a second time
	guests.leave(min(farewell, g.config.Grace))
	if g.console != nil {
		g.console.Close()
		g.api.Close()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}

// Handler is the whole HTTP surface, in one place: for people and IdPs with the role gateway, and in
// every process what an orchestrator asks.
func (g *Gateway) Handler() (http.Handler, error) {
	engine, err := g.engine()
	if err != nil || !g.plays(RoleGateway) {
		return engine, err
	}
	// One cache for every door: what a storm of forged tokens at one of them may cost an identity provider is
	// what it may cost at all of them together.
	signIn := &oidc.Service{
		DB: g.db, Directory: g.directory, HTTP: g.guarded(), Keys: g.issuers, PublicURL: g.config.PublicURL, Now: g.now, Log: g.log, OpenSecret: OpenReference,
		Signals: g.signals, Signer: g.signing,
	}
	signIn.Mount(engine)
	engine.GET(jwksRoute, g.publishKeys)
	engine.GET(everyJWKSRoute, g.publishEveryKey)
	(&scim.Service{
		DB: g.db, Directory: g.directory, Lifecycle: g.lifecycle, Accounts: g.accounts, PublicURL: g.config.PublicURL, Now: g.now, Log: g.log,
		Keys: g.issuers, AccessTokenLife: g.config.SCIMTokenLife, SecurityEvents: transmitter.SCIMEvents(),
	}).Mount(engine)
	(&webhooks.Service{
		DB: g.db, Directory: g.directory, Signals: g.signals, Keys: g.issuers, PublicURL: g.config.PublicURL, Now: g.now, Log: g.log,
	}).Mount(engine)
	g.streams.Mount(engine)
	g.told.receivers.Mount(engine)
	g.hooks.Mount(engine)
	texts := &sms.Service{Mailboxes: g.mailboxes, PublicURL: g.config.PublicURL, Now: g.now, Log: g.log}
	texts.Mount(engine)
	g.api = &api.Service{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Connectors: kinds, Rotations: g.rotations, Lifecycle: g.lifecycle, Policies: g.policies, Imports: g.imports, Signals: g.signals, Signing: g.signing, Certificates: g.certificates, Reviews: g.reviews, Services: g.services, Health: g.passwords, DryRuns: g.dryRuns, Links: g.links, Mailboxes: g.mailboxes, SMS: texts, Posture: g.posture, Streams: g.streams, Receivers: g.told.receivers, Logouts: g.told.logouts, Hooks: g.hooks, Webhooks: g.told.webhooks, Sinks: g.own, AuditKey: g.auditKey, Product: "Postern " + release(), Log: g.log, Now: g.now, Wake: g.sequencer.Wake,
		Rate: g.config.APIRate,
	}
	g.api.Mount(engine)
	g.console = &console.Service{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Connectors: kinds, Rotations: g.rotations, Lifecycle: g.lifecycle, Policies: g.policies, Imports: g.imports, Signals: g.signals, Certificates: g.certificates, Reviews: g.reviews, Services: g.services, Health: g.passwords, Links: g.links, Mail: g.mail, Mailboxes: g.mailboxes, Posture: g.posture, Streams: g.streams, OIDC: signIn,
		Deliveries: g.told.deliveries, Sinks: g.own, Webhooks: g.told.webhooks, Receivers: g.told.receivers, Logouts: g.told.logouts, Hooks: g.hooks,
		Log: g.log, Now: g.now, Wake: g.sequencer.Wake,
	}
	g.console.Mount(engine)
	return engine, nil
}

// engine treats every request the same, whatever answers it, and answers health and metrics.
func (g *Gateway) engine() (*gin.Engine, error) {
	var metricsToken seal.Secret
	if g.config.MetricsToken != "" {
		opened, err := OpenReference(g.config.MetricsToken)
		if err != nil {
			return nil, err
		}
		metricsToken = opened
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(g.config.TrustedProxies); err != nil {
		return nil, core.Invalid("trusted-proxies", "an address or a network is needed").Because(err)
	}
	engine.Use(g.metrics.observe, g.provisioning.observe)
	problem.Install(engine, problem.Options{
		Log: g.log, Now: g.now, HTTPS: strings.HasPrefix(g.config.PublicURL, "https:"),
		OwnLimits: []string{"/scim/", "/webhooks/", "/ssf/", api.ImportsPath, console.ImportsPath}, Streams: append(console.StreamRoutes(), api.ExportFindingsRoute, api.TailRoute, api.DownloadRoute, api.ExportRoute), Quiet: []string{"/healthz", "/readyz", "/metrics"},
	})
	g.health.mount(engine)
	g.metrics.mount(engine, metricsToken)
	return engine, nil
}
