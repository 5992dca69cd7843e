package scim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// probe is one check under way: what it asked, and what it must delete.
type probe struct {
	ctx       context.Context
	target    *target
	agent     string
	exchanges []*Exchange
	made      []string // paths of what to delete, oldest first

	home *probe // the check this one is the other tenant of; nil: it is the check itself
	peer *probe // the other tenant, once it was needed
}

// other is the same check in the name of another tenant.
func (p *probe) other() *probe {
	if p.target.other == "" {
		p.skip("no token of another tenant was given (--other-token)")
	}
	if p.peer == nil {
		p.peer = &probe{ctx: p.ctx, target: p.target, agent: p.agent, home: p}
	}
	return p.peer
}

// failure and skip end a check.
type (
	failure struct{ expected, got, advice string }
	skip    string
)

// fail ends the check as failed.
func (p *probe) fail(expected, got, advice string) { panic(&failure{expected, got, advice}) }

// skip ends the check as not applicable.
func (p *probe) skip(format string, arguments ...any) { panic(skip(fmt.Sprintf(format, arguments...))) }

// claimed skips the check unless the server says it supports a feature.
func (p *probe) claimed(feature string) {
	if !p.target.claims(feature) {
		p.skip("the server does not claim it: %s.supported in ServiceProviderConfig is not true", feature)
	}
}

// last are the exchanges worth showing: a failure is explained by the end of the conversation.
func (p *probe) last() []*Exchange {
	return p.exchanges[max(0, len(p.exchanges)-4):]
}

// clean deletes what the check made. It goes on when the run was stopped.
func (p *probe) clean() {
	if p.peer != nil {
		p.peer.clean()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 20*time.Second)
	defer cancel()
	for i := len(p.made) - 1; i >= 0; i-- {
		p.target.roundTrip(ctx, http.MethodDelete, p.target.base+p.made[i], "", p.headers())
	}
}

