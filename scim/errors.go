package scim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	scimerrors "github.com/elimity-com/scim/errors"

	"postern/core"
)

// notAllowed is a method an address does not take.
type notAllowed struct{ allowed string }

// Error implements error.
func (e notAllowed) Error() string { return "the method is not allowed" }

// scimTypes are the codes a client may see as scimType; a core.Error's other codes are ours.
var scimTypes = map[string]scimerrors.ScimType{
	"invalidFilter": scimerrors.ScimTypeInvalidFilter,
	"tooMany":       scimerrors.ScimTypeTooMany,
	"uniqueness":    scimerrors.ScimTypeUniqueness,
	"mutability":    scimerrors.ScimTypeMutability,
	"invalidSyntax": scimerrors.ScimTypeInvalidSyntax,
	"invalidPath":   scimerrors.ScimTypeInvalidPath,
	"noTarget":      scimerrors.ScimTypeNoTarget,
	"invalidValue":  scimerrors.ScimTypeInvalidValue,
	"invalidCursor": "invalidCursor", // RFC 9865, section 2.1
	"expiredCursor": "expiredCursor",
	"invalidCount":  "invalidCount",
}

// errorOf turns any error into the one a client sees, with the headers that belong to it. It is the
// only place that knows which kind has which status.
func errorOf(err error) (scimerrors.ScimError, map[string]string) {
	if ready, ok := errors.AsType[scimerrors.ScimError](err); ok {
		return ready, nil
	}
	if method, ok := errors.AsType[notAllowed](err); ok {
		return scimerrors.ScimError{Status: http.StatusMethodNotAllowed, Detail: "the address takes " + method.allowed}, map[string]string{"Allow": method.allowed}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = core.Unavailable(5*time.Second, "the request took too long; send it again")
	}
	e := core.AsError(err)
	detail := e.Message
	if e.Field != "" {
		detail = e.Field + ": " + detail
	}
	switch e.Kind {
	case core.KindInvalid:
		kind, known := scimTypes[e.Code]
		if !known {
			kind = scimerrors.ScimTypeInvalidValue
		}
		return scimerrors.ScimError{Status: http.StatusBadRequest, ScimType: kind, Detail: detail}, nil
	case core.KindUnauthenticated:
		challenge := `Bearer realm="Postern SCIM"`
		if e.Code != "missing_token" {
			challenge += `, error="invalid_token"`
		}
		return scimerrors.ScimError{Status: http.StatusUnauthorized, Detail: detail}, map[string]string{"WWW-Authenticate": challenge}
	case core.KindDenied:
		return scimerrors.ScimError{Status: http.StatusForbidden, Detail: detail}, nil
	case core.KindNotFound:
		return scimerrors.ScimError{Status: http.StatusNotFound, Detail: detail}, nil
	case core.KindConflict:
		var header map[string]string
		if taken, ok := errors.AsType[occupied](err); ok {
			header = map[string]string{"Location": taken.location}
		}
		return scimerrors.ScimError{Status: http.StatusConflict, ScimType: scimerrors.ScimTypeUniqueness, Detail: detail}, header
	case core.KindStale:
		return scimerrors.ScimError{Status: http.StatusPreconditionFailed, Detail: detail}, nil
	case core.KindTooLarge:
		return scimerrors.ScimError{Status: http.StatusRequestEntityTooLarge, Detail: detail}, nil
	case core.KindRateLimited:
		return scimerrors.ScimError{Status: http.StatusTooManyRequests, Detail: detail}, retryAfter(e.RetryAfter)
	case core.KindUnavailable:
		return scimerrors.ScimError{Status: http.StatusServiceUnavailable, Detail: detail}, retryAfter(e.RetryAfter)
	case core.KindInternal:
	}
	return scimerrors.ScimError{Status: http.StatusInternalServerError, Detail: "something went wrong on our side"}, nil
}

// retryAfter is in whole seconds, and at least one: Okta waits five minutes for anything else.
func retryAfter(wait time.Duration) map[string]string {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return map[string]string{"Retry-After": strconv.FormatInt(seconds, 10)}
}

// refuse answers with an error and records what has to be recorded of it.
func (r *request) refuse(err error) answer {
	shown, header := errorOf(err)
	if shown.Status >= http.StatusInternalServerError && shown.Status != http.StatusNotImplemented {
		r.log().ErrorContext(r.Context(), "a SCIM request failed", "address", r.address, "method", r.Method,
			"connection", r.connection.ID.String(), "correlation", r.cause.Correlation.String(), "error", err.Error())
	}
	subject := core.ID{}
	if taken, ok := errors.AsType[occupied](err); ok {
		subject = taken.id
	}
	r.recordRefusal(shown, subject)
	body, fault := json.Marshal(shown)
	if fault != nil { // an Error is two strings and a number
		body = []byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"500"}`)
	}
	return answer{status: shown.Status, header: header, body: body}
}
