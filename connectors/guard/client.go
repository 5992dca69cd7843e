package guard

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"postern/core"
)

// Options say how far a client may go.
type Options struct {
	// AllowPrivate lets requests reach private addresses.
	AllowPrivate bool
	// MaxBody caps the bytes of an answer's body. Default: 10 MiB.
	MaxBody int64
	// Timeout bounds a whole exchange, redirects and body included. Default: 30 s.
	Timeout time.Duration
	// Resolver resolves names. Default: net.DefaultResolver.
	Resolver Resolver
	// HeaderTimeout bounds the wait for the status line and the headers.
	// Default: Timeout.
	HeaderTimeout time.Duration
}

const maxRedirects = 5

// Client returns an HTTP client that reaches public addresses only, caps what it reads and follows
// few redirects, never away from HTTPS.
//
// http.Client wraps every error into a text that shows the whole URL. Pass errors through Error, or
// take core.AsError of them; both give the *core.Error within, which names the host alone.
func Client(options Options) *http.Client {
	if options.MaxBody <= 0 {
		options.MaxBody = 10 << 20
	}
	if options.Timeout <= 0 {
		options.Timeout = 30 * time.Second
	}
	if options.HeaderTimeout <= 0 {
		options.HeaderTimeout = options.Timeout
	}
	dialer := &Dialer{AllowPrivate: options.AllowPrivate, Resolver: options.Resolver}
	return &http.Client{
		Timeout:       options.Timeout,
		CheckRedirect: checkRedirect,
		Transport: &transport{maxBody: options.MaxBody, next: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  options.HeaderTimeout,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    8,
		}},
	}
}

func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return core.Denied("%s redirects more than %d times", request.URL.Hostname(), maxRedirects).WithCode("redirect")
	}
	if err := checkScheme(request.URL); err != nil {
		return err
	}
	if via[len(via)-1].URL.Scheme == "https" && request.URL.Scheme != "https" {
		return core.Denied("%s redirects away from HTTPS", via[len(via)-1].URL.Hostname()).WithCode("redirect")
	}
	return nil
}

func checkScheme(address *url.URL) error {
	if address.Scheme != "https" && address.Scheme != "http" {
		return core.Denied("only http and https addresses are followed").WithCode("scheme")
	}
	return nil
}

// transport classifies errors and caps bodies.
type transport struct {
	next    http.RoundTripper
	maxBody int64
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := checkScheme(request.URL); err != nil {
		return nil, err
	}
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, classify(request.URL.Hostname(), err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, nil
	}
	if response.ContentLength > t.maxBody {
		_ = response.Body.Close()
		return nil, tooLarge(request.URL.Hostname(), t.maxBody)
	}
	response.Body = &cappedBody{body: response.Body, host: request.URL.Hostname(), limit: t.maxBody, left: t.maxBody}
	return response, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the connections.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

type cappedBody struct {
	body        io.ReadCloser
	host        string
	limit, left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	// One byte more than is left, to tell a body that ends at the cap from one that goes on.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, tooLarge(b.host, b.limit)
	}
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = classify(b.host, err)
	}
	return n, err
}

func (b *cappedBody) Close() error { return b.body.Close() }

func tooLarge(host string, limit int64) error {
	return core.TooLarge("the answer of %s is larger than %d bytes", host, limit)
}

// Error returns the *core.Error for an error of a guarded client: without the URL around it that
// http.Client adds. It is nil for nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	host := "the host"
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		if address, parsed := url.Parse(wrapped.URL); parsed == nil && address.Hostname() != "" {
			host = address.Hostname()
		}
		err = wrapped.Err
	}
	return classify(host, err)
}

// classify turns what went wrong on the way into the error to show. The causes it keeps speak of
// addresses and protocols, never of a path or a query.
func classify(host string, err error) error {
	if known, ok := errors.AsType[*core.Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return core.Unavailable(0, "the request to %s was given up", host).WithCode("canceled").Because(context.Canceled)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation
	}
	return unreachable(host, err)
}
