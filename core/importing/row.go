package importing

import (
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

// Entry is one login of a file.
type Entry struct {
	Number   int // from 1
	Title    string
	Address  seal.Secret // of the site; a path or query may hold a secret
	Username string
	Password seal.Secret
	TOTP     seal.Secret // what one-time codes are made from; may be empty
	LeftOut  []string    // what it holds besides that accounts have no place for: notes, fields, files, more_sites, and a totp that is none
	Skip     string      // why it is no login, in words
}

// add notes that something is not taken, once.
func (e *Entry) add(what string, there bool) {
	for _, one := range e.LeftOut {
		there = there && one != what
	}
	if there {
		e.LeftOut = append(e.LeftOut, what)
	}
}

// site is where an entry is signed in to.
type site struct {
	host, port string
	signIn     string // address without query, fragment and user
}

func (s site) String() string {
	if s.port == "" {
		return s.host
	}
	return net.JoinHostPort(s.host, s.port)
}

// siteOf reads an address as people write them; without a scheme it is https.
func siteOf(address string) (site, bool) {
	address = strings.TrimSpace(address)
	if address != "" && !strings.Contains(address, "://") {
		address = "https://" + address
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Hostname() == "" || len(address) > accounts.MaxURL {
		return site{}, false
	}
	host := strings.ToLower(strings.TrimSuffix(parsed.Hostname(), "."))
	if net.ParseIP(host) == nil {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return site{}, false
		}
	}
	clean := url.URL{Scheme: parsed.Scheme, Host: host, Path: parsed.Path}
	if strings.Contains(host, ":") {
		clean.Host = "[" + host + "]"
	}
	if parsed.Port() != "" {
		clean.Host = net.JoinHostPort(host, parsed.Port())
	}
	if clean.Path == "" {
		clean.Path = "/"
	}
	return site{host, parsed.Port(), clean.String()}, true
}

// sites find the app of a site: by its host, and else by the name the host is registered under, if that
// leads to one app alone.
type sites struct {
	hosts      map[string]accounts.App
	registered map[string][]accounts.App
	names      map[string]bool
}

func sitesOf(apps []accounts.App) *sites {
	s := &sites{map[string]accounts.App{}, map[string][]accounts.App{}, map[string]bool{}}
	for _, app := range apps {
		s.add(app)
	}
	return s
}

func (s *sites) add(app accounts.App) {
	s.names[strings.ToLower(app.Name)] = true
	seen := map[string]bool{}
	for _, domain := range app.Domains {
		s.hosts[domain] = app
		host, _, err := net.SplitHostPort(domain)
		if err != nil {
			host = domain
		}
		if name := registered(host); name != "" && !seen[name] {
			seen[name] = true
			s.registered[name] = append(s.registered[name], app)
		}
	}
}

// find gives the app of a site. several is what keeps it from one.
func (s *sites) find(at site) (app accounts.App, known, several bool) {
	for _, name := range []string{at.String(), at.host, strings.TrimPrefix(at.host, "www."), "www." + at.host} {
		if app, known := s.hosts[name]; known {
			return app, true, false
		}
	}
	switch candidates := s.registered[registered(at.host)]; len(candidates) {
	case 0:
		return accounts.App{}, false, false
	case 1:
		return candidates[0], true, false
	}
	return accounts.App{}, false, true
}

// registered is the name somebody registered; empty for an IP address or a name nobody can.
func registered(host string) string {
	if net.ParseIP(host) != nil {
		return ""
	}
	name, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return name
}

// newApp is the app that would be added for an entry: under the entry's title, unless another app has it.
func (s *sites) newApp(title string, at site) accounts.NewApp {
	name := strings.TrimSpace(core.Cut(title, accounts.MaxName))
	if name == "" || s.names[strings.ToLower(name)] {
		name = at.host
	}
	return accounts.NewApp{Name: name, Domains: []string{at.String()}, SignInURL: at.signIn, Connector: "browser"}
}