func (p *probe) headers() http.Header {
	header := http.Header{"User-Agent": {p.agent}, "Accept": {mediaType}}
	token := p.target.token
	if p.home != nil {
		token = p.target.other
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return header
}

// send sends a request and wants an answer of any kind. A body is JSON, or a text sent as it is.
// Headers are pairs of name and value; an empty value removes one.
func (p *probe) send(method, path string, body any, header ...string) *answer {
	return p.try(method, path, body, header...).answered()
}

func (p *probe) try(method, path string, body any, header ...string) *answer {
	headers := p.headers()
	text := ""
	if body != nil {
		headers.Set("Content-Type", mediaType+"; charset=utf-8")
		switch body := body.(type) {
		case string:
			text = body
		default:
			encoded, err := json.Marshal(body)
			if err != nil {
				panic(err) // values of ours
			}
			text = string(encoded)
		}
	}
	for i := 0; i+1 < len(header); i += 2 {
		headers.Set(header[i], header[i+1])
		if header[i+1] == "" {
			headers.Del(header[i])
		}
	}
	return p.ask(method, p.target.base+path, text, headers)
}

// ask sends one request to an address.
func (p *probe) ask(method, address, text string, headers http.Header) *answer {
	exchange, got := p.target.roundTrip(p.ctx, method, address, text, headers)
	whole := cmp.Or(p.home, p)
	whole.exchanges = append(whole.exchanges, exchange)
	a := &answer{p: p, exchange: exchange, header: http.Header{}}
	if got == nil {
		return a
	}
	a.status, a.header, a.text = got.status, got.header, string(got.text)
	if a.text != "" {
		a.body, a.faulty = decode(got.text)
	}
	return a
}

// get reads an address; query are pairs of parameter and value.
func (p *probe) get(path string, query ...string) *answer {
	return p.send(http.MethodGet, path+queryOf(query), nil)
}

func queryOf(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	// Identity providers write a blank as %20, and so does this.
	return "?" + strings.ReplaceAll(values.Encode(), "+", "%20")
}

func (p *probe) put(path string, body any) *answer { return p.send(http.MethodPut, path, body) }

func (p *probe) delete(path string) *answer { return p.send(http.MethodDelete, path, nil) }

// patch sends operations; each is an object.
func (p *probe) patch(path string, operations ...object) *answer {
	return p.send(http.MethodPatch, path, patchOf(operations...))
}

func patchOf(operations ...object) object {
	return object{"schemas": list{patchSchema}, "Operations": operations}
}

// operation is one operation of a PATCH; an empty path is left out.
func operation(op, path string, value any) object {
	one := object{"op": op, "value": value}
	if path != "" {
		one["path"] = path
	}
	return one
}

// removal is an operation without a value.
func removal(op, path string) object { return object{"op": op, "path": path} }

// patched sends operations that must succeed, and reads the resource again.
func (p *probe) patched(path string, operations ...object) *answer {
	p.applied(p.patch(path, operations...), "Apply the operations.")
	return p.get(path).want("A resource that was patched is still there.", http.StatusOK)
}

// applied wants the answer of a PATCH or PUT that was carried out.
func (p *probe) applied(a *answer, advice string) *answer {
	a.want(advice, http.StatusOK, http.StatusNoContent)
	if a.status == http.StatusOK && a.id() == "" {
		a.fail("200 with the resource in the body", show(a.text), "Answer with the resource, or with 204 and no body (RFC 7644, section 3.5.2).")
	}
	return a
}

// post creates something, and remembers to delete it when that succeeded.
func (p *probe) post(path string, body any, header ...string) *answer {
	a := p.send(http.MethodPost, path, body, header...)
	if id := a.id(); id != "" && (a.status == http.StatusCreated || a.status == http.StatusOK) {
		endpoint, _, _ := strings.Cut(path, "?")
		p.made = append(p.made, endpoint+"/"+url.PathEscape(id))
	}
	return a
}

// created posts what must be accepted.
func (p *probe) created(path string, body any) *answer {
	a := p.post(path, body).want("Create the resource and answer 201 with it (RFC 7644, section 3.3).", http.StatusCreated)
	if a.id() == "" {
		a.fail("a body with the id of what was created", show(a.text), "Answer 201 with the whole resource: without an id the client cannot go on.")
	}
	return a
}

// ours is how every name the suite makes begins.
const ours = "pc-"

// name is one nobody else uses. It is in lower case and has no characters with a meaning.
func (p *probe) name() string {
	return fmt.Sprintf(ours+"%s-%d", p.target.run, p.target.names.Add(1))
}

// userBody is a plain user of the core schema, with attributes changed or, by nil, left out.
func (p *probe) userBody(changes object) object {
	name := p.name()
	body := object{
		"schemas": list{userSchema}, "userName": name + "@example.com", "externalId": "ext-" + name,
		"displayName": "Probe " + name, "active": true,
		"name":   object{"givenName": "Barbara", "familyName": "Jensen"},
		"emails": list{object{"value": name + "@example.com", "type": "work", "primary": true}},
	}
	maps.Copy(body, changes)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// user creates a user.
func (p *probe) user(changes object) *answer { return p.created("/Users", p.userBody(changes)) }

// group creates a group with members. Groups may be missing, but for Entra ID.
func (p *probe) group(members ...string) *answer {
	if p.agent != agents[Entra] && p.target.types.at("Resources") != nil && p.target.endpoint(groupSchema) == "" {
		p.skip("the server offers no groups: /ResourceTypes has none")
	}
	return p.created("/Groups", p.groupBody(members...))
}

func (p *probe) groupBody(members ...string) object {
	return object{"schemas": list{groupSchema}, "displayName": "Group " + p.name(), "members": membersOf(members...)}
}

func membersOf(ids ...string) list {
	members := list{}
	for _, id := range ids {
		members = append(members, object{"value": id})
	}
	return members
}

// find gives what a filter matches.
func (p *probe) find(endpoint, filter string, query ...string) []object {
	return p.get(endpoint, append([]string{"filter", filter}, query...)...).list()
}

// path is where a resource is.
func path(endpoint string, a *answer) string { return endpoint + "/" + url.PathEscape(a.id()) }

func (p *probe) userPath(a *answer) string  { return path("/Users", a) }
func (p *probe) groupPath(a *answer) string { return path("/Groups", a) }
