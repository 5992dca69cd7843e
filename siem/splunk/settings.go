package splunk

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"postern/core"
	"postern/siem/transport"
)

// Settings are how a collector is reached. The zero value of every field but URLs is a good default.
type Settings struct {
	// URLs are the endpoints, used in turn: https://splunk.example.com:8088, or in Splunk Cloud
	// https://http-inputs-<stack>.splunkcloud.com:443. With or without the collector's path.
	URLs []string `json:"urls"`
	// Index is where events go. Empty: the token's default index.
	Index string `json:"index,omitempty"`
	// FallbackIndex is where they go while Splunk refuses Index. Empty: the sink pauses.
	FallbackIndex string `json:"fallback_index,omitempty"`
	// Host, Source and SourceType describe events. Defaults postern, postern and postern:ocsf.
	Host       string `json:"host,omitempty"`
	Source     string `json:"source,omitempty"`
	SourceType string `json:"source_type,omitempty"`

	// Acknowledge waits until an indexer has written the events. The token needs "Enable indexer acknowledgment".
	Acknowledge bool `json:"acknowledge,omitempty"`
	// AcknowledgeSeconds is for how long, before events are sent again. Default and least 300: an indexer writes
	// what does not fill a block after two minutes.
	AcknowledgeSeconds int `json:"acknowledge_seconds,omitempty"`

	// MaxBytes is the size of a request before compression. Default 1,000,000, what Splunk recommends.
	MaxBytes int `json:"max_bytes,omitempty"`
	// TimeoutSeconds bounds one request. Default 60.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// TLS is for collectors whose certificate is not from a public authority, or that ask for one.
	TLS transport.TLS `json:"tls,omitzero"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	Token transport.Secret
	// Previous is tried when Token is refused: while tokens are exchanged, nothing has to be timed. It may be nil.
	Previous transport.Secret
	// Key belongs to the client certificate in TLS, in PEM.
	Key transport.Secret
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	if len(s.URLs) == 0 || len(s.URLs) > 64 {
		return core.Invalid("urls", "1 to 64 addresses are needed, such as https://splunk.example.com:8088")
	}
	for place, one := range s.URLs {
		field := fmt.Sprintf("urls[%d]", place)
		if err := transport.Address(field, one); err != nil {
			return err
		}
		if strings.HasSuffix(strings.TrimRight(one, "/"), "/raw") {
			return core.Invalid(field, "events go to the collector, not to its raw endpoint: leave the path out")
		}
	}
	for field, index := range map[string]string{"index": s.Index, "fallback_index": s.FallbackIndex} {
		if strings.ContainsFunc(index, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-", r) }) || len(index) > 80 {
			return core.Invalid(field, "an index has lower case letters, digits, _ and -")
		}
	}
	for field, text := range map[string]string{"host": s.Host, "source": s.Source, "source_type": s.SourceType} {
		if len(text) > 200 || text != strings.TrimSpace(text) {
			return core.Invalid(field, "at most 200 bytes, without space around them")
		}
	}
	switch {
	case s.FallbackIndex != "" && s.FallbackIndex == s.Index:
		return core.Invalid("fallback_index", "another index than index is needed")
	case s.AcknowledgeSeconds != 0 && (s.AcknowledgeSeconds < 300 || s.AcknowledgeSeconds > 3600):
		return core.Invalid("acknowledge_seconds", "300 to 3600: an indexer may take more than two minutes to write a block")
	case s.AcknowledgeSeconds != 0 && !s.Acknowledge:
		return core.Invalid("acknowledge_seconds", "this is for acknowledge")
	case s.MaxBytes != 0 && (s.MaxBytes < 10_000 || s.MaxBytes > 1_000_000):
		return core.Invalid("max_bytes", "10000 to 1000000: more is not recommended by Splunk")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	}
	return s.TLS.Validate("tls")
}

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 1_000_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 60)) * time.Second
}

func (s Settings) patience() time.Duration {
	return time.Duration(cmp.Or(s.AcknowledgeSeconds, 300)) * time.Second
}
