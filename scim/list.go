package scim

import (
	"math"
	"net/http"
	"strconv"

	"postern/core"
	"postern/scim/resource"
)

const (
	// defaultCount is the size of a page nobody asked a size for.
	defaultCount = 100
	// maxResults bounds a page.
	maxResults = 500
)

// page is a stretch of a list, counted from 1.
type page struct {
	start int
	count int
}

// page reads startIndex and count, as lenient as RFC 7644, section 3.4.2.4, wants it.
func (r *request) page() (page, error) {
	start, err := r.integer("startIndex", 1)
	if err != nil {
		return page{}, err
	}
	count, err := r.integer("count", defaultCount)
	if err != nil {
		return page{}, err
	}
	return page{start: min(max(start, 1), math.MaxInt32), count: min(max(count, 0), maxResults)}, nil
}

func (r *request) integer(name string, otherwise int) (int, error) {
	text := r.parameters.Get(name)
	if text == "" {
		return otherwise, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, core.Invalid(name, "a whole number is expected").WithCode("invalidValue")
	}
	return int(min(max(number, math.MinInt32), math.MaxInt32)), nil
}

func (p page) offset() int { return p.start - 1 }

// limit is the count as the directory understands it, where zero means the default.
func (p page) limit() int {
	if p.count == 0 {
		return -1
	}
	return p.count
}

// window cuts the page out of a whole list.
func window[Row any](rows []Row, p page) []Row {
	from := min(p.offset(), len(rows))
	return rows[from:min(from+p.count, len(rows))]
}

// list is a ListResponse being written.
type list struct {
	body  []byte
	begun bool
}

func newList(total int, p page, shown int) *list {
	body := make([]byte, 0, 256+shown*1024)
	body = append(body, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":`...)
	body = strconv.AppendInt(body, int64(total), 10)
	body = append(body, `,"startIndex":`...)
	body = strconv.AppendInt(body, int64(p.start), 10)
	body = append(body, `,"itemsPerPage":`...)
	body = strconv.AppendInt(body, int64(shown), 10)
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
