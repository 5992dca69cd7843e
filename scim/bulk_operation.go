package scim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/core"
	"postern/scim/resource"
)

// operation is one request inside a Bulk.
type operation struct {
	method  string
	path    string // under the endpoint, without parameters
	query   string
	bulkID  string
	version string
	data    *resource.Object // nil: none
	fault   error            // it makes no sense

	needs   []string         // the bulkIds it refers to, each once
	unknown int              // how many of them are yet to be settled
	settled bool             // what it makes, if anything, has its id or never will
	id      string           // of what it made
	rest    *resource.Object // what is still to be written, in a circle
	outcome *outcome         // nil: not carried out
}

// outcome is what an operation was answered with.
type outcome struct {
	status   int
	location string
	version  string
	problem  []byte // the Error; nil: it succeeded
}

// fail turns a success into an error that was found later.
func (o *outcome) fail(err error) {
	shown, _ := errorOf(err)
	o.status = shown.Status
	o.problem, _ = json.Marshal(shown)
}

// readOperation reads one element of Operations. What is wrong with it is its fault.
func readOperation(element any, base string) *operation {
	o := &operation{}
	given, ok := element.(*resource.Object)
	if !ok {
		o.fault = core.Invalid("Operations", "an operation is an object").WithCode("invalidSyntax")
		return o
	}
	o.method, o.bulkID, o.version = strings.ToUpper(given.Text("method")), given.Text("bulkId"), given.Text("version")
	o.fault = o.address(given.Text("path"), base)
	data, _ := given.Get("data")
	o.data, ok = data.(*resource.Object)
	switch o.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		if !ok && o.fault == nil {
			o.fault = core.Invalid("data", "the resource or the PATCH is expected here").WithCode("invalidSyntax")
		}
	case http.MethodDelete:
		o.data = nil
	default:
		o.method, o.fault = "", core.Invalid("method", "POST, PUT, PATCH or DELETE is expected").WithCode("invalidSyntax")
	}
	if o.method == http.MethodPost && o.bulkID == "" && o.fault == nil {
		o.fault = core.Invalid("bulkId", "a POST needs one").WithCode("invalidValue")
	}
	note := func(id string) (string, bool) {
		if !slices.Contains(o.needs, id) {
			o.needs = append(o.needs, id)
		}
		return "", true
	}
	replaceReference(o.path, note)
	if o.data != nil {
		resolve(o.data, "", note)
	}
	return o
}

// address takes the path apart. It may be written as a whole address too, as a location is.
func (o *operation) address(path, base string) error {
	fault := core.Invalid("path", "/Users, /Groups, or one of them with an id behind is expected").WithCode("invalidValue")
	parsed, err := url.ParseRequestURI(strings.TrimPrefix(path, base))
	if err != nil || parsed.IsAbs() || parsed.Host != "" {
		return fault
	}
	o.path, o.query = strings.TrimSuffix(parsed.Path, "/"), parsed.RawQuery
	for _, endpoint := range []string{userType.Endpoint, groupType.Endpoint} {
		if rest, under := strings.CutPrefix(o.path, endpoint); under && (rest == "" || rest[0] == '/' && !strings.HasPrefix(rest, "/.")) {
			return nil
		}
	}
	return fault
}

// begin carries the operation out, as far as what it refers to is known.
func (o *operation) begin(b *bulk, perform performer) {
	path, data, missing, fault := o.resolved(b)
	if fault != nil {
		o.outcome = perform(o, o.path, nil, fault)
		return
	}
	o.outcome = perform(o, path, data, nil)
	o.path = path
	if o.outcome.problem != nil {
		return
	}
	o.id = o.outcome.location[strings.LastIndexByte(o.outcome.location, '/')+1:]
	if len(missing) > 0 {
		o.rest = resource.NewObject()
		for _, name := range missing {
			value, _ := o.data.Get(name)
			o.rest.Set(name, value)
		}
	}
}

