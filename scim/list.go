package scim

import (
	"net/http"
	"strconv"

	"postern/core/directory"
	"postern/scim/resource"
)

// list is a ListResponse being written.
type list struct {
	body  []byte
	begun bool
}

// heading is what a ListResponse says before its resources.
type heading struct {
	total, start, shown int // start 0: the page was asked for by a cursor
	next, previous      string
}

func newPage(h heading) *list {
	body := make([]byte, 0, 512+h.shown*1024)
	body = append(body, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":`...)
	body = strconv.AppendInt(body, int64(h.total), 10)
	if h.start > 0 {
		body = append(body, `,"startIndex":`...)
		body = strconv.AppendInt(body, int64(h.start), 10)
	}
	body = append(body, `,"itemsPerPage":`...)
	body = strconv.AppendInt(body, int64(h.shown), 10)
	if h.next != "" {
		body = append(append(append(body, `,"nextCursor":"`...), h.next...), '"')
	}
	if h.previous != "" {
		body = append(append(append(body, `,"previousCursor":"`...), h.previous...), '"')
	}
	body = append(body, `,"Resources":[`...)
	return &list{body: body}
}

func (l *list) add(o *resource.Object) {
	if l.begun {
		l.body = append(l.body, ',')
	}
	l.begun = true
	l.body = o.Append(l.body)
}

func (l *list) answer() answer {
	return answer{status: http.StatusOK, body: append(l.body, "]}"...)}
}

// heads is the heading of a page, and remembers for the next one where this one ended. kept says that
// the total is known without counting.
func heads[Row any](r *request, q *question, page directory.Page[Row], kept bool) heading {
	h := heading{total: page.Total, start: q.start, shown: len(page.Rows)}
	if q.known != nil && q.known.total >= 0 {
		h.total = q.known.total
	}
	if q.cursor == nil {
		if page.More && h.shown > 0 {
			total := h.total
			if kept {
				total = -1
			}
			r.walks.remember(stretch{walk{q.about, q.start + h.shown}, page.At[h.shown-1], total, r.now().Add(walkLife)})
		}
		return h
	}
	h.start = 0
	if h.shown == 0 {
		return h
	}
	// Whoever came from somewhere can go back there; further on, if there is more.
	if q.cursor.backward || page.More {
		h.next = cursor{at: &page.At[h.shown-1]}.write(q.about, r.now())
	}
	if q.cursor.at != nil && (!q.cursor.backward || page.More) {
		h.previous = cursor{at: &page.At[0], backward: true}.write(q.about, r.now())
	}
	return h
}
