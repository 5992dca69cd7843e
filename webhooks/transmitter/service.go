package transmitter

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/vault"
	"postern/webhooks/delivery"
	"postern/webhooks/origins"
)

// Kind is what lanes of receivers are called, and receivers in events.
const Kind = "receiver"

// MinVerification is how long a receiver waits between two verifications (min_verification_interval).
const MinVerification = 10 * time.Second

// LongPoll is how long a poll is held until there is something to tell.
const LongPoll = 20 * time.Second

// Service is the transmitter. Every field is needed except where it says otherwise.
type Service struct {
	DB         *postgres.DB
	Directory  *directory.Directory
	Vault      *vault.Vault
	Deliveries *delivery.Deliveries
	// Sign signs for a workspace with RS256.
	Sign func(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
	// HTTP reaches receivers. Their addresses are their own input: it must refuse private addresses.
	HTTP *http.Client
	// PublicURL is where receivers reach the gateway, such as https://postern.example.com.
	PublicURL string
	// AllowPrivate lets streams be pushed to addresses without https.
	AllowPrivate bool
	Log          *slog.Logger     // nil: nothing is logged
	Now          func() time.Time // nil: time.Now
	Wake         func()           // called after each commit with events, if set

	polls    polls
	failures origins.Failures // wrong secrets at the token endpoint
	refused  audit.Throttle   // events of them
}

// Mount adds the routes receivers use.
func (s *Service) Mount(router gin.IRouter) {
	s.refused.Burst, s.refused.Every = 5, 10*time.Second
	router.GET("/.well-known/ssf-configuration/ssf/:workspace", s.metadata)
	router.GET("/.well-known/oauth-protected-resource/ssf/:workspace", s.resource)
	router.GET("/.well-known/oauth-authorization-server/ssf/:workspace", s.authorizationServer)
	group := router.Group("/ssf/:workspace")
	group.POST("/token", s.token)
	for _, route := range []struct {
		method, path, scope string
		handle              func(c *gin.Context, by caller) error
	}{
		{http.MethodPost, "/stream", ScopeManage, s.create},
		{http.MethodGet, "/stream", ScopeRead, s.read},
		{http.MethodPatch, "/stream", ScopeManage, s.update},
		{http.MethodPut, "/stream", ScopeManage, s.replace},
		{http.MethodDelete, "/stream", ScopeManage, s.delete},
		{http.MethodGet, "/status", ScopeRead, s.status},
		{http.MethodPost, "/status", ScopeManage, s.setStatus},
		{http.MethodPost, "/subjects/add", ScopeManage, s.addSubject},
		{http.MethodPost, "/subjects/remove", ScopeManage, s.removeSubject},
		{http.MethodPost, "/verify", ScopeManage, s.verify},
		{http.MethodPost, "/poll", ScopeRead, s.poll},
	} {
		group.Handle(route.method, route.path, s.guard(route.scope, route.handle))
	}
}

// Issuer is the iss of a workspace's tokens, and what a receiver is told to discover.
func (s *Service) Issuer(workspace core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/ssf/" + workspace.String()
}

// Discovery is where a workspace's metadata is: the well-known part stands between host and path.
func (s *Service) Discovery(workspace core.ID) string {
	base := strings.TrimSuffix(s.PublicURL, "/")
	return base + "/.well-known/ssf-configuration/ssf/" + workspace.String()
}

// at is an address of a workspace.
func (s *Service) at(workspace core.ID, path string) string { return s.Issuer(workspace) + path }

// Carrier delivers to streams that are pushed.
func (s *Service) Carrier() delivery.Carrier {
	return delivery.Carrier{Carry: s.push, Schedule: delivery.Patient()}
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) wake() {
	s.Deliveries.Nudge()
	if s.Wake != nil {
		s.Wake()
	}
}
