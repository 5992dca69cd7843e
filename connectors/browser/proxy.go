package browser

import (
	"cmp"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/connectors/guard"
	"postern/core"
)

// proxy is the only way out of one browser context. It lets through what the app's domains allow and
// the guard finds public, and remembers every host.
type proxy struct {
	server   *http.Server
	listener net.Listener
	forward  *httputil.ReverseProxy

	mutex    sync.Mutex
	domains  []string
	dialer   *guard.Dialer
	reached  map[string]bool
	refused  map[string]bool
	failures map[string]string // host → code of the last failure
	tunnels  map[net.Conn]bool
}

func newProxy(domains []string, allowPrivate bool) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, core.Internal(err)
	}
	p := &proxy{
		listener: listener, reached: map[string]bool{}, refused: map[string]bool{}, failures: map[string]string{}, tunnels: map[net.Conn]bool{},
	}
	p.allow(domains, allowPrivate)
	silent := log.New(io.Discard, "", 0)
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {},
		Transport: &http.Transport{
			DialContext: p.dial, DisableCompression: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 256 << 10,
		},
		ErrorLog: silent,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p.failed(r.URL.Hostname(), err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	p.server = &http.Server{Handler: p, ErrorLog: silent, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// allow says what may be reached from now on.
func (p *proxy) allow(domains []string, private bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.domains, p.dialer = normalise(domains), &guard.Dialer{AllowPrivate: private}
}

func (p *proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mutex.Lock()
	dialer := p.dialer
	p.mutex.Unlock()
	return dialer.DialContext(ctx, network, address)
}

func (p *proxy) address() string { return "http://" + p.listener.Addr().String() }

// close cuts every connection, also the tunnels http.Server no longer knows.
func (p *proxy) close() {
	_ = p.server.Close()
	p.forward.Transport.(*http.Transport).CloseIdleConnections()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for connection := range p.tunnels {
		_ = connection.Close()
	}
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port := r.URL.Hostname(), r.URL.Port()
	if r.Method == http.MethodConnect {
		host, port, _ = net.SplitHostPort(r.Host)
	}
	if !p.allows(host, port) || r.Method != http.MethodConnect && r.URL.Scheme != "http" {
		p.mutex.Lock()
		if host != "" {
			p.refused[host] = true
		}
		p.mutex.Unlock()
		http.Error(w, "this host is not one of the app's domains", http.StatusForbidden)
		return
	}
	p.mutex.Lock()
	p.reached[host] = true
	p.mutex.Unlock()
	if r.Method == http.MethodConnect {
		p.tunnel(w, r, host)
		return
	}
	p.forward.ServeHTTP(w, r)
}

func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request, host string) {
	upstream, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		p.failed(host, err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer upstream.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	p.mutex.Lock()
	p.tunnels[client], p.tunnels[upstream] = true, true
	p.mutex.Unlock()
	defer func() {
		p.mutex.Lock()
		delete(p.tunnels, client)
		delete(p.tunnels, upstream)
		p.mutex.Unlock()
	}()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(upstream, buffered)
		halfClose(upstream)
	})
	both.Go(func() {
		_, _ = io.Copy(client, upstream)
		halfClose(client)
	})
	both.Wait()
}

func halfClose(connection net.Conn) {
	if half, ok := connection.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func (p *proxy) failed(host string, err error) {
	code := core.AsError(guard.Error(err)).Code
	p.mutex.Lock()
	p.failures[host] = code
	p.mutex.Unlock()
}

// hosts are those contacted, sorted; refusedHosts those a page asked for in vain.
func (p *proxy) hosts() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.Sorted(maps.Keys(p.reached))
}

func (p *proxy) refusedHosts() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.Sorted(maps.Keys(p.refused))
}

// failure says why a host could not be reached, if it could not.
func (p *proxy) failure(host string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.refused[host] {
		return "not_allowed"
	}
	return p.failures[host]
}

// normalise lower-cases the domains and takes the host out of those written as URLs.
func normalise(domains []string) []string {
	list := make([]string, 0, len(domains))
	for _, domain := range domains {
		domain = strings.ToLower(strings.TrimSpace(domain))
		if strings.Contains(domain, "://") {
			if parsed, err := url.Parse(domain); err == nil {
				domain = parsed.Host
			}
		}
		domain = strings.TrimPrefix(strings.TrimSuffix(domain, "."), "*.")
		if domain != "" {
			list = append(list, domain)
		}
	}
	return list
}

// admits reports whether a page's address is one of the app's.
func (p *proxy) admits(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil {
		return false
	}
	ports := map[string]string{"http": "80", "https": "443"}
	return ports[parsed.Scheme] != "" && p.allows(parsed.Hostname(), cmp.Or(parsed.Port(), ports[parsed.Scheme]))
}

// allows reports whether a host is one of the domains or below one. A domain written with a port
// means that port alone.
func (p *proxy) allows(host, port string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" {
		return false
	}
	p.mutex.Lock()
	domains := p.domains
	p.mutex.Unlock()
	literal := net.ParseIP(host) != nil
	for _, domain := range domains {
		if name, only, err := net.SplitHostPort(domain); err == nil {
			if port == "" {
				port = "80"
			}
			if only != port {
				continue
			}
			domain = name
		}
		domain = strings.Trim(domain, "[]")
		if host == domain || !literal && strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}
