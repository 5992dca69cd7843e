package outlogout

import (
	"context"
	"net/http"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/webhooks/delivery"
)

// Kind is what lanes of targets are called, and targets in events.
const Kind = "logout_target"

// Service tells apps of logouts. Every field is needed except where it says otherwise.
type Service struct {
	DB         *postgres.DB
	Directory  *directory.Directory
	Deliveries *delivery.Deliveries
	// Sign signs for a workspace with RS256.
	Sign func(ctx context.Context, workspace core.ID, typ string, claims any) (string, error)
	// HTTP reaches apps. Their addresses are a customer's input: it must refuse private addresses.
	HTTP *http.Client
	// PublicURL is where the gateway is reached: the iss of tokens begins with it.
	PublicURL string
	// AllowPrivate lets targets have addresses without https.
	AllowPrivate bool
	Now          func() time.Time // nil: time.Now
	Wake         func()           // called after each commit with events, if set
}

// Issuer is the iss of a workspace's logout tokens: the same as of its security event tokens. The keys are at
// {PublicURL}/jwks/:workspace.
func (s *Service) Issuer(workspace core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/ssf/" + workspace.String()
}

// Carrier delivers to targets: ten attempts, the last a day after the one before.
func (s *Service) Carrier() delivery.Carrier {
	return delivery.Carrier{Carry: s.carry, Schedule: delivery.Standard()}
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) wake() {
	s.Deliveries.Nudge()
	if s.Wake != nil {
		s.Wake()
	}
}
