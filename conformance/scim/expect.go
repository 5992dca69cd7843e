package scim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// upper is a text in capitals.
func upper(text string) string { return strings.ToUpper(text) }

// contentType wants SCIM's media type.
func (a *answer) contentType() *answer {
	got, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(got), mediaType) {
		a.fail("Content-Type: "+mediaType, show(a.header.Get("Content-Type")), "Answer with "+mediaType+" (RFC 7644, section 8.1).")
	}
	return a
}

// time wants a point in time at a path.
func (a *answer) time(advice string, path ...any) time.Time {
	at, err := time.Parse(time.RFC3339Nano, a.string(path...))
	if err != nil {
		a.fail(pathText(path)+" is a time such as 2026-01-23T04:56:22Z", show(a.at(path...)), advice)
	}
	return at
}

// secret wants a value nowhere in the answer.
func (a *answer) secret(value string) *answer {
	if strings.Contains(a.text, value) {
		a.fail("no password in the answer", "the password that was sent", "password is writeOnly and never returned, whatever attributes were asked for.")
	}
	return a
}

// getAbsolute reads an address the server gave. It must be on the server under test, under the name it
// was asked by or, behind a proxy, another.
func (p *probe) getAbsolute(location, advice string) *answer {
	at, err := url.Parse(location)
	base, _ := url.Parse(p.target.base)
	if err != nil || at.Host == "" {
		p.fail("an absolute address", show(location), advice)
	}
	inside, found := strings.CutPrefix(at.Path, base.Path)
	if !found {
		p.fail("an address under "+base.Path, location, advice)
	}
	return p.get(inside).want(advice, http.StatusOK)
}

// enterprise skips the check where the server lists no enterprise extension.
func (p *probe) enterprise() {
	for _, one := range entriesOf(p.target.types.at("Resources")) {
		if with(entriesOf(one["schemaExtensions"]), "schema", enterpriseSchema) != nil {
			return
		}
	}
	p.skip("the server does not claim the enterprise extension: no resource type lists it in schemaExtensions")
}

// primaries counts the primary e-mail addresses.
func primaries(a *answer) int {
	count := 0
	for _, one := range entriesOf(a.at("emails")) {
		if one["primary"] == true {
			count++
		}
	}
	return count
}

// ids are the ids of resources.
func ids(resources []object) []string {
	var found []string
	for _, one := range resources {
		id, _ := one["id"].(string)
		found = append(found, id)
	}
	return found
}

// withPassword creates a user with a password. A server that lists no password may refuse one.
func (p *probe) withPassword(secret string) *answer {
	a := p.post("/Users", p.userBody(object{"password": secret}))
	if a.status == http.StatusBadRequest {
		listed := p.get("/Schemas/"+userSchema).want("Serve the core User schema.", http.StatusOK)
		if with(entriesOf(listed.at("attributes")), "name", "password") == nil {
			p.skip("the server takes no passwords: it refuses them, and /Schemas lists none")
		}
	}
	return a.want("Take the password that /Schemas lists, whatever you do with it.", http.StatusCreated)
}
