package sinks

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/vault"
	"postern/siem/ocsf"
	"postern/siem/sink"
	"postern/siem/stream"
)

// credentialsField is where the vault keeps a sink's credentials, as one JSON object.
const credentialsField = "credentials"

// Service manages the sinks of workspaces. Every field is needed except where it says otherwise.
type Service struct {
	DB     *postgres.DB
	Vault  *vault.Vault
	Kinds  map[string]sink.Kind
	Mapper ocsf.Mapper      // the relay's
	Log    *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
	Wake   func()           // called after each commit with events, if set
	Meter  Meter            // nil: nothing is counted
}

// now is the time as PostgreSQL keeps it.
func (s *Service) now() time.Time { return postgres.Now(s.Now) }

func (s *Service) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Service) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, work)
	if err == nil && s.Wake != nil {
		s.Wake()
	}
	return postgres.Classify(err)
}

// open makes the receiver of a sink, and what redacts for it.
func (s *Service) open(ctx context.Context, one Sink) (sink.Receiver, redactor, error) {
	redacts := redactor{redactions: one.Redaction}
	if len(one.Redaction) > 0 {
		err := s.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
			redacts.key, err = s.Vault.Key(ctx, tx, one.Workspace, hashKey)
			return err
		})
		if err != nil {
			return nil, redacts, err
		}
	}
	kind, there := s.Kinds[one.Kind]
	if !there {
		return nil, redacts, core.Invalid("kind", "this release has no sink of the kind %s", one.Kind)
	}
	credentials, err := s.credentials(ctx, s.DB, one)
	if err != nil {
		return nil, redacts, err
	}
	receiver, err := kind.Build(one.Settings, credentials)
	return receiver, redacts, err
}

func (s *Service) credentials(ctx context.Context, q postgres.Querier, one Sink) (map[string]seal.Secret, error) {
	if one.SecretVersion == 0 {
		return map[string]seal.Secret{}, nil
	}
	sealed, err := s.Vault.Open(ctx, q, one.Workspace, one.ID, credentialsField, one.SecretVersion)
	if err != nil {
		return nil, err
	}
	var texts map[string]string
	if err := json.Unmarshal([]byte(sealed.Reveal()), &texts); err != nil {
		return nil, core.Internal(err)
	}
	credentials := map[string]seal.Secret{}
	for name, text := range texts {
		credentials[name] = seal.NewSecret(text)
	}
	return credentials, nil
}

// seal keeps credentials under the next version. None are kept as version 0.
func (s *Service) seal(ctx context.Context, tx pgx.Tx, one *Sink, credentials map[string]seal.Secret) error {
	texts := map[string]string{}
	one.Credentials = []string{}
	for _, field := range s.Kinds[one.Kind].Fields {
		if secret := credentials[field.Name]; field.Credential && !secret.IsZero() {
			texts[field.Name] = secret.Reveal()
			one.Credentials = append(one.Credentials, field.Name)
		}
	}
	encoded, err := json.Marshal(texts)
	if err != nil {
		return core.Internal(err)
	}
	home, err := s.Vault.Prepare(ctx, tx, one.Workspace)
	if err != nil {
		return err
	}
	one.SecretVersion++
	return s.Vault.Put(ctx, tx, one.Workspace, home, one.ID, credentialsField, one.SecretVersion, seal.NewSecret(string(encoded)))
}

// events are the documents of records.
func (s *Service) events(records []audit.Record) ([]stream.Event, error) {
	events := make([]stream.Event, len(records))
	for i, record := range records {
		value, err := s.Mapper.Map(record)
		if err != nil {
			return nil, err
		}
		events[i] = stream.NewEvent(record, value)
	}
	return events, nil
}
