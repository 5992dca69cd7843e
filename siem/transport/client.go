package transport

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
	"postern/siem/sink"
)

// Dial connects to an address, or refuses to: (*guard.Dialer).DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how an HTTP client connects.
type Options struct {
	Dial Dial // needed
	TLS  TLS
	Key  Secret // of the client certificate
	// Idle is how long a connection may rest before it is closed. Default 90 s.
	Idle time.Duration
	// Connections is the most connections to one host. Default 16.
	Connections int
}

// maxReply is as much of an answer as is read.
const maxReply = 64 << 10

// Client makes one that follows no redirect and knows no proxy. Bound each request by its context.
func Client(options Options) (*http.Client, error) {
	if options.Dial == nil {
		return nil, core.Internal(errors.New("transport: a client needs a dialer"))
	}
	config, err := options.TLS.Config(options.Key)
	if err != nil {
		return nil, err
	}
	connections := cmp.Or(options.Connections, 16)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: options.Dial, TLSClientConfig: config, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
			IdleConnTimeout: cmp.Or(options.Idle, 90*time.Second), MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
			MaxResponseHeaderBytes: maxReply, ExpectContinueTimeout: time.Second,
		},
	}, nil
}

// Reply is an answer over HTTP.
type Reply struct {
	Status int
	Header http.Header
	Text   []byte
	TLS    *tls.ConnectionState // nil: it came without
}

// Ask makes one request and reads the answer.
func Ask(client *http.Client, request *http.Request) (Reply, error) {
	return AskFor(client, request, maxReply)
}

// AskFor is Ask for an answer of up to size bytes.
func AskFor(client *http.Client, request *http.Request, size int64) (Reply, error) {
	response, err := client.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, size))
	return Reply{Status: response.StatusCode, Header: response.Header, Text: text, TLS: response.TLS}, err
}

// Look sees whether an address is there, which it is whatever it answers. The address is not told, only its host.
func Look(ctx context.Context, client *http.Client, method, address string) (sink.Place, Reply) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return sink.Place{Answer: Misconfigured("the address is not a URL")}, Reply{}
	}
	place := sink.Place{Host: request.URL.Host, Answer: sink.Answer{Verdict: sink.Accepted, Event: -1}}
	reply, err := Ask(client, request)
	if err != nil {
		place.Answer = Failed(err)
		return place, reply
	}
	if reply.TLS != nil && len(reply.TLS.PeerCertificates) > 0 {
		place.Expires = reply.TLS.PeerCertificates[0].NotAfter
	}
	place.Clock, _ = http.ParseTime(reply.Header.Get("Date"))
	return place, reply
}

// LookAt is Look at nothing but the host of an address, whose path may be a secret.
func LookAt(ctx context.Context, client *http.Client, address string) sink.Place {
	root := "/"
	if parsed, err := url.Parse(address); err == nil {
		root = parsed.Scheme + "://" + parsed.Host + "/"
	}
	place, _ := Look(ctx, client, http.MethodHead, root)
	return place
}

// Answer is what the status alone means.
func (r Reply) Answer() sink.Answer {
	answer := sink.ByStatus(&http.Response{StatusCode: r.Status, Header: r.Header})
	answer.Event = -1
	return answer
}

// HTML reports whether the answer is a page for people: of what stands before a receiver, or of something else.
func (r Reply) HTML() bool {
	return bytes.HasPrefix(bytes.TrimSpace(r.Text), []byte("<")) || strings.HasPrefix(r.Header.Get("Content-Type"), "text/html")
}

// Failed is the answer when none came. A receiver that ends the handshake with an alert wants another
// certificate, name or version of TLS: for a person to change.
func Failed(err error) sink.Answer {
	if operation, ok := errors.AsType[*net.OpError](err); ok && operation.Op == "remote error" {
		if alert := operation.Err.Error(); !strings.Contains(alert, "internal error") && !strings.Contains(alert, "user canceled") {
			return Misconfigured("the receiver refuses the connection (" + alert + "): check the client certificate and the server name")
		}
	}
	answer := sink.Unreachable(err)
	answer.Event = -1
	return answer
}

// Misconfigured is the answer for what a person has to change.
func Misconfigured(reason string) sink.Answer {
	return sink.Answer{Verdict: sink.Misconfigured, Reason: reason, Event: -1}
}

// Unusable is the answer for settings and secrets that cannot be used: err is Invalid.
func Unusable(err error) sink.Answer { return Misconfigured(core.AsError(err).Message) }

// Address checks the address of a receiver: http or https, without user, query and fragment. Errors name field.
func Address(field, text string) error {
	parsed, err := url.Parse(text)
	switch {
	case text == "":
		return core.Invalid(field, "an address is needed, such as https://receiver.example.com")
	case err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" || len(text) > 1024:
		return core.Invalid(field, "this is not an address that begins with https://")
	case parsed.User != nil:
		return core.Invalid(field, "leave user name and password out of the address")
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return core.Invalid(field, "leave what follows ? or # out of the address")
	}
	return nil
}
