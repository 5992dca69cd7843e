package splunk

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// Settings are how a collector is reached. The zero value of every field but URLs is a good default.
type Settings struct {
	URLs          []string `json:"urls" doc:"HTTP Event Collectors, used in turn, such as https://splunk.example.com:8088; in Splunk Cloud https://http-inputs-<stack>.splunkcloud.com:443"`
	Index         string   `json:"index,omitempty" doc:"Where events go; the token's default index when empty"`
	FallbackIndex string   `json:"fallback_index,omitempty" doc:"Where they go while Splunk refuses the index; the sink pauses when empty"`
	Host          string   `json:"host,omitempty" doc:"postern when empty"`
	Source        string   `json:"source,omitempty" doc:"postern when empty"`
	SourceType    string   `json:"source_type,omitempty" doc:"postern:ocsf when empty"`

	Acknowledge        bool `json:"acknowledge,omitempty" doc:"Wait until an indexer has written the events; the token needs \"Enable indexer acknowledgment\""`
	AcknowledgeSeconds int  `json:"acknowledge_seconds,omitempty" doc:"Seconds before events are sent again. Default and least 300: an indexer writes what does not fill a block after two minutes."`

	MaxBytes       int           `json:"max_bytes,omitempty" doc:"Bytes of a request before compression. Default 1,000,000, what Splunk recommends."`
	TimeoutSeconds int           `json:"timeout_seconds,omitempty" doc:"Seconds one request may take. Default 60."`
	TLS            transport.TLS `json:"tls,omitzero" doc:"For collectors whose certificate is not from a public authority, or that ask for one"`

	SearchURL string `json:"search_url,omitempty" doc:"Management port, such as https://splunk.example.com:8089: to ask what Splunk holds"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	Token       transport.Secret `json:"token" doc:"The HEC token"`
	Previous    transport.Secret `json:"previous,omitempty" doc:"Another token, tried while the first one is refused: an exchange of tokens needs no timing"`
	Key         transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
	SearchToken transport.Secret `json:"search_token,omitempty" doc:"Authentication token of a user who may search the index"`
}

// Abilities are those of the kind. Only an indexer's acknowledgement says that events were written.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{
		Asked:        sink.Ability{Able: true, Needs: []string{"search_url", "search_token"}},
		Acknowledges: sink.Ability{Able: true, Needs: []string{"acknowledge"}},
	}
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
	if s.SearchURL != "" {
		if err := transport.Address("search_url", s.SearchURL); err != nil {
			return err
		}
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
