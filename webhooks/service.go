package webhooks

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/postgres"
	"postern/core/signals"
	"postern/webhooks/origins"
)

// Receiver is the pipeline every signal goes through: signals.Signals.
type Receiver interface {
	Receive(ctx context.Context, cause core.Cause, signal signals.Signal, once *signals.Once) (signals.Receipt, error)
	Refused(ctx context.Context, refusal signals.Refusal)
}

// Service receives what identity providers tell on their own. Every field is needed except Now.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Signals   Receiver
	// Keys finds the public keys identity providers sign with.
	Keys jwt.Keys
	// PublicURL is where identity providers reach the gateway, such as https://postern.example.com:
	// a token's audience is an address below it.
	PublicURL string
	Log       *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time

	once        sync.Once
	verifier    *jwt.Verifier
	connections remembered
	failures    origins.Failures
	work        work
}

// Mount adds the routes.
func (s *Service) Mount(router gin.IRouter) {
	router.POST("/webhooks/:connection/universal-logout", s.universalLogout)
	router.GET(metadataPath+"/webhooks/:connection", s.metadata)
}

// LogoutURL is the address a connection's identity provider sends Universal Logout to, and the
// audience of its tokens.
func (s *Service) LogoutURL(connection core.ID) string {
	return s.issuer(connection) + "/universal-logout"
}

// issuer is what the metadata calls Postern in the eyes of one connection.
func (s *Service) issuer(connection core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/" + connection.String()
}

// judge is the verifier of all tokens.
func (s *Service) judge() *jwt.Verifier {
	s.once.Do(func() { s.verifier = &jwt.Verifier{Keys: s.Keys, Now: s.now} })
	return s.verifier
}

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}
