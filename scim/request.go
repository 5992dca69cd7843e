package scim

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"

	scimerrors "github.com/elimity-com/scim/errors"
)

const (
	contentType = "application/scim+json"
	// maxBody bounds a request's body in bytes.
	maxBody = 1 << 20
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
	cause      core.Cause
	profile    resource.Profile
	address    string // /Users/{id}
	id         string // what stands for {id}
	parameters url.Values
	sight      *directory.Sight // of the user the address names; nil if it was not looked up on the way
}

// answer is what a request is answered with. A body of nil is none.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

func (r *request) handle(routes map[string]route, path, client string) (a answer, err error) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if cause, ok := fault.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
			panic(fault) // net/http's own way to drop a connection
		}
		r.log().ErrorContext(r.Context(), "panic", "address", r.address, "stack", string(debug.Stack()))
		err = core.Internal(fmt.Errorf("scim: panic: %v", fault))
	}()
	address, id, methods, found := find(routes, path)
	r.address, r.id, r.parameters = address, id, r.URL.Query()
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	leave, err := r.admit(client)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	if err := r.authenticate(client, method); err != nil {
		return answer{}, err
	}
	if !found {
		return answer{}, core.NotFound("address")
	}
	serve, takes := methods[method]
	switch {
	case len(methods) == 0:
		return answer{}, scimerrors.ScimError{Status: http.StatusNotImplemented, Detail: "this is not supported; /ServiceProviderConfig says what is"}
	case !takes:
		return answer{}, notAllowed{methods.allowed()}
	}
	return serve(r)
}

// document reads the body.
func (r *request) document() (*resource.Object, error) {
	if err := acceptable(r.Header); err != nil {
		return nil, err
	}
	tooLarge := core.TooLarge("a request may have %d bytes", maxBody)
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(r.writer, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge
	}
	if err != nil {
		return nil, core.Invalid("", "the body could not be read to its end").WithCode("invalidSyntax").Because(err)
	}
	return resource.Decode(body)
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
	if err != nil || media != contentType && media != "application/json" {
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

// etag is how a version is written.
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// precondition refuses a change meant for another version.
func (r *request) precondition(version int64) error {
	header := r.Header.Get("If-Match")
	if header == "" || matchesTag(header, version) {
		return nil
	}
	return &core.Error{Kind: core.KindStale, Message: "the resource has changed; read it again"}
}

// unchanged reports whether the client has this version already.
func (r *request) unchanged(version int64) bool {
	header := r.Header.Get("If-None-Match")
	return header != "" && matchesTag(header, version)
}

func matchesTag(header string, version int64) bool {
	wanted := strings.TrimPrefix(etag(version), "W/")
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == wanted {
			return true
		}
	}
	return false
}

// cut shortens a text to at most size bytes of valid UTF-8.
func cut(text string, size int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}
