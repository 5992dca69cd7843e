package scim

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"postern/core"
	"postern/scim/resource"
)

const (
	bulkSchema         = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponseSchema = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	// maxOperations bounds the operations of one Bulk; maxBody bounds its bytes.
	maxOperations = 1000
	// bulkRecheck is how often the token of a Bulk is looked up again while its operations run.
	bulkRecheck = time.Second
)

// bulk is POST /Bulk (RFC 7644, section 3.7): many requests in one. Each operation goes the way it
// would have gone alone, in a transaction of its own, so that one that fails takes nothing from the
// others, and with a journal entry of its own under the correlation they share. Results are in the
// order of the request. A token that ends meanwhile ends the rest within a second.
func (s *Service) bulk(r *request) (answer, error) {
	body, err := r.document()
	if err != nil {
		return answer{}, err
	}
	work, err := readBulk(body, s.base())
	if err != nil {
		return answer{}, err
	}
	work.run(r.Context(), r.whileAdmitted(r.operate))
	list := make([]any, 0, len(work.operations))
	for _, o := range work.operations {
		if o.outcome != nil {
			list = append(list, o.result(s.base()))
		}
	}
	shown := resource.NewObject("schemas", []any{bulkResponseSchema}, "Operations", list)
	return answer{status: http.StatusOK, body: shown.Append(make([]byte, 0, 64+256*len(list)))}, nil
}

// whileAdmitted has operations carried out for as long as the token that came with the Bulk is good.
// What is left then is refused as requests of their own would be, with 401. One that could not be
// looked up is the fault of one operation: the next asks again.
func (r *request) whileAdmitted(perform performer) performer {
	looked := r.received
	var ended error
	return func(o *operation, path string, data *resource.Object, fault error) *outcome {
		if now := r.now(); ended == nil && now.Sub(looked) >= bulkRecheck {
			err := r.stillAdmitted()
			switch {
			case err == nil:
				looked = now
			case core.KindOf(err) == core.KindUnauthenticated:
				ended = err
			default:
				return perform(o, path, nil, err)
			}
		}
		if ended != nil {
			return perform(o, path, nil, ended)
		}
		return perform(o, path, data, fault)
	}
}

// stillAdmitted is nil while the token of the request is its connection's.
func (r *request) stillAdmitted() error {
	token, err := bearerToken(r.Header)
	if err == nil {
		_, err = r.Directory.AuthenticateConnection(r.Context(), token)
	}
	return err
}

// operate carries out one operation as if it had come alone: through the same routes, to the same
// handlers. fault says that it cannot be: then it is refused as such a request would be.
func (r *request) operate(o *operation, path string, data *resource.Object, fault error) *outcome {
	header := http.Header{"User-Agent": r.Header.Values("User-Agent")}
	if o.version != "" {
		header.Set("If-Match", o.version)
	}
	inner := r.Request.WithContext(r.Context())
	inner.Method, inner.Header, inner.Body, inner.ContentLength = o.method, header, http.NoBody, 0
	inner.URL = &url.URL{Path: root + path, RawQuery: o.query}
	single := &request{
		Service: r.Service, Request: inner, writer: r.writer, received: r.received, connection: r.connection, cause: r.cause, profile: r.profile,
		routes: r.routes, path: path, sent: data, media: r.media,
	}
	single.profile.Rules = &resource.Rules{}
	a, err := single.alone(fault)
	if err != nil {
		a = single.refuse(err)
	}
	for _, rule := range single.profile.Rules.List() {
		r.profile.Rules.Fire(rule)
	}
	return &outcome{status: a.status, location: a.header["Location"], version: a.header["ETag"], problem: a.problem()}
}

// alone dispatches one operation. A panic in it is its own.
func (r *request) alone(fault error) (a answer, err error) {
	defer r.recover(&err)
	r.route()
	if fault != nil {
		return answer{}, fault
	}
	return r.dispatch()
}

// problem is the body of an answer that is an error.
func (a answer) problem() []byte {
	if a.status < http.StatusBadRequest {
		return nil
	}
	return a.body
}

// bulk is a Bulk being carried out.
type bulk struct {
	operations   []*operation
	failOnErrors int                   // so many errors end it; 0: none do
	makers       map[string]*operation // by the bulkId of what they make
}

