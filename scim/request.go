package scim

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"

	scimerrors "github.com/elimity-com/scim/errors"
)

const (
	contentType = "application/scim+json"
	plainType   = "application/json"
	// maxUserAgent bounds what an event keeps of the client's name for itself.
	maxUserAgent = 200
)

// request is one authenticated request on its way.
type request struct {
	*Service
	*http.Request

	writer     http.ResponseWriter
	received   time.Time
	connection directory.Connection
	claim      *directory.Claim // the connection is recalled: a change has to ask for it; nil: it is certain
	cause      core.Cause
	profile    resource.Profile
	routes     map[string]route
	path       string // under the endpoint: /Users/0198…
	address    string // the route of it: /Users/{id}; empty: there is none
	id         string // what stands for {id}
	parameters url.Values
	sight      *directory.Sight // of the user the address names; nil if it was not looked up on the way
	arrival    arrival          // the body, read
	sent       *resource.Object // the body of an operation inside another request; nil: it came by itself
	body       *string          // what the journal keeps of the body
	media      string           // the type the answer has
}

// answer is what a request is answered with. A body of nil is none.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// handle lets the request in and carries it out or refuses it, which costs the database something too,
// before its place is given back. The error is what it was refused for.
func (r *request) handle(client string) (a answer, err error) {
	r.route()
	r.media = contentType
	done, err := r.receive(client)
	defer done()
	if err != nil {
		return r.refuse(err), err
	}
	leave, err := r.admit(client)
	if err != nil {
		return r.refuse(err), err
	}
	defer leave()
	if a, err = r.attempt(client); err != nil {
		return r.refuse(err), err
	}
	r.recordReading(a.status)
	return a, nil
}

func (r *request) attempt(client string) (a answer, err error) {
	defer r.recover(&err)
	if r.recall(client) {
		if a, err = r.perform(); err == nil {
			return a, nil
		}
		// Why it failed is told to nobody but the connection, and a claim that failed may only be old.
		if old := directory.ClaimFailed(err); !old {
			return answer{}, cmp.Or(r.confirm(client), err)
		}
	}
	if err := r.authenticate(client, r.reading()); err != nil {
		return answer{}, err
	}
	return r.perform()
}

// perform carries out a request whose sender is known.
func (r *request) perform() (answer, error) {
	media, acceptable := negotiate(r.Header.Values("Accept"))
	if !acceptable {
		return answer{}, scimerrors.ScimError{Status: http.StatusNotAcceptable, Detail: "answers are application/scim+json or application/json; the Accept header excludes both"}
	}
	r.media = media
	return r.dispatch()
}

// recover turns a panic into an error, so that it costs one request and not the process.
func (r *request) recover(err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	if cause, ok := fault.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
		panic(fault) // net/http's own way to drop a connection
	}
	r.log().ErrorContext(r.Context(), "panic", "address", r.address, "stack", string(debug.Stack()))
	*err = core.Internal(fmt.Errorf("scim: panic: %v", fault))
}

// route finds what the path names.
func (r *request) route() {
	r.address, r.id, _ = find(r.routes, r.path)
	r.parameters = r.URL.Query()
}

// reading is the method whose handler serves the request: HEAD is a GET without a body.
func (r *request) reading() string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

// dispatch has the address's handler serve the request.
func (r *request) dispatch() (answer, error) {
	methods, found := r.routes[r.address]
	if !found {
		return answer{}, core.NotFound("address")
	}
	if serve, takes := methods[r.reading()]; takes {
		if err := r.sensitive(); err != nil {
			return answer{}, err
		}
		return serve(r)
	}
	if serve, takes := methods[everyMethod]; takes {
		return serve(r)
	}
	if r.Method == http.MethodOptions {
		return answer{status: http.StatusNoContent, header: map[string]string{"Allow": methods.allowed()}}, nil
	}
	return answer{}, notAllowed{methods.allowed()}
}

// document is the body.
func (r *request) document() (*resource.Object, error) {
	if r.sent != nil {
		r.keep(nil, r.sent)
		return r.sent, nil
	}
	if err := acceptable(r.Header); err != nil {
		return nil, err
	}
	if r.arrival.fault != nil {
		return nil, r.arrival.fault
	}
	read, err := resource.Decode(r.arrival.text)
	if err == nil {
		r.keep(r.arrival.text, read)
	}
	return read, err
}

// acceptable refuses a body in anything but JSON in UTF-8.
func acceptable(header http.Header) error {
	unsupported := scimerrors.ScimError{Status: http.StatusUnsupportedMediaType, Detail: "send application/scim+json in UTF-8, not compressed"}
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported
	}
	kind := header.Get("Content-Type")
	if kind == "" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(kind)
	if err != nil || media != contentType && media != plainType {
		return unsupported
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupported
	}
	return nil
}

// resourceID reads the id of the address. What is no id names nothing.
func (r *request) resourceID(noun string) (core.ID, error) {
	id, err := core.ParseID(r.id)
	if err != nil || id.IsZero() {
		return core.ID{}, core.NotFound(noun)
	}
	return id, nil
}

// projection is which attributes the client wants to see.
func (r *request) projection(kind *resource.Type) resource.Projection {
	return kind.Projection(r.parameters.Get("attributes"), r.parameters.Get("excludedAttributes"))
}
