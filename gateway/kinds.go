package gateway

import (
	"strings"

	"postern/connectors/guard"
	"postern/core"
	"postern/siem/elasticsearch"
	"postern/siem/jsonl"
	"postern/siem/otlp"
	"postern/siem/sink"
	"postern/siem/splunk"
	"postern/siem/sumologic"
	"postern/siem/syslog"
	"postern/siem/transport"
	"postern/siem/webhook"
)

// reaches says where sinks may lead.
type reaches struct {
	AllowPrivate bool // also to private addresses, and there without TLS
}

// kinds lists what workspaces can make sinks of. Files are for operators alone: they lie on the gateway's own disk.
func (r reaches) kinds() map[string]sink.Kind {
	dial := (&guard.Dialer{AllowPrivate: r.AllowPrivate}).DialContext
	return map[string]sink.Kind{
		"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
			if err := r.encrypted("urls", s.URLs...); err != nil {
				return nil, err
			}
			if err := r.encrypted("search_url", s.SearchURL); err != nil {
				return nil, err
			}
			return splunk.New(s, c, dial)
		}),
		"sumologic": sink.NewKind("Sumo Logic", func(s sumologic.Settings, c sumologic.Secrets) (sink.Receiver, error) {
			address, err := transport.Open(c.URL, "the HTTP source address")
			if err != nil {
				return nil, core.Invalid("url", "%s", core.AsError(err).Message)
			}
			if err := r.encrypted("url", address.Reveal()); err != nil {
				return nil, err
			}
			return sumologic.New(s, c, dial)
		}),
		"otlp": sink.NewKind("OpenTelemetry", func(s otlp.Settings, c otlp.Secrets) (sink.Receiver, error) {
			if err := r.encrypted("url", s.URL); err != nil {
				return nil, err
			}
			return otlp.New(s, c, dial)
		}),
		"elasticsearch": sink.NewKind("Elasticsearch", func(s elasticsearch.Settings, c elasticsearch.Secrets) (sink.Receiver, error) {
			if err := r.encrypted("url", s.URL); err != nil {
				return nil, err
			}
			return elasticsearch.New(s, c, dial)
		}),
		"syslog": sink.NewKind("Syslog", func(s syslog.Settings, c syslog.Secrets) (sink.Receiver, error) {
			if s.Plain && !r.AllowPrivate {
				return nil, core.Invalid("plain", "TLS is needed: events must not travel in clear")
			}
			return syslog.New(s, c, dial)
		}),
		"webhook": sink.NewKind("Webhook", func(s webhook.Settings, c webhook.Secrets) (sink.Receiver, error) {
			if err := r.encrypted("url", s.URL); err != nil {
				return nil, err
			}
			return webhook.New(s, c, dial)
		}),
	}
}

// shared lists what operators can make sinks of, for the events of all workspaces.
func (r reaches) shared() map[string]sink.Kind {
	kinds := r.kinds()
	kinds["files"] = sink.NewKind("Files", func(s jsonl.Settings, _ struct{}) (sink.Receiver, error) { return jsonl.New(s) })
	return kinds
}

// encrypted refuses an address without TLS, unless private addresses are allowed.
func (r reaches) encrypted(field string, addresses ...string) error {
	for _, address := range addresses {
		if !r.AllowPrivate && strings.HasPrefix(strings.ToLower(address), "http://") {
			return core.Invalid(field, "https is needed: a token must not travel in clear")
		}
	}
	return nil
}
