package webhooks

import (
	"bytes"
	"errors"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
)

// Format is a subject identifier's format (RFC 9493).
type Format string

// The formats a logout may name its subject in.
const (
	FormatEmail  Format = "email"
	FormatIssSub Format = "iss_sub"
	FormatOpaque Format = "opaque"
)

// Subject is whom a logout is about, as the identity provider names them.
type Subject struct {
	Format  Format
	Email   string // with FormatEmail
	Issuer  string // with FormatIssSub
	Subject string // with FormatIssSub
	ID      string // with FormatOpaque
}

const (
	maxBody       = 64 << 10
	maxIdentifier = 1024
)

// ParseSubject reads the body of a logout: {"sub_id": {…}}, or "subject" as drafts before -03 call
// it. Whatever could be understood in two ways is Invalid: a member that comes twice, both names at
// once, text that is not UTF-8. Unknown members are passed over, an unknown format is not.
func ParseSubject(body []byte) (Subject, error) {
	var members map[string]jsontext.Value
	if err := unmarshal(body, &members); err != nil {
		return Subject{}, core.Invalid("", "the body is not the JSON object that is expected").Because(err)
	}
	name := "sub_id"
	raw, ok := members[name]
	legacy, old := members["subject"]
	switch {
	case ok && old:
		return Subject{}, core.Invalid("subject", "send either sub_id or subject, not both")
	case old:
		name, raw = "subject", legacy
	case !ok:
		return Subject{}, core.Invalid("sub_id", "sub_id is missing")
	}
	var identifier map[string]jsontext.Value
	if raw.Kind() != '{' {
		return Subject{}, core.Invalid(name, "%s is an object with a format", name)
	}
	if err := unmarshal(raw, &identifier); err != nil {
		return Subject{}, core.Invalid(name, "%s cannot be read", name).Because(err)
	}
	take := reader{name: name, members: identifier}
	subject := Subject{Format: Format(take.text("format"))}
	if take.err != nil {
		return Subject{}, take.err
	}
	switch subject.Format {
	case FormatEmail:
		subject.Email = take.text("email")
		if at := strings.LastIndexByte(subject.Email, '@'); take.err == nil && (at < 1 || at == len(subject.Email)-1) {
			return Subject{}, core.Invalid(name+".email", "this is not an e-mail address")
		}
	case FormatIssSub:
		subject.Issuer, subject.Subject = take.text("iss"), take.text("sub")
	case FormatOpaque:
		subject.ID = take.text("id")
	default:
		return Subject{}, core.Invalid(name+".format", "the format is email, iss_sub or opaque").WithCode("unsupported_format")
	}
	if take.err != nil {
		return Subject{}, take.err
	}
	return subject, nil
}

// unmarshal is strict: names are case-sensitive and come once, text is UTF-8, nothing follows.
func unmarshal(text []byte, into any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("empty")
	}
	return json.Unmarshal(text, into)
}

// reader takes string members out of an object and remembers the first fault.
type reader struct {
	name    string
	members map[string]jsontext.Value
	err     error
}

func (r *reader) text(member string) string {
	if r.err != nil {
		return ""
	}
	field := r.name + "." + member
	raw, ok := r.members[member]
	if !ok {
		r.err = core.Invalid(field, "%s is missing", member)
		return ""
	}
	var text string
	if raw.Kind() != '"' || json.Unmarshal(raw, &text) != nil {
		r.err = core.Invalid(field, "%s is a string", member)
		return ""
	}
	if text == "" || len(text) > maxIdentifier || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		r.err = core.Invalid(field, "%s has 1 to %d printable characters", member, maxIdentifier)
		return ""
	}
	return text
}

// isJSON reports whether a Content-Type is application/json, with or without parameters.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

// String is the subject as an event tells it.
func (s Subject) String() string {
	switch s.Format {
	case FormatEmail:
		return "email " + cut(s.Email, 200)
	case FormatIssSub:
		return "iss_sub " + cut(s.Issuer, 100) + " " + cut(s.Subject, 100)
	}
	return string(s.Format) + " " + cut(s.ID, 200)
}
