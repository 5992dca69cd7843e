package elasticsearch

import (
	"cmp"
	"strings"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// Settings are how Elasticsearch is reached. The zero value of every field but URL is a good default.
type Settings struct {
	URL            string        `json:"url" doc:"Where it listens, such as https://elasticsearch.example.com:9200, with its path if it has one"`
	Index          string        `json:"index,omitempty" doc:"A data stream, an alias or an index; logs-postern-default when empty, a data stream that Elasticsearch makes by itself"`
	Pipeline       string        `json:"pipeline,omitempty" doc:"An ingest pipeline to go through; the index's own when empty"`
	Username       string        `json:"username,omitempty" doc:"For basic authentication; an API key is used when empty"`
	MaxBytes       int           `json:"max_bytes,omitempty" doc:"Bytes of a request before compression. Default 5,000,000."`
	TimeoutSeconds int           `json:"timeout_seconds,omitempty" doc:"Seconds one request may take. Default 90: Elasticsearch waits a minute for shards itself."`
	TLS            transport.TLS `json:"tls,omitzero" doc:"For a certificate that is not from a public authority, or a server that asks for one"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once. One of the first two is needed.
type Secrets struct {
	APIKey   transport.Secret `json:"api_key,omitempty" doc:"Encoded, as Elasticsearch shows it"`
	Password transport.Secret `json:"password,omitempty" doc:"Of the user"`
	Key      transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
}

// Abilities are those of the kind. Its answer tells of each event that it was written.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{Asked: sink.Ability{Able: true}, Acknowledges: sink.Ability{Able: true}}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	if err := transport.Address("url", s.URL); err != nil {
		return err
	}
	// "Index name limitations" of the create index API.
	if s.Index != "" && (len(s.Index) > 255 || s.Index != strings.ToLower(s.Index) || strings.ContainsAny(s.Index, "\\/*?\"<>| ,#:%&\t\r\n") || strings.ContainsAny(s.Index[:1], "-_+.")) {
		return core.Invalid("index", "a name has lower case letters and does not begin with -, _, + or a dot; none of \\ / * ? \" < > | , # : %% & and space is in it")
	}
	switch {
	case strings.ContainsAny(s.Pipeline, "/?&#% \t\r\n") || len(s.Pipeline) > 255:
		return core.Invalid("pipeline", "the name of an ingest pipeline is needed")
	case strings.ContainsAny(s.Username, ":\r\n") || len(s.Username) > 1024:
		return core.Invalid("username", "a user name has no colon")
	case s.MaxBytes != 0 && (s.MaxBytes < 10_000 || s.MaxBytes > 50_000_000):
		return core.Invalid("max_bytes", "10000 to 50000000: Elasticsearch takes no more than 100 MB")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	}
	return s.TLS.Validate("tls")
}

func (s Settings) index() string { return cmp.Or(s.Index, "logs-postern-default") }

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 5_000_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 90)) * time.Second
}
