package scim

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

// longestSortKey bounds what of a value counts for the order, in bytes: a cursor with it stands in an address.
const longestSortKey = 400

// list answers with a page of all that can be granted, filtered, sorted and paged as users are. It reads all of the
// workspace's accounts: there are thousands at most, and an import asks once in a while.
func (g grantable) list(r *request) (answer, error) {
	if err := r.governs(); err != nil {
		return answer{}, err
	}
	q, err := r.question()
	if err != nil {
		return answer{}, err
	}
	var found []placed
	err = r.eachAccount(func(account accounts.Account) {
		o := r.grantableResource(g, account)
		if q.filter == nil || g.kind.Matches(q.filter, o) {
			found = append(found, placed{o, directory.Position{Key: sortKey(g.kind, q.sortBy, o), Created: account.Created, ID: account.ID}})
		}
	})
	if err != nil {
		return answer{}, err
	}
	page := q.cut(found)
	list := newPage(heads(r, q, page, true))
	projection := r.projection(g.kind)
	for _, o := range page.Rows {
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}

func (r *request) eachAccount(visit func(accounts.Account)) error {
	query := accounts.ListQuery{Limit: 500}
	for {
		page, err := r.Accounts.List(r.Context(), r.DB, r.connection.Workspace, query)
		if err != nil {
			return err
		}
		for _, account := range page {
			visit(account)
		}
		if len(page) < query.Limit {
			return nil
		}
		query.After = page[len(page)-1].ID
	}
}

// placed is a resource and where in the order asked for it stands.
type placed struct {
	shown *resource.Object
	at    directory.Position
}

// cut sorts all that was found and takes the page asked for.
func (q *question) cut(found []placed) directory.Page[*resource.Object] {
	slices.SortFunc(found, func(a, b placed) int { return q.compare(a.at, b.at) })
	page := directory.Page[*resource.Object]{Total: len(found)}
	from := min(q.start-1, len(found))
	to := min(from+q.count, len(found))
	if q.cursor != nil && q.cursor.at != nil {
		at, there := slices.BinarySearchFunc(found, *q.cursor.at, func(one placed, at directory.Position) int { return q.compare(one.at, at) })
		if q.cursor.backward {
			from, to = max(at-q.count, 0), at
		} else {
			if there {
				at++
			}
			from, to = at, min(at+q.count, len(found))
		}
	}
	page.More = to < len(found)
	if q.cursor != nil && q.cursor.backward {
		page.More = from > 0
	}
	for _, one := range found[from:to] {
		page.Rows, page.At = append(page.Rows, one.shown), append(page.At, one.at)
	}
	return page
}

// compare compares two places as the database does: what has no value comes last, or first in descending order, and
// what has the same place in the order of ids, which is that of creation.
func (q *question) compare(a, b directory.Position) int {
	order := 0
	switch {
	case a.Key != nil && b.Key != nil:
		order = strings.Compare(*a.Key, *b.Key)
	case a.Key != nil:
		order = -1
	case b.Key != nil:
		order = 1
	}
	if q.falls {
		order = -order
	}
	return cmp.Or(order, bytes.Compare(a.ID[:], b.ID[:]))
}

// sortKey is what a resource is sorted by (RFC 7644, section 3.4.2.3); nil if it has no such value, or none with an
// order.
func sortKey(kind *resource.Type, by *filter.Path, o *resource.Object) *string {
	if by == nil {
		return nil
	}
	urn, attribute, _ := kind.Find(*by)
	if urn != "" || attribute == nil {
		return nil
	}
	value, _ := o.Get(attribute.Name)
	if inner, ok := value.(*resource.Object); ok && by.Sub != "" {
		value, _ = inner.Get(by.Sub)
		attribute = attribute.Sub(by.Sub)
	} else if by.Sub != "" {
		return nil
	}
	text, ok := value.(string)
	if !ok || attribute == nil {
		return nil
	}
	if attribute.Kind == "dateTime" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil
		}
		text = at.UTC().Format("2006-01-02T15:04:05.000000Z")
	} else if !attribute.CaseExact {
		text = resource.Fold(text)
	}
	return new(core.Cut(text, longestSortKey))
}
