package scim

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

// What a list answers with, as the configuration of the service tells it (RFC 9865, section 4).
const (
	// defaultCount is the size of a page nobody asked a size for.
	defaultCount = 100
	// maxResults bounds a page.
	maxResults = 500
	// cursorLife is how long a cursor can be used.
	cursorLife = time.Hour
)

// parseFilter reads the filter parameter; nil when there is none.
func (r *request) parseFilter() (filter.Expression, error) {
	text := r.parameters.Get("filter")
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return r.profile.ParseFilter(text)
}

// question is what a list was asked for.
type question struct {
	filter filter.Expression
	sortBy *filter.Path // nil: the order of creation
	falls  bool         // in descending order
	start  int          // the first row wanted, from 1; with a cursor, nothing
	count  int
	about  [sha256.Size]byte // connection, list, filter and order
	cursor *cursor           // nil: counted from startIndex
	known  *stretch          // how far an earlier page came, if this one goes on from there
}

// question reads filter, sortBy, sortOrder, startIndex, count and cursor, as lenient as RFC 7644,
// section 3.4.2, wants it.
func (r *request) question() (*question, error) {
	q := &question{}
	var err error
	if q.filter, err = r.parseFilter(); err != nil {
		return nil, err
	}
	if err := r.sorting(q); err != nil {
		return nil, err
	}
	if q.start, err = r.integer("startIndex", 1); err != nil {
		return nil, err
	}
	q.start = min(max(q.start, 1), math.MaxInt32)
	if q.count, err = r.integer("count", defaultCount); err != nil {
		if r.parameters.Has("cursor") {
			err = core.AsError(err).WithCode("invalidCount")
		}
		return nil, err
	}
	q.about = r.about(q)
	if r.parameters.Has("cursor") {
		if q.count > maxResults {
			return nil, core.Invalid("count", "a page has at most %d resources", maxResults).WithCode("invalidCount")
		}
		q.start = 1
		if q.cursor, err = r.readCursor(q.about); err != nil {
			return nil, err
		}
	}
	q.count = min(max(q.count, 0), maxResults)
	if q.cursor == nil && q.start > 1 {
		q.known = r.walks.find(q.about, q.start, r.now())
	}
	return q, nil
}

func (r *request) sorting(q *question) error {
	text := strings.TrimSpace(r.parameters.Get("sortBy"))
	if text == "" {
		return nil
	}
	path, err := filter.ParsePath(text, filter.Options{})
	if err != nil || path.Filter != nil {
		return core.Invalid("sortBy", "the name of an attribute is expected, such as userName or name.familyName").WithCode("invalidPath")
	}
	q.sortBy = &path
	switch order := r.parameters.Get("sortOrder"); {
	case order == "" || equalFold(order, "ascending"):
	case equalFold(order, "descending"):
		q.falls = true
	default:
		return core.Invalid("sortOrder", "ascending or descending is expected").WithCode("invalidValue")
	}
	return nil
}

// integer reads a number. In a SearchRequest it may come as a string, too.
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

// about names a list, whatever part of it is asked for: what a cursor and a walk are bound to.
func (r *request) about(q *question) [sha256.Size]byte {
	h := sha256.New()
	for _, text := range []string{
		r.connection.ID.String(), strings.TrimSuffix(strings.TrimSuffix(r.address, ".search"), "/"), r.id, r.parameters.Get("filter"), sortName(q), strconv.FormatBool(q.falls),
	} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func sortName(q *question) string {
	if q.sortBy == nil {
		return ""
	}
	return strings.ToLower(q.sortBy.String())
}

// search is the question as the directory is asked it about one kind of resource.
func (r *request) search(kind *resource.Type, q *question) (directory.Search, error) {
	return r.searchAs(kind, q, r.profile.Strict)
}

func (r *request) searchAs(kind *resource.Type, q *question, strict bool) (directory.Search, error) {
	where, err := r.condition(kind, q.filter, strict)
	if err != nil {
		return directory.Search{}, err
	}
	search := directory.Search{Connection: r.connection.ID, Where: where, Order: r.order(kind, q), Limit: q.count, Total: true}
	switch {
	case q.cursor != nil && q.cursor.backward:
		search.Before = q.cursor.at
	case q.cursor != nil:
		search.After = q.cursor.at
	case q.known != nil:
		search.After = &q.known.end
		search.Total = q.known.total < 0
	default:
		search.Offset = q.start - 1
	}
	return search, nil
}

// order is what a kind of resource is sorted by (RFC 7644, section 3.4.2.3). What a list cannot be
// sorted by leaves it in the order of creation.
func (r *request) order(kind *resource.Type, q *question) directory.Order {
	o := directory.Order{Descending: q.falls}
	if q.sortBy == nil {
		return directory.Order{}
	}
	urn, known, schemaKnown := kind.Find(*q.sortBy)
	if urn != "" || known == nil {
		if urn != "" {
			o.Path = append(o.Path, directory.Name{Text: urn, Loose: !schemaKnown})
		}
		o.Path = append(o.Path, nameOf(known, q.sortBy.Name))
	} else {
		switch known.Name {
		case "id":
			o.By = directory.FieldID
		case "externalId":
			o.By = directory.FieldExternalID
		case "userName":
			o.By = directory.FieldUserName
		case "displayName":
			o.By = directory.FieldDisplayName
		case "active":
			o.By = directory.FieldActive
		case "meta":
			o.By = metaOrder[strings.ToLower(q.sortBy.Sub)]
		case "schemas", "groups", "members":
		default:
			o.Path = []directory.Name{nameOf(known, q.sortBy.Name)}
			for _, g := range grantables {
				if g.attribute == known.Name && kind == userType && r.grants() {
					o.Path = []directory.Name{g.held()}
				}
			}
		}
	}
	if o.By == "" && len(o.Path) == 0 {
		return directory.Order{}
	}
	leaf := known
	if part := known.Sub(q.sortBy.Sub); q.sortBy.Sub != "" {
		leaf = part
		o.Sub = []directory.Name{nameOf(part, q.sortBy.Sub)}
	} else if inner := known.Sub("value"); inner != nil {
		leaf = inner
	}
	if leaf != nil {
		o.Exact, o.Numeric = leaf.CaseExact, leaf.Kind == "integer" || leaf.Kind == "decimal"
	}
	return o
}

var metaOrder = map[string]directory.Field{
	"created": directory.FieldCreated, "lastmodified": directory.FieldUpdated, "version": directory.FieldVersion, "location": directory.FieldID,
}
