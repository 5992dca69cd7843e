package webhooks

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/lifecycle"
	"postern/core/postgres"
)

// Service receives what identity providers tell on their own. Every field is needed except Now.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Lifecycle *lifecycle.Lifecycle
	// Keys finds the public keys identity providers sign with.
	Keys jwt.Keys
	// PublicURL is where identity providers reach the gateway, such as https://postern.example.com:
	// a token's audience is an address below it.
	PublicURL string
	Log       *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time

	once      sync.Once
	verifier  *Verifier
	strangers audit.Throttle // of refusals before the token was verified
	known     audit.Throttle // and after
}

// Mount adds the routes.
func (s *Service) Mount(router gin.IRouter) {
	router.POST("/webhooks/:connection/universal-logout", s.universalLogout)
}

// LogoutURL is the address a connection's identity provider sends Universal Logout to, and the
// audience of its tokens.
func (s *Service) LogoutURL(connection core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/" + connection.String() + "/universal-logout"
}

// prepare fills in what the zero value leaves open, so that a literal is ready for use.
func (s *Service) prepare() *Verifier {
	s.once.Do(func() {
		s.verifier = &Verifier{Keys: s.Keys, Now: s.now}
		s.strangers.Burst, s.strangers.Every = 5, 10*time.Second
		s.known.Burst, s.known.Every = 60, time.Second
	})
	return s.verifier
}

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// issuers are the names a connection's identity provider may sign as.
func issuers(connection directory.Connection) []string {
	var all []string
	if connection.Issuer != "" {
		all = append(all, connection.Issuer)
	}
	return append(all, connection.LogoutIssuers...)
}
