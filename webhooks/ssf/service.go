package ssf

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

// Service receives Shared Signals and manages the streams they come in. It is safe for concurrent use. What
// only reads streams needs DB alone; the other fields are needed except where they say otherwise.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Signals   *signals.Signals
	Vault     *vault.Vault
	// Keys are the transmitters' public keys.
	Keys jwt.Keys
	// HTTP reaches transmitters. Their addresses are a customer's input: it must refuse private addresses.
	HTTP *http.Client
	// Poll is for polling, which a transmitter may take its time to answer: more than LongPoll. nil: HTTP.
	Poll *http.Client
	// PublicURL is where transmitters reach the gateway, such as https://postern.example.com.
	PublicURL string
	// OpenSecret resolves a reference to a secret (file: or env:). nil: references cannot be used.
	OpenSecret func(reference string) (seal.Secret, error)
	// Sign signs for a workspace, for transmitters that want private_key_jwt. nil: it cannot be used.
	Sign func(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
	Log  *slog.Logger     // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
	Wake func()           // called after each commit, if set: there may be events to sequence
	Pace Pace

	once     sync.Once
	verifier *jwt.Verifier
	tokens   tokens
}

// Pace sets how often the poller does what. Zero values are good.
type Pace struct {
	Every   time.Duration // between two polls that brought nothing. Default 5 s
	Slow    time.Duration // the same, of a stream that is paused or disabled. Default 1 min
	Longest time.Duration // between two attempts while polling fails. Default 5 min
	Lease   time.Duration // how long a process that is silent keeps a stream. Default 90 s
	Look    time.Duration // between two looks for streams nobody polls. Default 1 s
	Keys    time.Duration // how long a token waits whose key is not known yet. Default 5 min
}

func (p Pace) filled() Pace {
	for _, one := range []struct {
		field    *time.Duration
		default_ time.Duration
	}{{&p.Every, 5 * time.Second}, {&p.Slow, time.Minute}, {&p.Longest, 5 * time.Minute}, {&p.Lease, 90 * time.Second}, {&p.Look, time.Second}, {&p.Keys, 5 * time.Minute}} {
		if *one.field <= 0 {
			*one.field = one.default_
		}
	}
	return p
}

// Mount adds the route that transmitters push to.
func (s *Service) Mount(router gin.IRouter) {
	router.POST("/webhooks/:connection/ssf/:stream", s.push)
}

// PushURL is the address a stream is pushed to.
func (s *Service) PushURL(connection, stream core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/" + connection.String() + "/ssf/" + stream.String()
}

// prepare fills in what the zero value leaves open, so that a literal is ready for use.
func (s *Service) prepare() {
	s.once.Do(func() {
		s.verifier = &jwt.Verifier{Keys: s.Keys, Now: s.now}
		s.tokens.known = map[core.ID]granted{}
	})
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) wake() {
	if s.Wake != nil {
		s.Wake()
	}
}

func (s *Service) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
