package gateway

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/connectors/browser"
	"postern/connectors/guard"
	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/directory"
	"postern/core/dryruns"
	passwordhealth "postern/core/health"
	"postern/core/importing"
	"postern/core/jobs"
	"postern/core/journal"
	"postern/core/lifecycle"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/mailbox"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/posture"
	"postern/core/proof"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/services"
	"postern/core/signals"
	"postern/core/signing"
	"postern/core/vault"
	"postern/gateway/api"
	"postern/gateway/console"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/stream"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// Gateway is one process: the slices wired together, and the roles it plays.
type Gateway struct {
	config Config
	log    *slog.Logger
	now    func() time.Time

	db        *postgres.DB
	queue     *jobs.Queue
	directory *directory.Directory
	vault     *vault.Vault
	signing   *signing.Signing
	accounts  *accounts.Accounts
	rotations *rotation.Rotations
	lifecycle *lifecycle.Lifecycle
	signals   *signals.Signals
	issuers   *keys.Cache // public keys of identity providers
	streams   *ssf.Service
	told      transmission
	hooks     *hooks.Service
	policies  *policies.Policies
	imports   *importing.Imports
	mail      *mail.Mail
	links     *links.Links
	mailboxes *mailbox.Mailboxes

	certificates *certificates.Certificates
	passwords    *passwordhealth.Health
	dryRuns      *dryruns.DryRuns
	posture      *posture.Posture
	services     *services.Services
	reviews      *reviews.Reviews

	cluster   stream.Cluster // of the audit stream; zero where no role needs it
	takers    *lifecycle.Takers
	sequencer *audit.Sequencer
	auditKey  ed25519.PrivateKey
	browser   *browser.Browser
	plugins   []closer // connectors in programs of their own

	sinks   []*sink.Sink   // for all workspaces
	own     *sinks.Service // each workspace's own
	metrics *metrics

	provisioning *provisioning
	health       *health
	console      *console.Service // set by Handler, where people and IdPs come in
	api          *api.Service     // likewise
}

// New opens the database and wires everything; nothing runs yet. The configuration must be valid
// (Config.Validate). The schema must be up to date: see Migrate.
func New(ctx context.Context, config Config, log *slog.Logger) (*Gateway, error) {
	g := &Gateway{config: config, log: log, now: time.Now, metrics: newMetrics()}
	// The pool is large enough for the workers of one process.
	db, err := OpenDatabase(ctx, config.Database, postgres.Options{MaxConnections: int32(16 + 2*config.Concurrency)})
	if err != nil {
		return nil, err
	}
	g.db = db
	if err := g.wire(); err != nil {
		db.Close()
		return nil, err
	}
	g.health = &health{checks: []check{{"database", db.Ping}, {"schema", g.upToDate}}}
	g.provisioning = newProvisioning(g.directory, g.metrics.registry)
	figures := &collector{sources: []source{
		databaseSource(db, g.config, g.now), deliverySource(db, slices.Sorted(maps.Keys(g.told.deliveries.Carriers)), g.now), ownSinksSource(db, slices.Sorted(maps.Keys(g.own.Kinds))),
	}}
	for _, one := range g.sinks {
		figures.sources = append(figures.sources, lagSource(one.Name, one.Lag))
	}
	g.metrics.registry.MustRegister(figures)
	return g, nil
}

