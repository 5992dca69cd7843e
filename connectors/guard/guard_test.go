package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
)

func TestPublic(t *testing.T) {
	for _, text := range []string{"93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8"} {
		if !Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is refused", text)
		}
	}
	for _, text := range []string{
		"127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.100.100.200",
		"168.63.129.16", "192.0.0.192", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "198.18.0.1",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "2001::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "2002:7f00:1::1", "64:ff9b:1::1",
	} {
		if Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is let through", text)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address at all is let through")
	}
}

// names resolves from a table; each look-up takes the next answer, so a name can change its mind.
type names struct {
	answers map[string][][]netip.Addr
	asked   atomic.Int64
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	answers := n.answers[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	asked := int(n.asked.Add(1)) - 1
	return append([]netip.Addr(nil), answers[min(asked, len(answers)-1)]...), nil
}

func addresses(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestDisguises(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	resolver := &names{answers: map[string][][]netip.Addr{
		"inside.example": {addresses("127.0.0.1")},
		"both.example":   {addresses("93.184.216.34", "127.0.0.1")},
		"mapped.example": {addresses("::ffff:127.0.0.1")},
		"2130706433":     {addresses("127.0.0.1")}, // what getaddrinfo makes of a decimal address
		"0x7f000001":     {addresses("127.0.0.1")},
		"0177.0.0.1":     {addresses("127.0.0.1")},
		"127.1":          {addresses("127.0.0.1")},
	}}
	client := Client(Options{Resolver: resolver, Timeout: 5 * time.Second})
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "inside.example", "both.example", "mapped.example",
		"2130706433", "0x7f000001", "0177.0.0.1", "127.1",
	} {
		response, err := client.Get("http://" + host + ":" + port + "/?token=hunter2")
		if err == nil {
			response.Body.Close()
			t.Errorf("%s was let through", host)
			continue
		}
		if failed := core.AsError(err); failed.Kind != core.KindDenied || failed.Code != CodePrivateAddress {
			t.Errorf("%s: %v", host, err)
		}
		if text := Error(err).Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "token") {
			t.Errorf("%s: the error shows the query: %s", host, text)
		}
	}
}

func TestRebindingIsNotPossible(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	// The first answer is public (and a documentation-free address nobody answers at quickly), every
	// later one is loopback.
	resolver := &names{answers: map[string][][]netip.Addr{"rebind.example": {addresses("93.184.216.34"), addresses("127.0.0.1")}}}
	dialer := &Dialer{Resolver: resolver, Timeout: 300 * time.Millisecond}
	connection, err := dialer.DialContext(t.Context(), "tcp", "rebind.example:"+port)
	if err == nil {
		connection.Close()
	}
	if asked := resolver.asked.Load(); asked != 1 {
		t.Errorf("the name was resolved %d times", asked)
	}
	if _, err := dialer.DialContext(t.Context(), "tcp", "rebind.example:"+port); core.KindOf(err) != core.KindDenied {
		t.Errorf("second meaning of the name: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	var reached atomic.Bool
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inner.Close()
	tlsServer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.URL, http.StatusFound)
	}))
	defer tlsServer.Close()
	client := Client(Options{AllowPrivate: true})
	client.Transport.(*transport).next = tlsServer.Client().Transport
	_, err := client.Get(tlsServer.URL)
	if core.KindOf(err) != core.KindDenied || reached.Load() {
		t.Errorf("away from HTTPS: %v", err)
	}

	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}
	}))
	defer outer.Close()
	for _, path := range []string{"/loop", "/file"} {
		if _, err := Client(Options{AllowPrivate: true}).Get(outer.URL + path); core.KindOf(err) != core.KindDenied {
			t.Errorf("%s: %v", path, err)
		}
	}

	// A public host that redirects inside. The public host is played by a resolver that lets the first
	// name through to loopback: the guard's own check is then met by the redirect's target.
	strict := Client(Options{})
	strict.Transport.(*transport).next.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "public.example") {
			return (&net.Dialer{}).DialContext(ctx, network, outerAddress(outer))
		}
		return (&Dialer{}).DialContext(ctx, network, address)
	}
	outer.Config.Handler = http.RedirectHandler(inner.URL+"/latest/meta-data", http.StatusFound)
	if _, err := strict.Get("http://public.example/"); core.AsError(err).Code != CodePrivateAddress || reached.Load() {
		t.Errorf("redirect inside: %v", err)
	}
}

func outerAddress(server *httptest.Server) string { return server.Listener.Addr().String() }

func TestBodyCap(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
		}
		size := 1000
		if r.URL.Path == "/fits" {
			size = 100
		}
		fmt.Fprint(w, strings.Repeat("x", size))
	}))
	defer server.Close()
	client := Client(Options{AllowPrivate: true, MaxBody: 100})
	if _, err := client.Get(server.URL + "/announced"); core.KindOf(err) != core.KindTooLarge {
		t.Errorf("announced: %v", err)
	}
	for path, want := range map[string]core.Kind{"/stream": core.KindTooLarge, "/fits": core.KindInternal} {
		response, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if len(body) != 100 || err == nil != (path == "/fits") || err != nil && core.KindOf(err) != want {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
}

func TestErrorsAreClassified(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	_, err := Client(Options{AllowPrivate: true, Timeout: 50 * time.Millisecond}).Get(server.URL + "/?secret=hunter2")
	if failed := core.AsError(Error(err)); failed.Kind != core.KindUnavailable || failed.Code != "timeout" || strings.Contains(failed.Error(), "hunter2") {
		t.Errorf("a host that hangs: %v", failed)
	}
	_, err = Client(Options{AllowPrivate: true}).Get("http://127.0.0.1:1/?secret=hunter2")
	if failed := core.AsError(Error(err)); failed.Kind != core.KindUnavailable || failed.Code != "unreachable" || strings.Contains(failed.Error(), "hunter2") {
		t.Errorf("a host that is down: %v", failed)
	}
	if _, err := Client(Options{}).Get("ftp://example.com/"); core.KindOf(err) != core.KindDenied {
		t.Errorf("another scheme: %v", err)
	}
	if Error(nil) != nil || core.KindOf(Error(errors.New("odd"))) != core.KindUnavailable {
		t.Error("Error does not classify")
	}
}
