package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/core"
	"postern/core/journal"
)

// asked is a provisioning request as a sentence: did what, to whom.
type asked struct {
	journal.Entry
	Tone    string
	Verb    string
	Subject core.Target
	Tail    string
	Fired   []explained
	Text    string // the body, set out
}

// Refused reports whether the request was refused.
func (a asked) Refused() bool { return a.Status >= http.StatusBadRequest }

// kindOf is what an address of the SCIM endpoint is about.
func kindOf(address string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(address, "/"), "/")
	return map[string]string{"Users": "user", "Me": "user", "Groups": "team", "Roles": "role", "Entitlements": "entitlement", "Bulk": "bulk request"}[first]
}

// body is what a sentence needs to know of a request's body.
type body struct {
	UserName    string `json:"userName"`
	DisplayName string `json:"displayName"`
	Active      any    `json:"active"`
	Operations  []struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	} `json:"Operations"`
}

// askedOf tells an entry. subject is what it was about, as far as the workspace knows it still.
func askedOf(entry journal.Entry, subject core.Target) asked {
	told := asked{Entry: entry, Tone: "calm", Subject: subject}
	for _, rule := range entry.Rules {
		told.Fired = append(told.Fired, explain(rule))
	}
	var sent body
	if entry.Body != nil {
		_ = json.Unmarshal([]byte(*entry.Body), &sent) // what does not fit is told by its method alone
		told.Text = setOut(*entry.Body)
	}
	if told.Subject.Kind == "" {
		told.Subject = core.Target{Kind: kindOf(entry.Address), ID: entry.Resource}
	}
	for _, name := range []string{sent.DisplayName, sent.UserName} {
		if told.Subject.Name == "" && name != "" {
			told.Subject.Name = name
		}
	}
	if told.Subject.Name == "" {
		told.Subject.Name = unnamed(told.Subject.Kind, entry.Address)
	}
	told.Verb, told.Tail, told.Tone = "asked for something of", "", "calm"
	switch entry.Method {
	case http.MethodGet, http.MethodHead:
		told.search()
	case http.MethodPost:
		told.Verb, told.Tone = "create", "good"
		if strings.HasSuffix(entry.Address, "/.search") {
			told.search()
		}
	case http.MethodPut:
		told.Verb = "replace"
		if active, says := truth(sent.Active); says && !active {
			told.Tail, told.Tone = "as inactive", "warn"
		}
	case http.MethodPatch:
		told.Verb, told.Tail, told.Tone = patched(told.Subject.Kind, sent)
	case http.MethodDelete:
		told.Verb, told.Tone = "delete", "warn"
	}
	if told.Refused() {
		told.Verb, told.Tone = "tried to "+told.Verb, "bad"
	} else {
		told.Verb = past(told.Verb)
	}
	return told
}

// search tells of a request that only reads, with what it asked for in the body's place.
func (a *asked) search() {
	a.Verb, a.Tone = "look for", "calm"
	if !a.Resource.IsZero() {
		a.Verb = "look at"
	}
	if a.Subject.Kind == "" {
		a.Subject.Name = "people and teams"
	}
	if parameters, err := url.ParseQuery(a.Query); err == nil {
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			a.Text += name + ": " + parameters.Get(name) + "\n"
		}
	}
}

// unnamed is what something is called of which nobody knows a name any more.
func unnamed(kind, address string) string {
	if kind == "" {
		return address
	}
	if parts := strings.Split(strings.Trim(address, "/"), "/"); len(parts) > 1 && len(parts[1]) > 8 {
		return "a " + kind + " (…" + parts[1][len(parts[1])-8:] + ")"
	}
	return "a " + kind
}

// patched tells what the operations of a PATCH do together.
func patched(kind string, sent body) (verb, tail, tone string) {
	added, removed, replaced := 0, 0, false
	touched := map[string]bool{}
	for _, one := range sent.Operations {
		operation, path := strings.ToLower(one.Op), one.Path
		var members map[string]json.RawMessage
		if path == "" && json.Unmarshal(one.Value, &members) == nil {
			for name, value := range members {
				touched[name] = true
				if active, says := truthOf(value); strings.EqualFold(name, "active") && says {
					return activation(active)
				}
			}
			continue
		}
		if active, says := truthOf(one.Value); strings.EqualFold(path, "active") && says {
			return activation(active)
		}
		if kind == "team" && strings.HasPrefix(strings.ToLower(path), "members") {
			switch operation {
			case "add":
				added += count(one.Value)
			case "remove":
				removed += count(one.Value)
			default:
				replaced = true
			}
			continue
		}
		touched[path] = true
	}
	switch {
	case replaced:
		return "replace the members of", "", "calm"
	case added > 0 && removed == 0:
		return "add " + core.Count(added, "person", "people") + " to", "", "calm"
	case removed > 0 && added == 0:
		return "remove " + core.Count(removed, "person", "people") + " from", "", "calm"
	case added+removed > 0:
		return "change the members of", "", "calm"
	}
	delete(touched, "")
	if len(touched) > 0 && len(touched) <= 4 {
		tail = ": " + strings.Join(slices.Sorted(maps.Keys(touched)), ", ")
	}
	return "change", tail, "calm"
}

func activation(active bool) (verb, tail, tone string) {
	if active {
		return "activate", "", "good"
	}
	return "deactivate", "", "warn"
}

// count is how many members the value of an operation names; a value filter in the path names one.
func count(value json.RawMessage) int {
	var many []json.RawMessage
	if json.Unmarshal(value, &many) == nil && len(many) > 0 {
		return len(many)
	}
	return 1
}

// truth reads a boolean, which some identity providers send as a text or in a list.
func truth(value any) (truth, says bool) {
	switch value := value.(type) {
	case bool:
		return value, true
	case string:
		return strings.EqualFold(value, "true"), strings.EqualFold(value, "true") || strings.EqualFold(value, "false")
	case []any:
		if len(value) == 1 {
			return truthOfMember(value[0])
		}
	}
	return false, false
}

func truthOfMember(value any) (bool, bool) {
	if members, ok := value.(map[string]any); ok {
		value = members["value"]
	}
	if _, nested := value.([]any); nested {
		return false, false
	}
	return truth(value)
}

func truthOf(value json.RawMessage) (bool, bool) {
	var read any
	if json.Unmarshal(value, &read) != nil {
		return false, false
	}
	return truth(read)
}

// past puts the first word of a verb into the past.
func past(verb string) string {
	first, rest, _ := strings.Cut(verb, " ")
	switch {
	case strings.HasSuffix(first, "e"):
		first += "d"
	default:
		first += "ed"
	}
	return strings.TrimSpace(first + " " + rest)
}

// setOut is a body as a person can read it.
func setOut(text string) string {
	var read any
	if json.Unmarshal([]byte(text), &read) != nil {
		return text
	}
	pretty, err := json.MarshalIndent(read, "", "  ")
	if err != nil {
		return text
	}
	return string(pretty)
}

// words is a name with underscores as words.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// sentenceOf is the whole sentence, for a title.
func sentenceOf(a asked) string {
	return strings.TrimSuffix(sentence(fmt.Sprintf("%s %s%s", a.Verb, a.Subject.Name, tailOf(a.Tail))), ".")
}

func tailOf(tail string) string {
	if tail == "" || strings.HasPrefix(tail, ":") {
		return tail
	}
	return " " + tail
}
