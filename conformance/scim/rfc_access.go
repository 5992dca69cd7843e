package scim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// access is a token endpoint and a client of it. The zero access is none.
type access struct {
	url, client string
	basic       string // the credentials, as HTTP Basic has them
}

func newAccess(options Options) (access, error) {
	given := []string{options.TokenURL, options.ClientID, options.ClientSecret}
	missing := 0
	for _, one := range given {
		if one == "" {
			missing++
		}
	}
	switch address, err := url.Parse(options.TokenURL); {
	case missing == len(given):
		return access{}, nil
	case missing > 0:
		return access{}, errors.New("a token endpoint is asked with its URL, a client id and the client's secret: give all three")
	case err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https":
		return access{}, errors.New("the token URL is the address of an OAuth token endpoint, such as https://example.com/oauth/token")
	}
	return access{url: options.TokenURL, client: options.ClientID, basic: basic(options.ClientID, options.ClientSecret)}, nil
}

// basic is HTTP Basic as OAuth has it: both are form-urlencoded first (RFC 6749, section 2.3.1).
func basic(client, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(client) + ":" + url.QueryEscape(secret)))
}

// grant asks the token endpoint for a token. A token it gives is never shown.
func (p *probe) grant(grantType, credentials string) *answer {
	if p.target.access.url == "" {
		p.skip("no token endpoint was given (--token-url, --client-id, --client-secret)")
	}
	a := p.ask(http.MethodPost, p.target.access.url, url.Values{"grant_type": {grantType}}.Encode(), http.Header{
		"User-Agent": {p.agent}, "Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"},
		"Authorization": {"Basic " + credentials},
	}).answered()
	a.hideTokens()
	return a
}

// hideTokens takes the tokens out of what is shown of an answer of a token endpoint.
func (a *answer) hideTokens() {
	body, ok := a.body.(object)
	if !ok {
		if a.status < http.StatusMultipleChoices {
			a.exchange.ResponseBody = "[redacted: it is no JSON object]"
		}
		return
	}
	shown := object{}
	for name, value := range body {
		if text, isText := value.(string); isText && strings.HasSuffix(name, "_token") {
			a.p.target.hide(text)
			value = "[redacted]"
		}
		shown[name] = value
	}
	if text, err := json.Marshal(shown); err == nil {
		a.exchange.ResponseBody = a.p.target.shown(string(text))
	}
	a.exchange.ResponseHeader = a.p.target.headers(a.header)
}

// granted wants a token.
func (p *probe) granted() (*answer, string) {
	a := p.grant("client_credentials", p.target.access.basic).want("Give a client that shows its id and secret by HTTP Basic a token.", http.StatusOK)
	if a.string("access_token") == "" {
		a.fail("access_token is text", "nothing", "Answer with a JSON object that has access_token and token_type (RFC 6749, section 5.1).")
	}
	return a, a.string("access_token")
}

// notStored wants an answer that nobody on the way keeps.
func (a *answer) notStored() *answer {
	if !strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store") {
		a.fail("Cache-Control: no-store", show(a.header.Get("Cache-Control")), "Forbid that an answer with a token is kept (RFC 6749, section 5.1).")
	}
	return a
}

func accessChecks() []Check {
	return []Check{
		must("rfc/access/token", "A client's id and secret are exchanged for a token that opens the endpoint", "RFC 6749 §4.4, §5.1", func(p *probe) {
			a, token := p.granted()
			if !strings.EqualFold(a.string("token_type"), "Bearer") {
				a.fail("token_type is Bearer", show(a.at("token_type")), "Say what kind of token it is.")
			}
			p.send(http.MethodGet, "/Users?count=1", nil, "Authorization", "Bearer "+token).list()
		}),
		must("rfc/access/no-store", "An answer with a token must not be kept", "RFC 6749 §5.1", func(p *probe) {
			a, _ := p.granted()
			a.notStored()
		}),
		must("rfc/access/wrong-secret", "A wrong secret, or an unknown client, is 401 with invalid_client and WWW-Authenticate", "RFC 6749 §5.2", func(p *probe) {
			for _, credentials := range []string{basic(p.target.access.client, p.name()), basic(p.name(), p.name())} {
				a := p.grant("client_credentials", credentials).want("Refuse a client you do not believe with 401.", http.StatusUnauthorized)
				a.equals("Name the reason in error.", "invalid_client", "error").gone("Give no token.", "access_token")
				if a.header.Get("WWW-Authenticate") == "" {
					a.fail("a WWW-Authenticate header", "none", "Say in WWW-Authenticate how a client shows who it is.")
				}
			}
		}),
		must("rfc/access/grant-type", "A grant type nobody knows is 400 with unsupported_grant_type", "RFC 6749 §5.2", func(p *probe) {
			a := p.grant("urn:example:"+p.name(), p.target.access.basic).want("Refuse it with 400.", http.StatusBadRequest)
			a.equals("Name the reason in error.", "unsupported_grant_type", "error").gone("Give no token.", "access_token")
		}),
	}
}

// accessLife is how long Entra ID wants a token to live: 60 to 360 minutes.
func accessLife(p *probe) {
	a, _ := p.granted()
	const advice = "Let a token live for one to six hours, and say so in expires_in."
	if life := a.number(advice, "expires_in"); life < 3600 || life > 21600 {
		a.fail("expires_in is 3600 to 21600 seconds", strconv.Itoa(life), advice)
	}
}
