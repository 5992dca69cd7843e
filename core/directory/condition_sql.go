package directory

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// writer turns a tree of conditions into the text of a where clause. Every piece of that text is a
// constant of this file; names and values are parameters.
type writer struct {
	strings.Builder
	args    pgx.StrictNamedArgs
	table   string // users or teams
	scope   string // the JSON value paths begin at and Scalar is about
	aliases int
}

func newWriter(table string, workspace, connection core.ID) *writer {
	w := &writer{table: table, scope: table + ".attributes", args: pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}}
	return w
}

func (w *writer) put(pieces ...string) {
	for _, piece := range pieces {
		w.WriteString(piece)
	}
}

// parameter adds a value and returns how the text refers to it.
func (w *writer) parameter(value any, kind string) string {
	name := "p" + strconv.Itoa(len(w.args))
	w.args[name] = value
	return "@" + name + "::" + kind
}

func (w *writer) alias() string {
	w.aliases++
	return "e" + strconv.Itoa(w.aliases)
}

func (c Always) write(w *writer) { w.put(strconv.FormatBool(bool(c))) }

func (c All) write(w *writer) { w.join(c, " and ", "true") }

func (c Any) write(w *writer) { w.join(gather(c), " or ", "false") }

func (w *writer) join(parts []Condition, word, none string) {
	if len(parts) == 0 {
		w.put(none)
		return
	}
	w.put("(")
	for i, part := range parts {
		if i > 0 {
			w.put(word)
		}
		part.write(w)
	}
	w.put(")")
}

func (c Not) write(w *writer) {
	w.put("not ")
	All{c.Condition}.write(w)
}

// column is a field as SQL. The fields of a link are those of the alias linked.
func (w *writer) column(f Field) string {
	switch f {
	case LinkedID:
		return "linked.id"
	case LinkedName:
		if w.table == "users" {
			return "linked.display_name"
		}
		return "coalesce(nullif(linked.display_name, ''), linked.user_name)"
	case FieldID, FieldUserName, FieldDisplayName, FieldExternalID, FieldActive, FieldCreated, FieldUpdated, FieldVersion:
		return w.table + "." + string(f)
	}
	return "null"
}

// text is a field as text.
func (w *writer) text(f Field) string {
	switch f {
	case FieldID, LinkedID, FieldVersion:
		return w.column(f) + "::text"
	case FieldCreated, FieldUpdated: // as a resource shows it
		return "(rtrim(rtrim(to_char(" + w.column(f) + ` at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z')`
	default:
		return w.column(f)
	}
}

// optional fields are absent when they are empty. A userName never is; to say so leads to its index.
func optional(f Field) bool {
	return f == FieldExternalID || f == FieldDisplayName || f == FieldUserName
}

func (c Text) write(w *writer) {
	left := w.text(c.Of)
	w.put("(")
	if c.Is == Present || c.Is == Exists {
		w.put(left, " <> '')")
		return
	}
	if c.Before != "" {
		left = w.parameter(c.Before, "text") + " || " + left
	}
	if c.After != "" {
		left += " || " + w.parameter(c.After, "text")
	}
	left = "(" + left + ")"
	w.compare(left, c.Is, c.With, c.Exact)
	if optional(c.Of) { // which is also what the indexes of them cover
		w.put(" and ", w.column(c.Of), " <> ''")
	}
	if c.Is == StartsWith && optional(c.Of) { // as a range an index serves
		w.put(" and ")
		w.compare(left, GreaterOrEqual, c.With, c.Exact)
		w.put(" and ")
		w.compare(left, Less, c.With+"\U0010FFFF\U0010FFFF", c.Exact)
	}
	w.put(")")
}

