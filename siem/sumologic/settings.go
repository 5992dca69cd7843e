package sumologic

import (
	"cmp"
	"strings"
	"time"
	"unicode"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// Settings describe what is sent to a source. The zero value is a good default.
type Settings struct {
	Category       string            `json:"category,omitempty" doc:"_sourceCategory; postern/audit when empty"`
	Name           string            `json:"name,omitempty" doc:"_sourceName; postern when empty"`
	Host           string            `json:"host,omitempty" doc:"_sourceHost; left to the source when empty"`
	Fields         map[string]string `json:"fields,omitempty" doc:"Go with every event; Sumo Logic drops those its fields schema does not have"`
	MaxBytes       int               `json:"max_bytes,omitempty" doc:"Bytes of a request before compression. Default 1,000,000, the most a source takes."`
	TimeoutSeconds int               `json:"timeout_seconds,omitempty" doc:"Seconds one request may take. Default 40: the source itself gives up after 30."`
	TLS            transport.TLS     `json:"tls,omitzero" doc:"For what stands between Postern and the source"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	URL transport.Secret `json:"url" doc:"The HTTP Source Address, which is itself the secret"`
	Key transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
}

// smallest is the least size of a request that makes sense to Sumo Logic.
const smallest = 100_000

// Abilities are those of the kind. Its 200 comes before budgets are looked at.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{Asked: sink.Ability{Otherwise: "compare metadata.sequence in a search"}}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	for _, one := range []struct{ field, text string }{{"category", s.Category}, {"name", s.Name}, {"host", s.Host}} {
		if len(one.text) > 1024 || unsendable(one.text) {
			return core.Invalid(one.field, "at most 1024 printable ASCII characters")
		}
	}
	if len(s.Fields) > 30 {
		return core.Invalid("fields", "at most 30 fields")
	}
	for name, value := range s.Fields {
		if name == "" || len(name) > 255 || unsendable(name) || strings.ContainsAny(name, "=, ") {
			return core.Invalid("fields", "the name of a field has 1 to 255 printable ASCII characters, no space, comma or =")
		}
		if value == "" || len(value) > 200 || unsendable(value) || strings.Contains(value, ",") {
			return core.Invalid("fields."+name, "a value has 1 to 200 printable ASCII characters, no comma")
		}
	}
	switch {
	case s.MaxBytes != 0 && (s.MaxBytes < smallest || s.MaxBytes > 1_000_000):
		return core.Invalid("max_bytes", "100000 to 1000000: a source takes no more, and wants no less")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	}
	return s.TLS.Validate("tls")
}

func unsendable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
}

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 1_000_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 40)) * time.Second
}
