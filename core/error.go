package core

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an Error. Each protocol turns a kind into its own status at its edge; nothing
// below the edge knows a status.
type Kind uint8

// The kinds. An error nobody classified is Internal.
const (
	KindInternal        Kind = iota // a fault of ours; the text never leaves
	KindInvalid                     // the request is wrong; Field says where
	KindUnauthenticated             // nobody known asks
	KindDenied                      // somebody known asks for what they may not do
	KindNotFound                    // no such thing in this workspace
	KindConflict                    // collides with what exists
	KindStale                       // based on an older version
	KindTooLarge                    // larger than accepted
	KindRateLimited                 // too many; RetryAfter says when
	KindUnavailable                 // something we depend on is down; RetryAfter says when
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "denied", "not_found", "conflict", "stale", "too_large", "rate_limited", "unavailable"}

// String is the snake_case name, stable for logs, metrics and clients.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[KindInternal]
}

// Error is the one error type that crosses package borders.
type Error struct {
	Kind       Kind
	Code       string        // stable, machine readable, narrower than Kind; may be empty
	Field      string        // the faulty input, in the caller's own words; may be empty
	Message    string        // safe for a client; says what to do
	RetryAfter time.Duration // with KindRateLimited and KindUnavailable
	Err        error         // for the operator's log alone
}

// Error is for logs: it includes the cause. Clients get Message.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = e.Kind.String()
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// WithCode returns a copy with the code set.
func (e *Error) WithCode(code string) *Error {
	copied := *e
	copied.Code = code
	return &copied
}

// Because returns a copy carrying the cause.
func (e *Error) Because(cause error) *Error {
	copied := *e
	copied.Err = cause
	return &copied
}

// Invalid says that a field of the request is wrong and what would be right.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Unauthenticated says that the caller is not known.
func Unauthenticated(format string, args ...any) *Error {
	return &Error{Kind: KindUnauthenticated, Message: fmt.Sprintf(format, args...)}
}

// Denied says that a known caller may not do this, and which rule says so.
func Denied(format string, args ...any) *Error {
	return &Error{Kind: KindDenied, Message: fmt.Sprintf(format, args...)}
}

// NotFound says that the workspace has no such thing.
func NotFound(noun string) *Error {
	return &Error{Kind: KindNotFound, Message: "there is no such " + noun}
}

// Conflict says that a field collides with what exists.
func Conflict(field, format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Stale says that what the caller saw has changed since.
func Stale(format string, args ...any) *Error {
	return &Error{Kind: KindStale, Message: fmt.Sprintf(format, args...)}
}

// TooLarge says what the limit is.
func TooLarge(format string, args ...any) *Error {
	return &Error{Kind: KindTooLarge, Message: fmt.Sprintf(format, args...)}
}

// Unavailable says that a dependency is down and when to ask again.
func Unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	return &Error{Kind: KindUnavailable, RetryAfter: retryAfter, Message: fmt.Sprintf(format, args...)}
}

// Internal wraps a fault of ours. Its text never reaches a client.
func Internal(cause error) *Error {
	return &Error{Kind: KindInternal, Message: "something went wrong on our side", Err: cause}
}

// AsError classifies any error: the *Error inside it, or Internal around it. It is nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified
	}
	return Internal(err)
}

// KindOf is AsError(err).Kind, and KindInternal for nil.
func KindOf(err error) Kind {
	if classified := AsError(err); classified != nil {
		return classified.Kind
	}
	return KindInternal
}
