package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// URNs of RFC 7643 and 7644.
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	errorSchema      = "urn:ietf:params:scim:api:messages:2.0:Error"
	listSchema       = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	searchSchema     = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	bulkSchema       = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkAnswerSchema = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	mediaType        = "application/scim+json"
)

// object is a JSON object, list a JSON array.
type (
	object = map[string]any
	list   = []any
)

// answer is what came back. Its methods end the check when it is not what they ask.
type answer struct {
	p        *probe
	exchange *Exchange
	status   int
	header   http.Header
	text     string
	body     any // nil when there was none, or no JSON
	faulty   error
}

// fail ends the check.
func (a *answer) fail(expected, got, advice string) {
	panic(&failure{expected: expected, got: got, advice: advice})
}

// answered wants an answer of any kind.
func (a *answer) answered() *answer {
	if a.status == 0 {
		if a.p.ctx.Err() != nil {
			a.p.skip("stopped")
		}
		a.fail(a.exchange.Method+" "+a.shortURL()+" is answered", a.exchange.Error, "The connection broke or the server took too long: look at its log.")
	}
	return a
}

// want is an answer with one of these statuses.
func (a *answer) want(advice string, statuses ...int) *answer {
	if !slices.Contains(statuses, a.status) {
		var names []string
		for _, status := range statuses {
			names = append(names, fmt.Sprintf("%d %s", status, http.StatusText(status)))
		}
		got := fmt.Sprintf("status %d", a.status)
		if a.status == 0 {
			got = "no answer: " + a.exchange.Error
		}
		if detail := a.string("detail"); detail != "" {
			got += fmt.Sprintf(" (%s)", detail)
		}
		a.fail(fmt.Sprintf("%s %s answers %s", a.exchange.Method, a.shortURL(), strings.Join(names, " or ")), got, advice)
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified && a.text != "" && a.faulty != nil {
		a.fail("a body of JSON", a.faulty.Error(), "Answer with application/scim+json.")
	}
	return a
}

func (a *answer) shortURL() string { return strings.TrimPrefix(a.exchange.URL, a.p.target.base) }

// at is the value at a path of keys and indexes; nil when there is none.
func (a *answer) at(path ...any) any {
	if a == nil {
		return nil
	}
	return at(a.body, path...)
}

func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			container, _ := value.(object)
			value = container[step]
		case int:
			container, _ := value.(list)
			if step >= len(container) {
				return nil
			}
			value = container[step]
		}
	}
	return value
}

// string is the text at a path; empty when it is none.
func (a *answer) string(path ...any) string {
	text, _ := a.at(path...).(string)
	return text
}

func (a *answer) id() string { return a.string("id") }

// equals wants a value at a path, as JSON.
func (a *answer) equals(advice string, want any, path ...any) *answer {
	if got := a.at(path...); !same(want, got) {
		a.fail(fmt.Sprintf("%s is %s", pathText(path), show(want)), show(got), advice)
	}
	return a
}

// gone wants nothing at a path: absent, null, "" and [] are the same (RFC 7643, section 2.5).
func (a *answer) gone(advice string, path ...any) *answer {
	if got := a.at(path...); !nothing(got) {
		a.fail(pathText(path)+" is absent", show(got), advice)
	}
	return a
}

// filled wants something at a path.
func (a *answer) filled(advice string, path ...any) *answer {
	if got := a.at(path...); nothing(got) {
		a.fail(pathText(path)+" is present", show(got), advice)
	}
	return a
}

// number wants a JSON integer at a path.
func (a *answer) number(advice string, path ...any) int {
	number, ok := a.at(path...).(json.Number)
	value, err := strconv.Atoi(number.String())
	if !ok || err != nil {
		a.fail(pathText(path)+" is a JSON integer", show(a.at(path...)), advice)
	}
	return value
}

// schema wants a URN among the body's schemas.
func (a *answer) schema(urn string) *answer {
	schemas, _ := a.at("schemas").(list)
	if !slices.ContainsFunc(schemas, func(one any) bool { return one == urn }) {
		a.fail("schemas holds "+urn, show(a.at("schemas")), "List in schemas what the body is (RFC 7643, section 3).")
	}
	return a
}

// list wants a ListResponse and gives its resources.
func (a *answer) list() []object {
	a.want("Answer a query with 200 and a ListResponse, also when nothing matches.", http.StatusOK)
	a.schema(listSchema)
	a.number("Send totalResults as a JSON integer.", "totalResults")
	resources := a.at("Resources")
	if _, ok := resources.(list); resources != nil && !ok {
		a.fail("Resources is an array", show(resources), "Send Resources as an array, empty when nothing matches.")
	}
	return entriesOf(resources)
}

func (a *answer) total() int {
	return a.number("Send totalResults as a JSON integer (RFC 7644, section 3.4.2).", "totalResults")
}

// refused wants a SCIM error: the status, and one of the scimTypes when some are given.
func (a *answer) refused(advice string, status int, scimTypes ...string) *answer {
	a.want(advice, status)
	shape := "Answer errors with a body of schema " + errorSchema + ", with status as text and detail for a person (RFC 7644, section 3.12)."
	if a.body == nil {
		a.fail("an error body in JSON", show(a.text), shape)
	}
	a.schema(errorSchema)
	a.equals(shape, strconv.Itoa(status), "status")
	if len(scimTypes) > 0 && !slices.Contains(scimTypes, a.string("scimType")) {
		a.fail("scimType is "+strings.Join(scimTypes, " or "), show(a.at("scimType")), advice)
	}
	return a
}

// entriesOf are the objects of an array.
func entriesOf(value any) []object {
	var found []object
	array, _ := value.(list)
	for _, one := range array {
		if entry, ok := one.(object); ok {
			found = append(found, entry)
		}
	}
	return found
}

// with finds the entry whose key has a value.
func with(entries []object, key string, value any) object {
	for _, entry := range entries {
		if same(value, entry[key]) {
			return entry
		}
	}
	return nil
}

// values wants exactly these values in an array of complex values, in any order.
func (a *answer) values(advice string, want []string, path ...any) *answer {
	got := []string{}
	for _, entry := range entriesOf(a.at(path...)) {
		text, _ := entry["value"].(string)
		got = append(got, text)
	}
	want = slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(want, got) {
		a.fail(fmt.Sprintf("the values of %s are %s", pathText(path), show(want)), show(got), advice)
	}
	return a
}

func nothing(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case list:
		return len(value) == 0
	case object:
		for _, one := range value {
			if !nothing(one) {
				return false
			}
		}
		return true
	}
	return false
}

func same(a, b any) bool {
	first, err := json.Marshal(a)
	second, other := json.Marshal(b)
	return err == nil && other == nil && string(first) == string(second)
}

// show is a value for a person.
func show(value any) string {
	if value == nil {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if len(text) > 400 {
		return strings.ToValidUTF8(string(text[:400]), "") + "…"
	}
	return string(text)
}

func pathText(path []any) string {
	var text strings.Builder
	for i, step := range path {
		switch step := step.(type) {
		case string:
			if i > 0 {
				text.WriteByte('.')
			}
			text.WriteString(step)
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		}
	}
	return text.String()
}