// compare writes a comparison of texts by the numbers of their characters.
func (w *writer) compare(left string, is Relation, with string, exact bool) {
	right := w.parameter(with, "text")
	if !exact {
		left, right = "fold("+left+")", "fold("+right+")"
	}
	if !exact || is != Equal && is != NotEqual { // which the index of external ids knows as they are
		left += ` collate "C"`
	}
	switch is {
	case Contains:
		w.put("strpos(", left, ", ", right, ") > 0")
	case StartsWith:
		w.put("starts_with(", left, ", ", right, ")")
	case EndsWith:
		w.put("right(", left, ", length(", right, ")) = ", right)
	default:
		w.put(left, " ", string(is), " ", right)
	}
}

func (c Identity) write(w *writer) { w.put(w.column(c.Of), " = ", w.parameter(c.ID, "uuid")) }

func (c Active) write(w *writer) {
	if !c {
		w.put("not ")
	}
	w.put("users.active")
}

func (c Time) write(w *writer) {
	w.put(w.column(c.Of), " ", string(c.Is), " ", w.parameter(c.With, "timestamptz"))
}

const addressIn = `(fold(users.email) collate "C" = fold(%) and users.email <> '' or
	users.attributes #> '{emails,1}' is not null and email_keys(users.attributes) @> array[left(fold(%), 200)])`

func (c Address) write(w *writer) {
	w.put(strings.ReplaceAll(addressIn, "%", w.parameter(string(c), "text")))
}

// within writes a condition about another JSON value.
func (w *writer) within(scope string, c Condition) {
	outer := w.scope
	w.scope = scope
	c.write(w)
	w.scope = outer
}

// People who were not made by SCIM have a name and an address in columns alone.
const (
	nameOf = `coalesce(users.attributes -> 'name', case when users.given_name <> '' or users.family_name <> ''
	then jsonb_strip_nulls(jsonb_build_object('givenName', nullif(users.given_name, ''), 'familyName', nullif(users.family_name, ''))) end)`
	emailsOf = `coalesce(users.attributes -> 'emails', case when users.email <> ''
	then jsonb_build_array(jsonb_build_object('value', users.email, 'type', 'work', 'primary', true)) end)`
)

// at is the JSON value at a path, or NULL.
func (w *writer) at(path []Name) string {
	value := w.scope
	for i, name := range path {
		switch {
		case name.From != "" && w.table == "users":
			value = name.From
		case i == 0 && value == "users.attributes" && !name.Loose && name.Text == "name":
			value = nameOf
		case i == 0 && value == "users.attributes" && !name.Loose && name.Text == "emails":
			value = emailsOf
		case name.Loose:
			value = "(select m.value from jsonb_each(case jsonb_typeof(" + value + ") when 'object' then " + value +
				` else '{}' end) m where lower(m.key collate "C") = ` + w.parameter(asciiLower(name.Text), "text") + " limit 1)"
		default:
			value = "(" + value + " -> " + w.parameter(name.Text, "text") + ")"
		}
	}
	return value
}

