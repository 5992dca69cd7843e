package api

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/directory"
	"postern/core/dryruns"
	"postern/core/health"
	"postern/core/importing"
	"postern/core/lifecycle"
	"postern/core/links"
	"postern/core/mailbox"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/services"
	"postern/core/signals"
	"postern/core/signing"
	"postern/gateway/activity"
	"postern/gateway/denied"
	"postern/gateway/problem"
	"postern/siem/sinks"
	"postern/webhooks/hooks"
	"postern/webhooks/outgoing"
	"postern/webhooks/outlogout"
	"postern/webhooks/sms"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// Service is the API. Every field is needed except Now, Wake, AuditKey, Product and Rate.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	// Connectors are asked for what they can do, and for nothing else.
	Connectors rotation.Connectors
	Rotations  *rotation.Rotations
	Lifecycle  *lifecycle.Lifecycle
	Policies   *policies.Policies
	Imports    *importing.Imports
	Signals    *signals.Signals
	Streams    *ssf.Service
	Receivers  *transmitter.Service
	Hooks      *hooks.Service
	Webhooks   *outgoing.Service
	Logouts    *outlogout.Service
	Sinks      *sinks.Service
	Signing    *signing.Signing
	// Certificates says what became of the passwords of who left.
	Certificates *certificates.Certificates
	// Health checks passwords and says how they are.
	Health *health.Health
	// Mailboxes keeps what apps send to accounts.
	Mailboxes *mailbox.Mailboxes
	// SMS is the door for text messages.
	SMS *sms.Service
	// DryRuns tells whether passwords of an app could be changed.
	DryRuns *dryruns.DryRuns
	// Posture says how well the accounts are kept.
	Posture *posture.Posture
	// Services keeps the service accounts, and sees where they are used.
	Services *services.Services
	// Reviews asks those who answer for access whether it is still needed.
	Reviews *reviews.Reviews
	// Links are public shares, and guests.
	Links *links.Links
	// AuditKey signs exports and proofs of the audit log, as it does the log's checkpoints.
	AuditKey ed25519.PrivateKey
	// Product is the name and version that exports tell.
	Product string
	Log     *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Wake tells the sequencer that events were committed.
	Wake func()
	// Rate is how many requests a second a service account may send, four seconds' worth at once. Default
	// DefaultRate.
	Rate int

	denied   *denied.Recorder
	limits   limits
	reads    readers
	matching chan struct{} // one for each change that looks again before its commit

	listeners activity.Places // of tails and downloads
	uploads   chan struct{}   // one for each file that is in memory
	closing   chan struct{}
	closed    sync.Once
}

const base = "/api/v1"

// Mount adds the routes.
func (s *Service) Mount(router gin.IRouter) {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Postern", Version: "1",
				Description: "Shared accounts, who may use them, and the proof of every rotation. Authenticate with a service account's token.",
			},
			Components: &huma.Components{
				Schemas: newRegistry(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					security: {Type: "http", Scheme: "bearer", Description: "A service account's token, pst_api_…. " + scopeRule},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{asProblem},
	}
	config.RejectUnknownQueryParameters = true
	s.closing, s.uploads = make(chan struct{}), make(chan struct{}, 2)
	s.denied = denied.NewRecorder(s.DB, s.Log, s.now, s.wake, base)
	s.reads, s.matching = readers{}, make(chan struct{}, max(1, s.DB.Config().MaxConns/2))
	api := huma.NewAPI(config, adapter{router, s.reads})
	api.UseMiddleware(s.authenticate, s.limit, sized, filled, s.once, s.unchanged)
	s.apps(api)
	s.recipes(api)
	s.dryRuns(api)
	s.accounts(api)
	s.totp(api)
	s.backupCodes(api)
	s.mailbox(api)
	s.smsProviders(api)
	s.grants(api)
	s.rotations(api)
	s.switches(api)
	s.logins(api)
	s.paces(api)
	s.links(api)
	s.guests(api)
	s.partners(api)
	s.health(api)
	s.people(api)
	s.departures(api)
	s.signingKeys(api)
	s.sessions(api)
	s.connections(api)
	s.requests(api)
	s.holds(api)
	s.signals(api)
	s.streams(api)
	s.receivers(api)
	s.logoutTargets(api)
	s.hooks(api)
	s.webhooks(api)
	s.policies(api)
	s.certificates(api)
	s.posture(api)
	s.serviceAccounts(api)
	s.serviceCredentials(api)
	s.serviceFindings(api)
	s.reviews(api)
	s.succession(api)
	s.proposals(api)
	s.signalPolicies(api)
	s.signalHolds(api)
	s.imports(api)
	s.activity(api)
	s.proofs(api)
	s.legalHold(api)
	s.sinks(api)
	tidy(api.OpenAPI())
	s.describeHeaders(api.OpenAPI())
	document, err := json.MarshalIndent(api.OpenAPI(), "", "\t")
	router.GET(base+"/openapi.json", func(c *gin.Context) {
		if err != nil {
			problem.Write(c, core.Internal(err))
			return
		}
		c.Header("Cache-Control", "public, max-age=300")
		c.Data(http.StatusOK, "application/openapi+json", document)
	})
}

// Close ends what streams, so that a server can shut down without waiting for whoever listens.
func (s *Service) Close() { s.closed.Do(func() { close(s.closing) }) }

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Service) wake() {
	if s.Wake != nil {
		s.Wake()
	}
}

// adapter mounts huma's operations on any gin router.
type adapter struct {
	router gin.IRouter
	reads  readers
}

// Handle implements huma.Adapter.
func (a adapter) Handle(operation *huma.Operation, handler func(huma.Context)) {
	path := strings.NewReplacer("{", ":", "}", "").Replace(operation.Path)
	a.router.Handle(operation.Method, path, func(c *gin.Context) {
		handler(&exchange{inner: humagin.NewContext(operation, c)})
	})
}

// ServeHTTP implements huma.Adapter. The gin engine serves, not the adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// exchange answers faults of validation with 400 as every other part does, where huma would say 422,
// and so too a body that broke off, where huma would say 500.
type exchange struct {
	inner
	broken bool
}

// inner is huma's context under a name that does not hide its own Context method.
type inner = huma.Context

// SetStatus implements huma.Context.
func (e *exchange) SetStatus(status int) {
	if e.broken && status == http.StatusInternalServerError {
		status = http.StatusBadRequest
	}
	e.inner.SetStatus(plain(status))
}

// BodyReader implements huma.Context.
func (e *exchange) BodyReader() io.Reader { return &body{e.inner.BodyReader(), e} }

// body notes when the client's body cannot be read to its end.
type body struct {
	io.Reader
	of *exchange
}

// Read implements io.Reader.
func (b *body) Read(into []byte) (int, error) {
	read, err := b.Reader.Read(into)
	b.of.broken = b.of.broken || err != nil && !errors.Is(err, io.EOF)
	return read, err
}

// Unwrap lets humagin find its own context.
func (e *exchange) Unwrap() huma.Context { return e.inner }

func plain(status int) int {
	if status == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return status
}
