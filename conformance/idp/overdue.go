package idp

import (
	"context"
	"net/http"
	"sync"
)

// overdue is a copy of a request that is held up on its way: the identity provider has given it up and
// sends it again, and it arrives when a newer change of the same object has been made. A server cannot
// tell such a copy from a change of mind unless the copy says what it is about:
//
//   - a person's create, by the external id in it: somebody has that already;
//   - a change, by the version it is for (If-Match): the object has moved on;
//   - a DELETE, by the id: what is deleted never comes back under it.
//
// A copy of any other kind is not sent: no server withstands it.
type overdue struct {
	method, path string
	body         []byte
	version      string // of the object when it was sent first; empty for a create or a DELETE
}

// waiting is the copies of an object that have not arrived yet.
type waiting struct {
	lock   sync.Mutex
	copies []overdue
}

// holdUp keeps a copy of a request back, and reports whether it is one a server can withstand.
func (c *client) holdUp(ctx context.Context, o *object, method, path string, body []byte) bool {
	one := overdue{method: method, path: path, body: body}
	switch method {
	case http.MethodPost:
		if o.kind != "user" { // a group that was renamed is not known again
			return false
		}
	case http.MethodPut, http.MethodPatch:
		a, err := c.deliver(ctx, http.MethodGet, path+"?attributes=id", nil)
		if err != nil || a.status != http.StatusOK || a.version == "" {
			return false
		}
		one.version = a.version
	case http.MethodDelete:
	default:
		return false
	}
	o.waiting.lock.Lock()
	defer o.waiting.lock.Unlock()
	o.waiting.copies = append(o.waiting.copies, one)
	return true
}

// overtaken lets the copies of an object arrive, now that another request of it was carried out. The next
// change waits for them, as for every copy. What somebody deletes is not created again by a copy of its
// create: that one is forgotten, since nothing is left to know it by.
func (c *client) overtaken(ctx context.Context, o *object, method, path string, body []byte) {
	o.waiting.lock.Lock()
	defer o.waiting.lock.Unlock()
	kept := o.waiting.copies[:0]
	for _, one := range o.waiting.copies {
		switch {
		case one.method == method && one.path == path && string(one.body) == string(body):
			kept = append(kept, one) // the request it is a copy of: nothing newer yet
		case method == http.MethodDelete && one.method == http.MethodPost:
		default:
			c.meter.overtaken.Add(1)
			o.flying.Go(func() { c.arrive(ctx, one) })
		}
	}
	o.waiting.copies = kept
}

// arriveAll lets every copy of an object arrive that is still on its way.
func (c *client) arriveAll(ctx context.Context, o *object) {
	o.waiting.lock.Lock()
	copies := o.waiting.copies
	o.waiting.copies = nil
	o.waiting.lock.Unlock()
	for _, one := range copies {
		if one.method != http.MethodPost || !o.gone {
			c.arrive(ctx, one)
		}
	}
}

// arrive delivers a copy. Nobody hears of the answer.
func (c *client) arrive(ctx context.Context, one overdue) {
	header := http.Header{}
	if one.version != "" {
		header.Set("If-Match", one.version)
	}
	_, _ = c.deliverWith(ctx, one.method, one.path, one.body, header)
}
