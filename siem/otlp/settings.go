package otlp

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// Settings are how a receiver is reached. The zero value of every field but URL is a good default.
type Settings struct {
	URL            string            `json:"url" doc:"A receiver of OTLP over HTTP, such as https://collector.example.com:4318; /v1/logs is added unless the address has a path"`
	Headers        map[string]string `json:"headers,omitempty" doc:"Go with every request, such as a tenant's name; secrets do not belong here"`
	ServiceName    string            `json:"service_name,omitempty" doc:"The resource's service.name; postern when empty"`
	MaxBytes       int               `json:"max_bytes,omitempty" doc:"Bytes of a request before compression. Default 1,000,000."`
	TimeoutSeconds int               `json:"timeout_seconds,omitempty" doc:"Seconds one request may take. Default 30."`
	TLS            transport.TLS     `json:"tls,omitzero" doc:"For receivers whose certificate is not from a public authority, or that ask for one"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	Authorization transport.Secret `json:"authorization,omitempty" doc:"The whole value of the Authorization header, such as Bearer and a token"`
	Key           transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
}

// Abilities are those of the kind. A collector answers before it has passed events on.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{Acknowledges: sink.Ability{Otherwise: "give the collector's exporter a persistent queue"}}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	if err := transport.Address("url", s.URL); err != nil {
		return err
	}
	for name, value := range s.Headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || len(value) > 4096:
			return core.Invalid("headers", "the header %q cannot be sent", core.Cut(name, 100))
		case canonical == "Authorization" || strings.Contains(canonical, "Api-Key") || strings.Contains(canonical, "Token"):
			return core.Invalid("headers", "%s is a secret: it belongs to the secrets, as the authorization", canonical)
		case canonical == "Content-Type" || canonical == "Content-Encoding" || canonical == "Host":
			return core.Invalid("headers", "%s is not yours to set", canonical)
		}
	}
	switch {
	case len(s.Headers) > 30:
		return core.Invalid("headers", "at most 30 headers")
	case len(s.ServiceName) > 200:
		return core.Invalid("service_name", "at most 200 bytes")
	case s.MaxBytes != 0 && (s.MaxBytes < 10_000 || s.MaxBytes > 10_000_000):
		return core.Invalid("max_bytes", "10000 to 10000000")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	}
	return s.TLS.Validate("tls")
}

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 1_000_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 30)) * time.Second
}
