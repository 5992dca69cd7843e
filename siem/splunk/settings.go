package splunk

import (
	"cmp"
	"net/http"
	"net/url"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
)

// Settings are what a workspace tells of its collector.
type Settings struct {
	URL        string `json:"url" doc:"HTTP Event Collector, for example https://splunk.example.com:8088"`
	Index      string `json:"index,omitempty" doc:"The token's default index when empty"`
	SourceType string `json:"source_type,omitempty" doc:"postern:ocsf when empty"`
	SearchURL  string `json:"search_url,omitempty" doc:"Splunk's management port, for example https://splunk.example.com:8089: to ask what Splunk holds"`
}

// Secrets are the credentials for it.
type Secrets struct {
	Token       seal.Secret `json:"token" doc:"The HEC token"`
	SearchToken seal.Secret `json:"search_token,omitempty" doc:"An authentication token of a user who may search the index"`
}

// New checks the settings and makes the receiver. plain allows addresses without TLS.
func New(settings Settings, secrets Secrets, client *http.Client, plain bool) (sink.Receiver, error) {
	if err := checkURL("url", settings.URL, plain); err != nil {
		return nil, err
	}
	receiver := &Receiver{
		URL: settings.URL, Token: func() (seal.Secret, error) { return secrets.Token, nil }, HTTP: client, Index: settings.Index, SourceType: settings.SourceType,
	}
	if settings.SearchURL == "" {
		if !secrets.SearchToken.IsZero() {
			return nil, core.Invalid("search_url", "a search token was given but no address to search at")
		}
		return receiver, nil
	}
	if err := checkURL("search_url", settings.SearchURL, plain); err != nil {
		return nil, err
	}
	if secrets.SearchToken.IsZero() {
		return nil, core.Invalid("search_token", "searching needs a token: Settings > Tokens in Splunk")
	}
	return &Searched{Receiver: receiver, Search: Search{
		URL: settings.SearchURL, Token: func() (seal.Secret, error) { return secrets.SearchToken, nil }, HTTP: client, Index: settings.Index,
		SourceType: cmp.Or(settings.SourceType, sourceType),
	}}, nil
}

func checkURL(field, text string, plain bool) error {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" || len(text) > 1024:
		return core.Invalid(field, "a URL is needed, for example https://splunk.example.com:8088")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return core.Invalid(field, "leave out user name, password and what follows the path: the token is all that is needed")
	case parsed.Scheme == "http" && !plain:
		return core.Invalid(field, "https is needed: a token must not travel in clear")
	}
	return nil
}
