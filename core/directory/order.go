package directory

import (
	"time"

	"postern/core"
)

// Order is how a list is sorted. The zero Order is the order of creation. Whatever has the same place
// follows in the order of creation too, and of ids, so that every order is total.
type Order struct {
	By         Field  // a column, or
	Path       []Name // a value in the attributes: of a list, the primary element's or the first's
	Sub        []Name // of a complex value, which of its parts
	Exact      bool   // text is sorted by its characters as they are, not whatever their case
	Numeric    bool   // the value in the attributes is a number
	Descending bool   // what has no value comes last in ascending order, and first in this one
}

// Position is where in a list a row stands: enough to go on from there, even if the row has gone.
type Position struct {
	Key     *string // what the list is sorted by, as text; nil: the row has none
	Created time.Time
	ID      core.ID
}

// plain reports whether the order is the one of creation.
func (o Order) plain() bool {
	return o.By == "" && len(o.Path) == 0 || o.By == FieldCreated && !o.Descending
}

// longestKey bounds what of a value counts for the order, in characters. A position travels in
// addresses.
const longestKey = "200"

// key is what the list is sorted by as SQL, its type, and whether every row has it.
func (w *writer) key(o Order) (key, kind string, always bool) {
	if w.table == "teams" { // which have neither
		switch o.By {
		case FieldActive:
			return "null::boolean", "boolean", false
		case FieldUserName:
			return "null::text", "text", false
		default:
		}
	}
	switch o.By {
	case FieldID:
		return w.column(o.By), "uuid", true
	case FieldActive:
		return w.column(o.By), "boolean", true
	case FieldCreated, FieldUpdated:
		return w.column(o.By), "timestamptz", true
	case FieldVersion:
		return w.column(o.By), "bigint", true
	case FieldUserName:
		return w.folded(w.column(o.By), o.Exact), "text", true
	case FieldDisplayName, FieldExternalID:
		if w.table == "teams" && o.By == FieldDisplayName {
			return w.folded(w.column(o.By), o.Exact), "text", true
		}
		return w.folded("nullif("+w.column(o.By)+", '')", o.Exact), "text", false
	}
	list := w.at(o.Path)
	outer := w.scope
	w.scope = "s.value"
	value := w.scope
	if len(o.Sub) > 0 {
		value = w.at(o.Sub)
	}
	w.scope = outer
	scalar := "(select case jsonb_typeof(v.value) when 'object' then v.value ->> 'value' when 'array' then null else v.value #>> '{}' end" +
		" from (select " + value + " as value from (select " + list + " as list offset 0) l, jsonb_array_elements(case jsonb_typeof(l.list)" +
		" when 'array' then l.list else jsonb_build_array(l.list) end) with ordinality s (value, number)" +
		" order by s.value @> '{\"primary\": true}' desc, s.number limit 1) v)"
	if o.Numeric {
		return "(" + scalar + ")::numeric", "numeric", false
	}
	return w.folded("left("+scalar+", "+longestKey+")", o.Exact), "text", false
}

func (w *writer) folded(text string, exact bool) string {
	if exact {
		return text + ` collate "C"`
	}
	return "fold(" + text + `) collate "C"`
}

// distinct reports whether no two rows have the same key, so that nothing has to be sorted but by it.
func (w *writer) distinct(o Order) bool {
	return o.By == FieldID || !o.Exact && (w.table == "users" && o.By == FieldUserName || w.table == "teams" && o.By == FieldDisplayName)
}

// sorting writes the order by clause, and the condition that a row comes behind a position. Backward
// turns both round. key is empty for the order of creation.
func (w *writer) sorting(key, kind string, always bool, o Order, from *Position, backward bool) (orderBy, behind string) {
	tie, than := " asc", ">"
	if backward {
		tie, than = " desc", "<"
	}
	created, id := w.table+".created", w.table+".id"
	orderBy = created + tie + ", " + id + tie
	descending := o.Descending != backward
	switch {
	case key == "":
	case w.distinct(o) && descending:
		orderBy = key + " desc nulls first"
	case w.distinct(o):
		orderBy = key + " asc nulls last"
	case descending:
		orderBy = key + " desc nulls first, " + orderBy
	default:
		orderBy = key + " asc nulls last, " + orderBy
	}
	if from == nil {
		return orderBy, ""
	}
	tied := "(" + created + ", " + id + ") " + than + " (" + w.parameter(from.Created, "timestamptz") + ", " + w.parameter(from.ID, "uuid") + ")"
	if key == "" {
		return orderBy, tied
	}
	comes := ">"
	if descending {
		comes = "<"
	}
	if from.Key == nil {
		behind = "(" + key + ") is null and " + tied
		if descending {
			behind = "(" + behind + " or (" + key + ") is not null)"
		}
		return orderBy, behind
	}
	at := w.parameter(*from.Key, kind)
	behind = key + " " + comes + "= " + at + " and (" + key + " " + comes + " " + at + " or " + tied + ")"
	if !descending && !always {
		behind = "(" + behind + " or (" + key + ") is null)"
	}
	return orderBy, behind
}
