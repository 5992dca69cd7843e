package outgoing

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/vault"
	"postern/webhooks/delivery"
)

// Kind is what lanes of webhooks are called, and webhooks in events.
const Kind = "webhook"

// MaxBody is the most a message has, as the specification advises.
const MaxBody = 20_000

// Service manages webhooks and delivers to them. Every field is needed except where it says otherwise.
type Service struct {
	DB         *postgres.DB
	Vault      *vault.Vault
	Deliveries *delivery.Deliveries
	// HTTP reaches endpoints. Their addresses are a customer's input: it must refuse private addresses. It needs
	// a timeout of 15 to 30 s.
	HTTP *http.Client
	// AllowPrivate lets endpoints be reached without https.
	AllowPrivate bool
	Log          *slog.Logger     // nil: nothing is logged
	Now          func() time.Time // nil: time.Now
	Wake         func()           // called after each commit with events, if set
}

// Carrier delivers to webhooks: ten attempts in four days.
func (s *Service) Carrier() delivery.Carrier {
	return delivery.Carrier{Carry: s.carry, Schedule: delivery.Standard()}
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, work)
	if err == nil {
		s.Deliveries.Nudge()
		if s.Wake != nil {
			s.Wake()
		}
	}
	return postgres.Classify(err)
}

func (s *Service) warn(ctx context.Context, text string, webhook core.ID, err error) {
	if s.Log != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("webhook", webhook.String()), slog.Any("error", err)) //nolint:sloglint // the callers' texts are constants
	}
}