// complete writes what the operation could not know when its resource was made.
func (o *operation) complete(b *bulk, perform performer) {
	late := &operation{
		method: http.MethodPatch, path: o.path + "/" + o.id, needs: o.needs,
		data: resource.NewObject("schemas", []any{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
			"Operations", []any{resource.NewObject("op", "replace", "value", o.rest)}),
	}
	o.rest = nil
	path, data, _, fault := late.resolved(b)
	if fault != nil {
		o.outcome.fail(core.Conflict("", "the resource was made, but what it refers to was not"))
		return
	}
	done := perform(late, path, data, nil)
	if done.version != "" {
		o.outcome.version = done.version
	}
	if done.problem != nil {
		o.outcome.status, o.outcome.problem = done.status, done.problem
	}
}

// resolved is the operation with ids in place of bulkIds. missing are the attributes that lack one
// because nothing has it yet.
func (o *operation) resolved(b *bulk) (path string, data *resource.Object, missing []string, fault error) {
	if o.fault != nil {
		return "", nil, nil, o.fault
	}
	known := func(id string) (string, bool) {
		maker := b.makers[id]
		switch {
		case maker == nil:
			fault = core.Invalid("bulkId", "an operation refers to a bulkId that no POST of the Bulk has").WithCode("invalidValue")
		case maker.id != "":
			return maker.id, true
		case maker.settled:
			fault = core.Conflict("bulkId", "what the operation refers to was not made")
		}
		return "", false
	}
	path, whole := replaceReference(o.path, known)
	if !whole && fault == nil {
		fault = core.Conflict("path", "the operation is about what it would make itself")
	}
	if o.data == nil || fault != nil {
		return path, nil, nil, fault
	}
	data = resource.NewObject()
	for name, value := range o.data.All() {
		complete := true
		kept, keep := resolve(value, name, func(id string) (string, bool) {
			text, ok := known(id)
			complete = complete && ok
			return text, ok
		})
		if !complete {
			missing = append(missing, name)
		}
		if keep {
			data.Set(name, kept)
		}
	}
	return path, data, missing, fault
}

// result is the operation in a BulkResponse.
func (o *operation) result(base string) *resource.Object {
	shown := resource.NewObject("status", strconv.Itoa(o.outcome.status))
	setText(shown, "method", o.method)
	setText(shown, "bulkId", o.bulkID)
	switch {
	case o.id != "":
		setText(shown, "location", o.outcome.location)
	case o.method != http.MethodPost && o.path != "" && !strings.Contains(o.path, bulkReference):
		setText(shown, "location", base+o.path)
	}
	setText(shown, "version", o.outcome.version)
	if o.outcome.problem != nil {
		if problem, err := resource.Decode(o.outcome.problem); err == nil {
			shown.Set("response", problem)
		}
	}
	return shown
}

// bulkReference is what stands before a bulkId where an id is expected.
const bulkReference = "bulkId:"

// replaceReference puts an id in the place of a reference: "bulkId:x", or at the end of an address.
// found says that there was one; then known decides.
func replaceReference(text string, known func(id string) (string, bool)) (replaced string, ok bool) {
	at := 0
	if !strings.HasPrefix(text, bulkReference) {
		if at = strings.LastIndex(text, "/"+bulkReference) + 1; at == 0 {
			return text, true
		}
	}
	id, ok := known(text[at+len(bulkReference):])
	return text[:at] + id, ok
}

// resolve is a value with ids in place of references. keep is false for one that holds a reference
// nobody knows yet: without it the value would mean something else.
func resolve(value any, name string, known func(id string) (string, bool)) (resolved any, keep bool) {
	switch value := value.(type) {
	case *resource.Object:
		whole := resource.NewObject()
		for inner, element := range value.All() {
			kept, keep := resolve(element, inner, known)
			if !keep && refers(inner) {
				return nil, false
			}
			if keep {
				whole.Set(inner, kept)
			}
		}
		return whole, true
	case []any:
		list := make([]any, 0, len(value))
		for _, element := range value {
			if kept, keep := resolve(element, name, known); keep {
				list = append(list, kept)
			}
		}
		return list, true
	case string:
		switch {
		case refers(name):
			return replaceReference(value, known)
		case strings.EqualFold(name, "path"):
			return replaceInPath(value, known)
		}
	}
	return value, true
}

// refers reports whether what goes by this name can be a reference: the value or $ref of a complex
// attribute, or a member or manager written as its id alone.
func refers(name string) bool {
	name = strings.ToLower(name)
	return name == "value" || name == "$ref" || strings.HasSuffix(name, ".value") || strings.HasSuffix(name, "manager") || strings.HasSuffix(name, "members")
}

// replaceInPath resolves members[value eq "bulkId:x"].
func replaceInPath(path string, known func(id string) (string, bool)) (replaced string, ok bool) {
	const begin = `"` + bulkReference
	for {
		start := strings.Index(path, begin)
		if start < 0 {
			return path, true
		}
		id, after, closed := strings.Cut(path[start+len(begin):], `"`)
		if !closed {
			return path, true
		}
		text, ok := known(id)
		if !ok {
			return path, false
		}
		path = path[:start] + `"` + text + `"` + after
	}
}
