package oidc

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/postgres"
	"postern/core/seal"
)

// Service is the relying party. DB, Directory, HTTP, Keys and PublicURL are needed. Use it by pointer.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	// HTTP reaches the IdPs. Their addresses are a tenant's input: it should refuse private addresses,
	// cap answers and time out.
	HTTP *http.Client
	// Keys finds the public keys IdPs sign with.
	Keys jwt.Keys
	// PublicURL is how browsers reach Postern, such as https://postern.example, without a path.
	PublicURL string
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: nothing is logged
	// OpenSecret reads the client secret a connection refers to. It is asked at every sign-in, so a
	// changed secret works at once.
	OpenSecret func(reference string) (seal.Secret, error)
	// Signer makes the assertions of connections that authenticate with the workspace's key. Nil: they
	// cannot be used.
	Signer Signer
	// Signals is where logouts of IdPs go. Without it the doors of back-channel and front-channel logout are
	// not there.
	Signals Receiver

	providers providers
	sole      soleWorkspace
	prepared  sync.Once
	strangers audit.Throttle // of failed sign-ins of nobody the IdP vouched for
	known     audit.Throttle // and of somebody it did
}

// throttle is the one for a failed sign-in.
func (s *Service) throttle(who identity) *audit.Throttle {
	s.prepared.Do(func() {
		s.strangers.Burst, s.strangers.Every = 30, 10*time.Second
		s.known.Burst, s.known.Every = 60, time.Second
	})
	if who.subject == "" {
		return &s.strangers
	}
	return &s.known
}

// Mount adds the routes.
func (s *Service) Mount(router gin.IRouter) {
	sso := router.Group("/sso")
	sso.GET("", s.choose)
	sso.GET("/signed-out", s.showSignedOut)
	sso.POST("/sign-out", s.signOut)
	sso.GET("/step-up", s.startStepUp)
	sso.GET("/:connection/start", s.start)
	sso.GET("/:connection/callback", s.callback)
	if s.Signals != nil {
		sso.GET("/:connection/frontchannel-logout", s.frontchannelLogout)
		sso.POST("/:connection/backchannel-logout", s.backchannelLogout)
	}
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Service) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}

func (s *Service) redirectURI(connection core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/sso/" + connection.String() + "/callback"
}

func (s *Service) signedOutURI() string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/sso/signed-out"
}

// connection finds the connection a path names, with sign-in configured.
func (s *Service) connection(c *gin.Context) (directory.Connection, error) {
	missing := core.NotFound("connection").WithCode(codeNoConnection)
	id, err := core.ParseID(c.Param("connection"))
	if err != nil || id.IsZero() {
		return directory.Connection{}, missing
	}
	connection, err := s.Directory.ConnectionByID(c.Request.Context(), s.DB, id)
	if core.KindOf(err) == core.KindNotFound || (err == nil && (connection.Issuer == "" || connection.ClientID == "")) {
		return directory.Connection{}, missing
	}
	return connection, err
}

// cause begins the story of a request.
func (s *Service) cause(c *gin.Context, actor core.Actor) core.Cause {
	cause := core.NewCause(actor, s.now())
	agent := c.Request.UserAgent()
	cause.Origin = core.Origin{Address: c.ClientIP(), UserAgent: strings.ToValidUTF8(agent[:min(len(agent), 200)], "")}
	return cause
}
