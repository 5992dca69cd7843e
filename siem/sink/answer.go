package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/siem/stream"
)

// Receiver is a system that takes events: splunk.Receiver, sumologic.Receiver. It is used by
// several goroutines at once.
type Receiver interface {
	// Send delivers events, in order, in one request, and says what became of it. It neither retries
	// nor logs.
	Send(ctx context.Context, events []stream.Event) Answer
	// Limit is the size in bytes a request may have before compression.
	Limit() int
	// Close lets go of connections and files. A closed receiver is not used again.
	Close() error
}

// Verdict is what an answer means for the events that were sent.
type Verdict int

// The verdicts.
const (
	Accepted      Verdict = iota // the receiver has them
	Busy                         // not now: the same again later
	Misconfigured                // not before a person changes something: a token, an index, a certificate, an address
	Refused                      // never: an event is not acceptable for what it is
	TooLarge                     // not that much at once
)

// String is the word for it.
func (v Verdict) String() string {
	return [...]string{"accepted", "busy", "misconfigured", "refused", "too_large"}[v]
}

// Answer is what a receiver said.
type Answer struct {
	Verdict Verdict
	// Reason is for a person: what is wrong, and where it helps, what to do. With Accepted it is a
	// warning. No secret.
	Reason string
	// RetryAfter is how long to wait at least, if the receiver said so.
	RetryAfter time.Duration
	// Waited is how much of the time for an answer went by after the receiver had taken the events: until it said that they
	// are kept. It tells nothing of what the receiver bears.
	Waited time.Duration
	// Pending is, with Busy, what a Resumer can be asked for later: the receiver has taken all events, and has not yet said
	// that they are kept. No secret.
	Pending json.RawMessage
	// Event is, with Refused, the index of the event that was refused; -1 if the receiver did not say.
	Event int
}

// Unreachable is the answer when no answer came. Certificates and addresses that are not allowed are
// for a person to change; everything else passes.
func Unreachable(err error) Answer {
	// The URL may be a secret; what went wrong on the way to it is not.
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if denied, ok := errors.AsType[*core.Error](err); ok && (denied.Kind == core.KindDenied || denied.Kind == core.KindInvalid) {
		return Answer{Verdict: Misconfigured, Reason: denied.Message}
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Answer{Verdict: Misconfigured, Reason: "the receiver's certificate is not trusted: " + certificate.Err.Error()}
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return Answer{Verdict: Misconfigured, Reason: "the receiver's certificate is not trusted: " + unknown.Error()}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return Answer{Verdict: Misconfigured, Reason: "the receiver does not speak TLS at this address"}
	}
	switch timeout, isNet := errors.AsType[net.Error](err); {
	case isNet && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return Answer{Verdict: Busy, Reason: "the receiver did not answer in time"}
	case errors.Is(err, context.Canceled):
		return Answer{Verdict: Busy, Reason: "the delivery was interrupted"}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return Answer{Verdict: Busy, Reason: "the receiver's name cannot be found: " + lookup.Name}
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return Answer{Verdict: Busy, Reason: "the receiver cannot be reached: " + operation.Op + ": " + operation.Err.Error()}
	}
	return Answer{Verdict: Busy, Reason: "the connection to the receiver broke"}
}

// ByStatus is the answer an HTTP status gives by itself, for receivers and for what stands before
// them. A status of success is Accepted.
func ByStatus(response *http.Response) Answer {
	status := response.StatusCode
	text := "the receiver answered " + strconv.Itoa(status) + " " + http.StatusText(status)
	switch {
	case status >= 200 && status < 300:
		return Answer{Verdict: Accepted}
	case status == http.StatusRequestEntityTooLarge:
		return Answer{Verdict: TooLarge, Reason: text}
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500 && status != http.StatusNotImplemented:
		return Answer{Verdict: Busy, Reason: text, RetryAfter: retryAfter(response)}
	case status >= 300 && status < 400:
		return Answer{Verdict: Misconfigured, Reason: text + ": it wants to be asked at another address"}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Answer{Verdict: Misconfigured, Reason: text + ": check the token"}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusGone, status == http.StatusNotImplemented:
		return Answer{Verdict: Misconfigured, Reason: text + ": check the address"}
	}
	return Answer{Verdict: Misconfigured, Reason: text}
}

// retryAfter reads the Retry-After header: seconds, or a time.
func retryAfter(response *http.Response) time.Duration {
	text := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, time.Hour)
	}
	if when, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(when)), time.Hour)
	}
	return 0
}