// readBulk reads a BulkRequest. An operation that makes no sense is an error of its own, kept in it.
func readBulk(body *resource.Object, base string) (*bulk, error) {
	if !declares(body, bulkSchema) {
		return nil, core.Invalid("schemas", "a Bulk lists %s here", bulkSchema).WithCode("invalidSyntax")
	}
	value, _ := body.Get("Operations")
	list, isList := value.([]any)
	if !isList || len(list) == 0 {
		return nil, core.Invalid("Operations", "a list of at least one operation is expected").WithCode("invalidSyntax")
	}
	if len(list) > maxOperations {
		return nil, core.TooLarge("a Bulk may have %d operations (maxOperations) and %d bytes (maxPayloadSize)", maxOperations, maxBody)
	}
	work := &bulk{operations: make([]*operation, 0, len(list)), makers: map[string]*operation{}}
	switch limit, _ := body.Get("failOnErrors"); limit := limit.(type) {
	case nil:
	case resource.Number:
		number, err := strconv.ParseInt(string(limit), 10, 32)
		if err != nil || number < 1 {
			return nil, core.Invalid("failOnErrors", "a whole number of at least 1 is expected").WithCode("invalidValue")
		}
		work.failOnErrors = int(number)
	default:
		return nil, core.Invalid("failOnErrors", "a whole number is expected").WithCode("invalidValue")
	}
	for _, element := range list {
		o := readOperation(element, base)
		work.operations = append(work.operations, o)
		if o.method != http.MethodPost || o.bulkID == "" {
			continue
		}
		if first, taken := work.makers[o.bulkID]; taken {
			// Whoever refers to it could mean either, so neither is made.
			first.fault, o.fault = twice(), twice()
			continue
		}
		work.makers[o.bulkID] = o
	}
	return work, nil
}

func twice() error {
	return core.Invalid("bulkId", "two operations have the same bulkId").WithCode("invalidValue")
}

// performer carries out an operation with its references resolved, or refuses it with a fault.
type performer func(o *operation, path string, data *resource.Object, fault error) *outcome

// run carries the operations out in their order, but for those that refer to what a later one makes:
// they wait for it. When all that are left wait in a circle, one of it is made without what it cannot
// know yet, and is given it later. It ends with the context, since nobody waits for the rest.
func (b *bulk) run(ctx context.Context, perform performer) {
	waits := b.link()
	failures := 0
	for ctx.Err() == nil {
		o := b.next()
		if o == nil {
			break
		}
		if o.outcome == nil {
			o.begin(b, perform)
		} else {
			o.complete(b, perform)
		}
		if o.outcome.status >= http.StatusBadRequest {
			failures++
		}
		if !o.settled {
			o.settled = true
			if b.makers[o.bulkID] == o {
				for _, waiting := range waits[o.bulkID] {
					waiting.unknown--
				}
			}
		}
		if b.failOnErrors > 0 && failures >= b.failOnErrors {
			break
		}
	}
	for _, o := range b.operations {
		if o.rest != nil && o.outcome.problem == nil {
			o.outcome.fail(core.Conflict("", "the resource was made, but what it refers to was not: the Bulk ended before"))
		}
	}
}

// link counts for each operation what it has to wait for, and says who waits for a bulkId.
func (b *bulk) link() map[string][]*operation {
	waits := map[string][]*operation{}
	for _, o := range b.operations {
		for _, id := range o.needs {
			if b.makers[id] != nil {
				o.unknown++
				waits[id] = append(waits[id], o)
			}
		}
	}
	return waits
}

// next is the first operation that can be carried out or completed; nil when all are done.
func (b *bulk) next() *operation {
	var stuck *operation
	for _, o := range b.operations {
		switch {
		case o.outcome != nil && (o.rest == nil || o.unknown > 0):
		case o.unknown == 0:
			return o
		case stuck == nil:
			stuck = o
		}
	}
	if stuck == nil {
		return nil
	}
	// Whoever is met twice on the way from one to what it waits for is part of a circle.
	met := map[*operation]bool{}
	for !met[stuck] {
		met[stuck] = true
		for _, id := range stuck.needs {
			if maker := b.makers[id]; maker != nil && !maker.settled {
				stuck = maker
				break
			}
		}
	}
	return stuck
}
