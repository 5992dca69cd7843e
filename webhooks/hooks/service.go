package hooks

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/vault"
)

// Service receives hooks and manages them. It is safe for concurrent use. Every field is needed except where it
// says otherwise.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Signals   *signals.Signals
	Vault     *vault.Vault
	// Keys are public keys of senders that sign with a JWT.
	Keys jwt.Keys
	// HTTP reaches senders' APIs. Their addresses are a customer's input: it must refuse private addresses.
	HTTP *http.Client
	// PublicURL is where senders reach the gateway, such as https://postern.example.com.
	PublicURL string
	// OpenSecret resolves a reference to a secret (file: or env:). nil: references cannot be used.
	OpenSecret func(reference string) (seal.Secret, error)
	// Sign signs for a workspace: an OAuth client of Okta proves itself so. nil: it cannot be used.
	Sign func(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
	Log  *slog.Logger     // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
	Wake func()           // called after a commit with events, if set
	// Look is how often the worker looks for what is due: what Microsoft Graph told waits for it. Default 250 ms.
	Look time.Duration
	// Every is how long after one look at the System Log, or at all users, the next one comes by itself.
	// Default 15 min.
	Every time.Duration

	once     sync.Once
	verifier *jwt.Verifier
}

// Mount adds the doors.
func (s *Service) Mount(router gin.IRouter) {
	router.GET("/webhooks/:connection/okta", s.challenge)
	router.POST("/webhooks/:connection/okta", s.door(Okta, s.okta))
	router.POST("/webhooks/:connection/graph", s.door(Graph, s.graph))
	router.POST("/webhooks/:connection/standard/:hook", s.door(Standard, s.standard))
	router.POST("/webhooks/:connection/signed/:hook", s.door(Signed, s.signed))
}

// URL is the address a hook's sender is given.
func (s *Service) URL(hook Hook) string {
	address := strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/" + hook.Connection.String() + "/" + string(hook.Kind)
	if hook.Kind == Standard || hook.Kind == Signed {
		address += "/" + hook.ID.String()
	}
	return address
}

func (s *Service) judge() *jwt.Verifier {
	s.once.Do(func() { s.verifier = &jwt.Verifier{Keys: s.Keys, Now: s.now} })
	return s.verifier
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) wake() {
	if s.Wake != nil {
		s.Wake()
	}
}

func (s *Service) warn(ctx context.Context, text string, hook core.ID, err error) {
	if s.Log != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("hook", hook.String()), slog.Any("error", err)) //nolint:sloglint // the callers' texts are constants
	}
}
