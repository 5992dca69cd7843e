package problem

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// ContentType is the media type of a problem.
const ContentType = "application/problem+json"

// Problem is an error as a client sees it (RFC 9457). It is also an error, with the methods huma
// asks for, so an API operation can return it.
type Problem struct {
	Type      string  `json:"type" doc:"Always about:blank: title is the status in words, code says more" example:"about:blank"`
	Title     string  `json:"title" doc:"The status in words" example:"Not Found"`
	Status    int     `json:"status" doc:"The HTTP status" example:"404"`
	Detail    string  `json:"detail,omitempty" doc:"What is wrong and what to do, for a person" example:"there is no such account"`
	Code      string  `json:"code" doc:"What is wrong, stable, for a program" example:"not_found"`
	RequestID string  `json:"request_id,omitempty" doc:"Quote it to the operator: the log line of this request carries it"`
	Errors    []Fault `json:"errors,omitempty" doc:"Where the request is wrong"`

	retryAfter time.Duration
	cause      error
}

// Fault is one place where a request is wrong: a JSON pointer into the body, or the name of a
// parameter.
type Fault struct {
	Detail    string `json:"detail" example:"a username is needed"`
	Pointer   string `json:"pointer,omitempty" doc:"JSON pointer into the request body" example:"#/username"`
	Parameter string `json:"parameter,omitempty" doc:"Name of a path, query or header parameter"`
}

// Status is the HTTP status of a kind of error.
func Status(kind core.Kind) int {
	switch kind {
	case core.KindInvalid:
		return http.StatusBadRequest
	case core.KindUnauthenticated:
		return http.StatusUnauthorized
	case core.KindDenied:
		return http.StatusForbidden
	case core.KindNotFound:
		return http.StatusNotFound
	case core.KindConflict:
		return http.StatusConflict
	case core.KindStale:
		return http.StatusPreconditionFailed
	case core.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case core.KindRateLimited:
		return http.StatusTooManyRequests
	case core.KindUnavailable:
		return http.StatusServiceUnavailable
	case core.KindInternal:
	}
	return http.StatusInternalServerError
}

// Classify is core.AsError that also knows what HTTP itself does to a handler: a body cut off by
// the limit is TooLarge, and a deadline that ran out is Unavailable.
func Classify(err error) *core.Error {
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified
	}
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return core.TooLarge("a request body may have at most %d bytes", limit.Limit).Because(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return core.Unavailable(5*time.Second, "the answer took too long; try again").Because(err)
	}
	return core.AsError(err)
}

// From renders an error for the request of c: its request id, and whether a field is a part of the
// body or a parameter.
func From(c *gin.Context, err error) *Problem {
	classified := Classify(err)
	status := Status(classified.Kind)
	problem := &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: classified.Kind.String(),
		RequestID: RequestID(c), retryAfter: classified.RetryAfter, cause: err,
	}
	if classified.Kind == core.KindInternal {
		problem.Detail = core.Internal(nil).Message
		return problem
	}
	problem.Detail = classified.Message
	if classified.Code != "" {
		problem.Code = classified.Code
	}
	if classified.Field != "" {
		problem.Errors = []Fault{at(c, classified.Field, classified.Message)}
	}
	return problem
}

// at says where a field is: requests without a body have parameters only.
func at(c *gin.Context, field, message string) Fault {
	switch {
	case c == nil, c.Request == nil, c.Request.Method == http.MethodGet, c.Request.Method == http.MethodHead, c.Request.Method == http.MethodDelete:
		return Fault{Detail: message, Parameter: field}
	}
	return Fault{Detail: message, Pointer: Pointer(field)}
}

// Pointer turns a field written with dots and brackets, such as domains[0].name, into a JSON
// pointer: #/domains/0/name.
func Pointer(field string) string {
	var pointer strings.Builder
	pointer.WriteByte('#')
	for part := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		pointer.WriteByte('/')
		pointer.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return pointer.String()
}

// Write answers the request with an error and ends it: no later handler runs. The cause goes into
// the access log's line, never to the client. After an answer has begun nothing is written.
func Write(c *gin.Context, err error) {
	problem := From(c, err)
	if err != nil {
		_ = c.Error(err)
	}
	c.Abort()
	if c.Writer.Written() {
		return
	}
	for name, values := range problem.GetHeaders() {
		c.Writer.Header()[name] = values
	}
	body, marshalErr := json.Marshal(problem)
	if marshalErr != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(problem.Status, ContentType, append(body, '\n'))
}

// RetryAfter is a duration in the whole seconds of a Retry-After header: rounded up, at least one.
func RetryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

// Error implements error, for logs.
func (p *Problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.Detail
}

// Unwrap gives the error the problem was made from.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders is what goes with the body: when to come back, and how to authenticate.
func (p *Problem) GetHeaders() http.Header {
	header := http.Header{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", RetryAfter(p.retryAfter))
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Bearer realm="postern"`)
	}
	return header
}

// ContentType is the media type of a problem, whatever the rest of an API speaks.
func (p *Problem) ContentType(string) string { return ContentType }
