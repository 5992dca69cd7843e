package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"postern/core"
	"postern/core/seal"
)

// Limits of what is stored, in bytes where nothing else is said.
const (
	MaxName     = 200
	MaxDomains  = 50
	MaxURL      = 2048
	MaxSettings = 64 << 10
	MaxDepth    = 16 // of settings, in levels
	MaxUsername = 320
	MaxPassword = 1024
)

// checkText refuses a text that is empty, too long, not UTF-8, padded or not printable.
func checkText(field, text string, limit int) error {
	switch {
	case text == "":
		return core.Invalid(field, "a value is needed")
	case len(text) > limit:
		return core.Invalid(field, "at most %d bytes are kept, these are %d", limit, len(text))
	case !utf8.ValidString(text):
		return core.Invalid(field, "the text is not UTF-8")
	case strings.TrimSpace(text) != text:
		return core.Invalid(field, "remove the space at the beginning or end")
	case strings.ContainsFunc(text, unicode.IsControl):
		return core.Invalid(field, "control characters and line ends cannot be kept")
	}
	return nil
}

func checkPassword(field string, password seal.Secret) error {
	text := password.Reveal()
	switch {
	case text == "":
		return core.Invalid(field, "a password is needed")
	case len(text) > MaxPassword:
		return core.Invalid(field, "at most %d bytes are kept", MaxPassword)
	case !utf8.ValidString(text):
		return core.Invalid(field, "the password is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return core.Invalid(field, "control characters and line ends cannot be typed into a sign-in form")
	}
	return nil
}

// domain is one entry of an app's domains, taken apart.
type domain struct {
	host string // a host name in lower case or an IP address, without brackets
	port string // empty: any
}

func (d domain) String() string {
	if d.port == "" {
		return d.host
	}
	return net.JoinHostPort(d.host, d.port)
}

// parseDomain reads a host name or IP address, with or without a port.
func parseDomain(text string) (domain, error) {
	wrong := func(format string, args ...any) (domain, error) {
		return domain{}, core.Invalid("domains", format, args...)
	}
	shown := text
	if len(shown) > 100 {
		shown = strings.ToValidUTF8(shown[:100], "") + "…"
	}
	switch {
	case strings.Contains(text, "://"):
		return wrong("%q: write the host alone, without a scheme, such as wiki.example.com", shown)
	case strings.Contains(text, "*"):
		return wrong("%q: wildcards are not accepted; list each host", shown)
	case strings.ContainsAny(text, "/?#@ \t\r\n\\"):
		return wrong("%q: write a host name or IP address, with a port if it needs one", shown)
	}
	bare := text
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	if address, err := netip.ParseAddr(bare); err == nil && address.Zone() == "" {
		return domain{host: address.String()}, nil
	}
	host, port := text, ""
	if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return wrong("%q: write host:port", shown)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return wrong("%q: a port is a number from 1 to 65535", shown)
		}
		port = strconv.FormatUint(number, 10)
		if address, err := netip.ParseAddr(host); err == nil && address.Zone() == "" {
			return domain{host: address.String(), port: port}, nil
		}
	}
	host = strings.ToLower(host)
	if !hostName(host) {
		return wrong("%q: this is no host name; write international names in their xn-- form", shown)
	}
	if suffix, registry := publicsuffix.PublicSuffix(host); registry && suffix == host {
		return wrong("%q: everybody may register names under this; write the app's own host", shown)
	}
	return domain{host: host, port: port}, nil
}

func hostName(host string) bool {
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	// A last label of digits is an IP address gone wrong: browsers read it as one.
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// checkDomains returns the domains in one form, each once.
func checkDomains(texts []string) ([]domain, error) {
	if len(texts) == 0 {
		return nil, core.Invalid("domains", "name at least one host the app is reached at")
	}
	if len(texts) > MaxDomains {
		return nil, core.Invalid("domains", "at most %d hosts are kept, these are %d", MaxDomains, len(texts))
	}
	var domains []domain
	seen := map[domain]bool{}
	for _, text := range texts {
		parsed, err := parseDomain(text)
		if err != nil {
			return nil, err
		}
		if !seen[parsed] {
			seen[parsed] = true
			domains = append(domains, parsed)
		}
	}
	return domains, nil
}

// schemes are those of apps' addresses, with their ports.
var schemes = map[string]string{
	"http": "80", "https": "443", "postgres": "5432", "postgresql": "5432", "mysql": "3306", "ldap": "389", "ldaps": "636",
	"ssh": "22",
}

// Port is the usual port of a scheme of apps' addresses; empty: it is none.
func Port(scheme string) string { return schemes[scheme] }

// checkURL refuses an address that is none of an app, or leads outside the app's domains.
func checkURL(field, text string, domains []domain) error {
	if err := checkText(field, text, MaxURL); err != nil {
		return err
	}
	address, err := url.Parse(text)
	if err != nil || schemes[address.Scheme] == "" || address.Hostname() == "" {
		return core.Invalid(field, "write a whole address that begins with https:// or http://, or, of a database, a directory or a host, with postgres://, mysql://, ldaps://, ldap:// or ssh://")
	}
	if address.User != nil {
		return core.Invalid(field, "leave out the user name and password; they belong into the account")
	}
	host, port := strings.ToLower(address.Hostname()), address.Port()
	if parsed, err := netip.ParseAddr(host); err == nil {
		host = parsed.String()
	}
	if port == "" {
		port = schemes[address.Scheme]
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return core.Invalid(field, "a port is a number from 1 to 65535")
	}
	for _, domain := range domains {
		if domain.host == host && (domain.port == "" || domain.port == port) {
			return nil
		}
	}
	return core.Invalid(field, "its host is not one of the app's domains; add %q to them", strings.ToLower(address.Host))
}

func checkSettings(settings json.RawMessage) (json.RawMessage, error) {
	if len(settings) == 0 {
		return json.RawMessage("{}"), nil
	}
	if len(settings) > MaxSettings {
		return nil, core.Invalid("settings", "at most %d bytes are kept, these are %d", MaxSettings, len(settings))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(settings, &members); err != nil || members == nil {
		return nil, core.Invalid("settings", "the settings are not a JSON object").Because(err)
	}
	return settings, checkTokens(settings)
}

// checkConnector refuses a connector that is none, and settings it cannot read.
func (a *Accounts) checkConnector(name string, settings json.RawMessage) error {
	if a.Connectors == nil {
		return nil
	}
	check, known := a.Connectors[name]
	if !known {
		return core.Invalid("connector", "there is no connector named %s; there are %s", name, strings.Join(slices.Sorted(maps.Keys(a.Connectors)), ", "))
	}
	return check(settings)
}

// checkTokens refuses what no connector has a setting for, and what others who read the settings
// could choke on: nesting without end, and zero characters, which PostgreSQL does not keep.
func checkTokens(settings json.RawMessage) error {
	depth := 0
	for decoder := json.NewDecoder(bytes.NewReader(settings)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return core.Invalid("settings", "the settings are not a JSON object").Because(err)
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '{' || token == '[' {
				depth++
			} else {
				depth--
			}
			if depth > MaxDepth {
				return core.Invalid("settings", "at most %d levels of objects and lists are kept", MaxDepth)
			}
		case string:
			if strings.ContainsRune(token, 0) {
				return core.Invalid("settings", "a text in the settings holds a zero character")
			}
		}
	}
}

// connectorName is a word such as browser.
func connectorName(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
