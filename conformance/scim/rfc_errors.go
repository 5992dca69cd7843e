package scim

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
)

func errorChecks() []Check {
	const source = "RFC 7644 §3.12"
	return []Check{
		must("rfc/error/syntax", "A body that is no JSON is refused with 400 and invalidSyntax", source, func(p *probe) {
			for _, body := range []string{`{"schemas":[`, `not json`, `[]`} {
				p.send(http.MethodPost, "/Users", body).refused("Refuse it with 400 and scimType invalidSyntax.", http.StatusBadRequest, "invalidSyntax")
			}
		}),
		should("rfc/error/trailing", "A body with something behind the JSON is refused", "RFC 8259 §2", func(p *probe) {
			p.post("/Users", `{"schemas":["`+userSchema+`"],"userName":"`+p.name()+`"} trailing`).want("Refuse what is not one JSON text.", http.StatusBadRequest)
		}),
		must("rfc/error/value", "A value of the wrong type is refused with 400", source, func(p *probe) {
			p.post("/Users", p.userBody(object{"name": "not an object", "emails": "not a list"})).refused("Refuse it with 400.", http.StatusBadRequest)
		}),
		must("rfc/error/endpoint", "An unknown endpoint is 404 with an error body", source, func(p *probe) {
			p.get("/Unknown"+strings.ReplaceAll(p.name(), "-", "")).refused("Answer 404 in SCIM's error schema for every address below the base.", http.StatusNotFound)
		}),
		should("rfc/error/method", "A method an address does not take is 405 with Allow", "RFC 9110 §15.5.6", func(p *probe) {
			a := p.send(http.MethodPut, "/Users", object{}).want("Answer 405.", http.StatusMethodNotAllowed)
			if a.header.Get("Allow") == "" {
				a.fail("an Allow header", "none", "List in Allow what the address takes.")
			}
		}),
		must("rfc/error/authorization", "Without a valid token the answer is 401, with WWW-Authenticate", "RFC 7644 §2, RFC 9110 §11.6.1", func(p *probe) {
			if p.target.token == "" {
				p.skip("no token was given")
			}
			for _, header := range []string{"", "Bearer " + p.name(), "Basic eDp5"} {
				a := p.send(http.MethodGet, "/Users?count=1", nil, "Authorization", header).refused("Refuse with 401 and a SCIM error.", http.StatusUnauthorized)
				if a.header.Get("WWW-Authenticate") == "" {
					a.fail("a WWW-Authenticate header", "none", "Say in WWW-Authenticate how to sign in.")
				}
			}
			p.send(http.MethodPost, "/Users", p.userBody(nil), "Authorization", "").refused("Refuse with 401 whatever the method.", http.StatusUnauthorized)
		}),
		must("rfc/error/password-filter", "A password cannot be asked for by a filter", "RFC 7644 §7.5.2, RFC 7643 §7", func(p *probe) {
			secret := "Pw-9" + p.name()
			user := p.withPassword(secret)
			a := p.get("/Users", "filter", `password eq "`+secret+`" and userName eq "`+user.string("userName")+`"`)
			if a.status == http.StatusOK && a.total() > 0 {
				a.fail("a refusal, or no match", "a match", "A writeOnly attribute must not be compared: anybody could guess passwords.")
			}
			a.want("Refuse with 400 or 403, or match nothing.", http.StatusOK, http.StatusBadRequest, http.StatusForbidden)
		}),
		must("rfc/error/tls", "The endpoint is reached by TLS 1.2 or newer", "RFC 7644 §7.2", func(p *probe) {
			at, _ := url.Parse(p.target.base)
			if address := net.ParseIP(at.Hostname()); at.Hostname() == "localhost" || address != nil && address.IsLoopback() {
				p.skip("the server is on this machine")
			}
			if at.Scheme != "https" {
				p.fail("an https address", at.Scheme, "Serve SCIM over TLS alone.")
			}
			dialer := &tls.Dialer{Config: &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}} // to see it refused
			port := at.Port()
			if port == "" {
				port = "443"
			}
			if connection, err := dialer.DialContext(p.ctx, "tcp", net.JoinHostPort(at.Hostname(), port)); err == nil {
				_ = connection.Close()
				p.fail("TLS 1.0 and 1.1 refused", "a connection", "Offer TLS 1.2 and newer alone.")
			}
		}),
	}
}
