package sumologic

import (
	"net/http"
	"net/url"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
)

// Settings are what a workspace tells of its HTTP source.
type Settings struct {
	Category string            `json:"category,omitempty" doc:"postern/audit when empty"`
	Host     string            `json:"host,omitempty" doc:"Left to the source when empty"`
	Fields   map[string]string `json:"fields,omitempty" doc:"Must exist in Sumo Logic's fields schema"`
}

// Secrets are the credentials for it.
type Secrets struct {
	URL seal.Secret `json:"url" doc:"The HTTP source address, which is itself the secret"`
}

// New checks the settings and makes the receiver. plain allows an address without TLS.
func New(settings Settings, secrets Secrets, client *http.Client, plain bool) (sink.Receiver, error) {
	parsed, err := url.Parse(secrets.URL.Reveal())
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Scheme != "https" && (parsed.Scheme != "http" || !plain) {
		return nil, core.Invalid("url", "the HTTP source address is needed, which begins with https://")
	}
	return &Receiver{
		URL: func() (seal.Secret, error) { return secrets.URL, nil }, HTTP: client, Category: settings.Category, Host: settings.Host, Fields: settings.Fields,
	}, nil
}