// wire builds the slices, lowest floor first.
func (g *Gateway) wire() error {
	if g.plays(RoleRelay) || g.plays(RoleSink) {
		cluster, err := g.config.Cluster()
		if err != nil {
			return err
		}
		g.cluster = cluster
	}
	keys, err := OpenKeys(g.config.Key)
	if err != nil {
		return err
	}
	if g.config.AuditKey != "" {
		if g.auditKey, err = openAuditKey(g.config.AuditKey); err != nil {
			return err
		}
	}
	if g.queue, err = jobs.NewQueue(g.db, g.log); err != nil {
		return err
	}
	g.directory = &directory.Directory{DB: g.db, Now: g.now}
	g.vault = &vault.Vault{DB: g.db, Keys: keys, Now: g.now}
	g.accounts = &accounts.Accounts{DB: g.db, Vault: g.vault, Directory: g.directory, Connectors: g.config.settings(), Resets: resets, Disables: disables, Now: g.now}
	g.signing = &signing.Signing{DB: g.db, Vault: g.vault, Now: g.now}
	g.sequencer = &audit.Sequencer{DB: g.db, Key: g.auditKey, Now: g.now, Log: g.log}
	g.signing.Wake = g.sequencer.Wake
	g.certificates = &certificates.Certificates{DB: g.db, Signing: g.signing, Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.letterbox()
	connectors, err := g.connectors()
	if err != nil {
		return err
	}
	g.rotations = &rotation.Rotations{
		DB: g.db, Accounts: g.accounts, Queue: g.queue, Connectors: connectors, Now: g.now, Log: g.log, Options: g.config.Rotation.options(g.config.Concurrency),
		AllowPrivate: g.config.AllowPrivate, Inbox: g.mailboxes, Meter: g.metrics,
	}
	g.policies = &policies.Policies{DB: g.db, Accounts: g.accounts, Rotations: g.rotations, Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.accounts.Used = g.policies.SignedIn
	g.passwords = &passwordhealth.Health{DB: g.db, Accounts: g.accounts, Rotations: g.rotations, Queue: g.queue, Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.dryRuns = &dryruns.DryRuns{DB: g.db, Accounts: g.accounts, Rotations: g.rotations, Queue: g.queue, Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.rotations.Rehearsed = g.dryRuns.Known
	g.imports = &importing.Imports{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Rotations: g.rotations, Vault: g.vault, Queue: g.queue, Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
	g.services = &services.Services{DB: g.db, Directory: g.directory, Accounts: g.accounts, Rotations: g.rotations, Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.takers = &lifecycle.Takers{}
	g.lifecycle = &lifecycle.Lifecycle{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Rotations: g.rotations, Now: g.now, Wake: g.sequencer.Wake, Left: g.takers.Wake,
		Log: g.log,
	}
	g.signals = &signals.Signals{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Rotations: g.rotations, Lifecycle: g.lifecycle, PublicURL: g.config.PublicURL,
		Now: g.now, Wake: g.sequencer.Wake, Log: g.log, Meter: g.metrics, Later: true,
	}
	if err := g.post(); err != nil {
		return err
	}
	g.passwords.Mail, g.passwords.PublicURL = g.mail, g.config.PublicURL
	g.reviews = &reviews.Reviews{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Lifecycle: g.lifecycle, Services: g.services, Signing: g.signing, Mail: g.mail, PublicURL: g.config.PublicURL,
		Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
	g.listen()
	g.transmit()
	g.hook()
	g.takers.Lifecycle = g.lifecycle
	g.posture = &posture.Posture{DB: g.db, Accounts: g.accounts, Lifecycle: g.lifecycle, Queue: g.queue, Mail: g.config.MailboxDomain != "", Now: g.now, Wake: g.sequencer.Wake, Log: g.log}
	g.own = g.destinations()
	if g.plays(RoleSink) {
		shared, err := g.config.SharedSinks(g.config.AllowPrivate)
		if err != nil {
			return err
		}
		for name, one := range shared {
			receiver, err := one.Open(g.config.AllowPrivate)
			if err != nil {
				return err
			}
			g.sinks = append(g.sinks, &sink.Sink{Name: name, Kind: one.Kind, DB: g.db, Cluster: g.cluster, Receiver: receiver, Mapper: g.config.Mapper(), Now: g.now, Log: g.log, Drain: g.config.deliveries()})
		}
	}
	return nil
}

// openAuditKey reads the Ed25519 seed, in the same forms as a local key.
func openAuditKey(reference string) (ed25519.PrivateKey, error) {
	seed, err := openKey(reference)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed([]byte(seed.Reveal())), nil
}

// rememberKey keeps the public half of the audit key, so that what it signs is verified with it also after it was
// replaced. It is tried until the database takes it.
func (g *Gateway) rememberKey(ctx context.Context) error {
	public := g.auditKey.Public().(ed25519.PublicKey)
	g.log.InfoContext(ctx, "audit checkpoints, exports and proofs are signed", "key_id", audit.KeyID(public), "fingerprint", proof.KeyOf(public).Fingerprint)
	for {
		err := proof.Remember(ctx, g.db, public, g.now())
		if err == nil {
			return nil
		}
		g.log.WarnContext(ctx, "the audit key cannot be written down, trying again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}

func (g *Gateway) plays(role string) bool { return slices.Contains(g.config.Roles, role) }

// guarded is the client for addresses that customers and IdPs choose.
func (g *Gateway) guarded() *http.Client {
	return guard.Client(guard.Options{AllowPrivate: g.config.AllowPrivate, MaxBody: 1 << 20, Timeout: 10 * time.Second})
}

// Run plays the roles until ctx ends, then stops them in order: no new requests, requests and jobs
// under way finish within the grace period, then everything is closed. It returns the first error
// of a role, which stops the others too.
func (g *Gateway) Run(ctx context.Context) error {
	core.Ballast()
	defer g.db.Close()
	for _, one := range g.plugins {
		defer func() { _ = one.Close() }()
	}
	if g.browser != nil {
		defer func() {
			if err := g.browser.Close(); err != nil {
				g.log.WarnContext(ctx, "the browser did not close cleanly", "error", err)
			}
		}()
	}
	group, ctx := errgroup.WithContext(ctx)
	if g.auditKey != nil {
		group.Go(func() error { return g.rememberKey(ctx) })
	}
	if g.plays(RoleGateway) || g.plays(RoleWorker) { // where people leave, and where what follows is done
		group.Go(func() error { return g.takers.Run(ctx) })
		group.Go(func() error { return g.signals.KeepSettled(ctx) })
	}
	if g.plays(RoleGateway) && g.config.MailboxDomain != "" {
		group.Go(func() error { return g.receive(ctx) })
	}
	if !g.plays(RoleGateway) && g.config.Listen != "" {
		group.Go(func() error { return g.serve(ctx) })
	}
	for role, run := range map[string]func(context.Context) error{
		RoleGateway: g.serve, RoleWorker: g.work, RoleRelay: g.relay, RoleSink: g.sink,
	} {
		if g.plays(role) {
			group.Go(func() error {
				g.log.InfoContext(ctx, "role started", "role", role)
				err := run(ctx)
				g.log.InfoContext(ctx, "role stopped", "role", role)
				return err
			})
		}
	}
	return group.Wait()
}

// work runs the jobs, and what time alone asks for.
func (g *Gateway) work(ctx context.Context) error {
	handlers := &jobs.Handlers{}
	g.rotations.Register(handlers)
	g.passwords.Register(handlers)
	g.dryRuns.Register(handlers)
	g.imports.Register(handlers)
	g.mail.Register(handlers)
	g.posture.Register(handlers)
	worker, err := jobs.NewWorker(g.db, handlers, jobs.WorkerOptions{Concurrency: g.config.Concurrency, Grace: g.config.Grace, Log: g.log})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return worker.Run(ctx) })
	group.Go(func() error { return g.rotations.Run(ctx) })
	group.Go(func() error { return g.policies.Run(ctx) })
	group.Go(func() error { return g.imports.Run(ctx) })
	group.Go(func() error { return g.lifecycle.Run(ctx) })
	group.Go(func() error { return g.certificates.Run(ctx) })
	group.Go(func() error { return g.passwords.Run(ctx) })
	group.Go(func() error { return g.dryRuns.Run(ctx) })
	group.Go(func() error { return g.reviews.Run(ctx) })
	group.Go(func() error { return g.links.Run(ctx) })
	group.Go(func() error { return g.mailboxes.Run(ctx) })
	group.Go(func() error { return g.posture.Run(ctx) })
	group.Go(func() error { return g.services.Run(ctx) })
	group.Go(func() error { return g.signals.Run(ctx) })
	group.Go(func() error { return g.streams.Run(ctx) })
	group.Go(func() error { return g.told.run(ctx) })
	group.Go(func() error { return g.hooks.Run(ctx) })
	group.Go(func() error { return journal.Run(ctx, g.db, g.now, g.log) })
	group.Go(func() error { return postgres.KeepStatistics(ctx, g.db, g.log) })
	return group.Wait()
}

// Migrate brings the schema of a database up to date and returns the names of the migrations it
// applied. database is a URL or a reference.
func Migrate(ctx context.Context, database string) ([]string, error) {
	address, err := DatabaseURL(database)
	if err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, address.Reveal(), postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	applied, err := postgres.Migrate(ctx, db)
	if err != nil {
		return applied, err
	}
	return applied, jobs.Migrate(ctx, db)
}
