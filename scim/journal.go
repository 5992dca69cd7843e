package scim

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/journal"
	"postern/core/lifecycle"
	"postern/scim/resource"
)

const (
	// longestAddress bounds what an entry keeps of an address nobody knows.
	longestAddress = 500
	// longestDetail bounds what an entry keeps of a refusal's words.
	longestDetail = 1000
	// rulesHeader names, in an answer, the rules that were needed to understand the request.
	rulesHeader = "Postern-Rules"
)

// recording is the lifecycle with the request's journal entry in each command: the entry says what a
// command that succeeds is answered with, and commits with its effect or not at all.
func (r *request) recording(status int) *lifecycle.Lifecycle {
	return r.Lifecycle.Recording(func(batch *pgx.Batch, subject core.ID) error {
		if r.claim != nil {
			r.Directory.QueueClaim(batch, *r.claim)
		}
		journal.Queue(batch, r.entry(status, "", subject))
		return nil
	})
}

// entry is the request as the journal keeps it.
func (r *request) entry(status int, detail string, subject core.ID) journal.Entry {
	if subject.IsZero() {
		if id, err := core.ParseID(r.id); err == nil {
			subject = id
		}
	}
	return journal.Entry{
		Workspace: r.connection.Workspace, Connection: r.connection.ID, Received: r.received, Method: r.Method, Address: core.Cut(r.path, longestAddress),
		Query: r.keptQuery(), Body: r.body, Profile: r.profile.Named(), Rules: r.fired(), Status: status, Detail: core.Cut(detail, longestDetail),
		Resource: subject, Correlation: r.cause.Correlation,
	}
}

// writes reports whether a request is one the journal keeps: those that ask for a change.
func (r *request) writes() bool {
	switch r.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	case http.MethodPost:
		return !strings.HasSuffix(r.path, "/.search")
	}
	return false
}

// keep notes the body for the journal, without its secrets. raw is how it was sent; nil for a body
// that was part of another.
func (r *request) keep(raw []byte, body *resource.Object) {
	if !r.writes() {
		return
	}
	clean, changed := redact(body)
	if changed || raw == nil {
		raw = clean.Append(make([]byte, 0, len(r.arrival.text)+len(redacted)))
	}
	r.body = new(string(raw))
}

// fired are the names of the rules that have been needed so far.
func (r *request) fired() []string {
	rules := r.profile.Rules.List()
	names := make([]string, len(rules))
	for i, rule := range rules {
		names[i] = string(rule)
	}
	return names
}

// understood reports whether a rule was needed so far.
func (r *request) understood() bool { return r.profile.Rules.Any() }

// What of the parameters changes the answer, of a change and of a search. Anything else might be a secret.
var (
	changeParameters = []string{"attributes", "excludedAttributes"}
	searchParameters = []string{"attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count"}
)

// keptQuery is what the journal keeps of the parameters. Those of a search in a body are among them.
func (r *request) keptQuery() string {
	if len(r.parameters) == 0 {
		return ""
	}
	names := searchParameters
	if r.writes() {
		names = changeParameters
	}
	kept := url.Values{}
	for _, name := range names {
		if r.parameters.Has(name) {
			kept.Set(name, core.Cut(r.parameters.Get(name), longestDetail))
		}
	}
	if asksForSecret(r.parameters.Get("filter")) && kept.Has("filter") {
		kept.Set("filter", redacted)
	}
	return kept.Encode()
}