func asciiLower(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func (c In) write(w *writer) {
	alias := w.alias()
	w.put("exists (select from (select ", w.at(c.Path), " as value offset 0) ", alias, " where jsonb_typeof(", alias, ".value) <> 'null' and ")
	w.within(alias+".value", All{c.Holds})
	w.put(")")
}

func (c Each) write(w *writer) {
	alias := w.alias()
	list := alias + "l.list"
	w.put("exists (select from (select ", w.at(c.Path), " as list offset 0) ", alias, "l, jsonb_array_elements(case jsonb_typeof(", list,
		") when 'array' then ", list, " else jsonb_build_array(", list, ") end) ", alias, " where jsonb_typeof(", alias, ".value) <> 'null' and ")
	w.within(alias+".value", All{c.Holds})
	w.put(")")
}

func (c Extension) write(w *writer) {
	alias := w.alias()
	w.put("exists (select from jsonb_each(", w.table, ".attributes) ", alias, ` where lower(left(`, alias, `.key, 4) collate "C") = 'urn:' and jsonb_typeof(`,
		alias, ".value) = 'object' and ")
	w.within("to_jsonb("+alias+".key)", All{c.Holds})
	w.put(")")
}

func (c Scalar) write(w *writer) {
	value := w.scope
	switch c.Is {
	case Present:
		w.put("(jsonb_typeof(", value, ") <> 'null' and ", value, ` not in ('""', '[]', '{}')) is true`)
		return
	case Exists:
		w.put("(jsonb_typeof(", value, ") in ('string', 'number', 'boolean')) is true")
		return
	}
	text := "(" + value + " #>> '{}')"
	w.put("(case jsonb_typeof(", value, ") when 'string' then ")
	w.compare(text, c.Is, c.With, c.Exact)
	w.put(" when 'number' then ")
	switch c.Is {
	case Contains, StartsWith, EndsWith:
		w.compare(text, c.Is, c.With, true)
	default:
		if c.Number == nil {
			w.put(strconv.FormatBool(c.Is == NotEqual))
			break
		}
		// What is nearer to zero than this has no float8, and is an error.
		number := "(" + value + ")::numeric"
		w.put("(case when abs(", number, ") < 1e-300 then 0::float8 else ", number, "::float8 end) ", string(c.Is), " ", w.parameter(*c.Number, "float8"))
	}
	w.put(" when 'boolean' then ")
	switch {
	case c.True && c.False:
		w.put("true")
	case c.True:
		w.put(value, " = 'true'")
	case c.False:
		w.put(value, " = 'false'")
	default:
		w.put("false")
	}
	w.put(" end) is true")
}

const (
	linkedTeams = `exists (select from team_members m join teams linked on linked.workspace_id = m.workspace_id and linked.id = m.team_id
	where m.workspace_id = @workspace and m.user_id = users.id and linked.deleted is null and linked.connection_id = @connection and `
	linkedUsers = `exists (select from team_members m join users linked on linked.workspace_id = m.workspace_id and linked.id = m.user_id
	where m.workspace_id = @workspace and m.team_id = teams.id and linked.deleted is null and `
)

func (c Linked) write(w *writer) {
	w.put(map[string]string{"users": linkedTeams, "teams": linkedUsers}[w.table])
	All{c.Holds}.write(w)
	w.put(")")
}

// gather joins equalities of one field into sets, so that a thousand of them are one comparison.
func gather(parts []Condition) []Condition {
	type key struct {
		of    Field
		exact bool
		id    bool
	}
	var gathered []Condition
	sets := map[key]*oneOf{}
	for _, part := range parts {
		var k key
		var value any
		switch part := part.(type) {
		case Identity:
			k, value = key{of: part.Of, id: true}, part.ID
		case Text:
			if part.Is == Equal && part.Before == "" && part.After == "" {
				k, value = key{of: part.Of, exact: part.Exact}, part.With
			}
		}
		if value == nil {
			gathered = append(gathered, part)
			continue
		}
		set, known := sets[k]
		if !known {
			set = &oneOf{of: k.of, exact: k.exact}
			sets[k] = set
			gathered = append(gathered, set)
		}
		switch value := value.(type) {
		case core.ID:
			set.ids = append(set.ids, value)
		case string:
			set.texts = append(set.texts, value)
		}
	}
	return gathered
}

// oneOf holds when a field is one of some ids or texts.
type oneOf struct {
	of    Field
	exact bool
	ids   []core.ID
	texts []string
}

func (c *oneOf) write(w *writer) {
	switch {
	case len(c.ids) == 1:
		Identity{c.of, c.ids[0]}.write(w)
	case len(c.ids) > 0:
		w.put(w.column(c.of), " = any(", w.parameter(c.ids, "uuid[]"), ")")
	case len(c.texts) == 1:
		Text{Of: c.of, Is: Equal, With: c.texts[0], Exact: c.exact}.write(w)
	default:
		column := w.column(c.of)
		list := w.parameter(c.texts, "text[]")
		if c.exact {
			w.put("(", w.text(c.of), " = any(", list, ")")
		} else {
			w.put("(fold(", w.text(c.of), `) collate "C" = any(array(select fold(one) from unnest(`, list, ") one))")
		}
		if optional(c.of) {
			w.put(" and ", column, " <> ''")
		}
		w.put(")")
	}
}
