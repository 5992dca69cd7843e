package webhook

import (
	"cmp"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// The forms of a body.
const (
	Array = "array" // one JSON array of documents
	Lines = "lines" // a document per line (application/x-ndjson)
)

// Settings are how an endpoint is reached. The zero value of every field but URL is a good default.
type Settings struct {
	URL            string        `json:"url" doc:"Where requests go"`
	Format         string        `json:"format,omitempty" doc:"array or lines; array when empty"`
	MaxEvents      int           `json:"max_events,omitempty" doc:"The most events of a request. Default 1000; 1 gives every event a message of its own, whose webhook-id is the event's id"`
	MaxBytes       int           `json:"max_bytes,omitempty" doc:"Bytes of a request. Default 256,000."`
	TimeoutSeconds int           `json:"timeout_seconds,omitempty" doc:"Seconds one request may take. Default 30."`
	TLS            transport.TLS `json:"tls,omitzero" doc:"For endpoints whose certificate is not from a public authority, or that ask for one"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	Signing  transport.Secret `json:"signing" doc:"whsec_ and base64 (a shared secret) or whsk_ and base64 (our Ed25519 key)"`
	Previous transport.Secret `json:"previous,omitempty" doc:"Signs too, while an endpoint learns the new one"`
	Key      transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
}

// Abilities are those of the kind. An endpoint says 2xx once it has the events.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{Acknowledges: sink.Ability{Able: true}}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	if err := transport.Address("url", s.URL); err != nil {
		return err
	}
	switch {
	case s.Format != "" && s.Format != Array && s.Format != Lines:
		return core.Invalid("format", "array or lines")
	case s.MaxEvents < 0 || s.MaxEvents > 10_000:
		return core.Invalid("max_events", "1 to 10000")
	case s.MaxBytes != 0 && (s.MaxBytes < 10_000 || s.MaxBytes > 5_000_000):
		return core.Invalid("max_bytes", "10000 to 5000000")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	}
	return s.TLS.Validate("tls")
}

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 256_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 30)) * time.Second
}
