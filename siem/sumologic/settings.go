package sumologic

import (
	"cmp"
	"strings"
	"time"
	"unicode"

	"postern/core"
	"postern/siem/transport"
)

// Settings describe what is sent to a source. The zero value is a good default.
type Settings struct {
	// Category, Name and Host are Sumo Logic's _sourceCategory, _sourceName and _sourceHost. Defaults postern/audit,
	// postern, and what the source says.
	Category string `json:"category,omitempty"`
	Name     string `json:"name,omitempty"`
	Host     string `json:"host,omitempty"`
	// Fields go with every event. Sumo Logic drops those that its fields schema does not have.
	Fields map[string]string `json:"fields,omitempty"`
	// MaxBytes is the size of a request before compression. Default 1,000,000, the most a source takes.
	MaxBytes int `json:"max_bytes,omitempty"`
	// TimeoutSeconds bounds one request. Default 40: the source itself gives up after 30.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// TLS is for what stands between Postern and the source.
	TLS transport.TLS `json:"tls,omitzero"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	// URL is the HTTP Source Address: whoever knows it can send.
	URL transport.Secret
	// Key belongs to the client certificate in TLS, in PEM.
	Key transport.Secret
}

// smallest is the least size of a request that makes sense to Sumo Logic.
const smallest = 100_000

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
