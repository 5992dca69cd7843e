package signals

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
)

const (
	maxIdentifier = 1024
	maxAliases    = 16
)

// The quirks of subjects.
const (
	QuirkSubjectType   = "subject_type"           // Google: subject_type in place of format
	QuirkNoFormat      = "complex_without_format" // earlier drafts: a complex subject was told by its members
	QuirkLegacySubject = "legacy_subject"         // Global Token Revocation before draft -03: subject in place of sub_id
)

// ParseSubject reads a subject identifier (RFC 9493 §3, Shared Signals Framework 1.0 §3). Whatever could be
// understood in two ways is Invalid: a member that comes twice, format beside subject_type, text that is not
// UTF-8. Unknown members are passed over; an unknown format is Invalid with code "unsupported_format".
func ParseSubject(raw []byte) (Subject, error) { return parse("sub_id", raw, 0) }

// ParseLogout reads the body of a Global Token Revocation: {"sub_id": {…}}, or "subject" as drafts before -03
// called it.
func ParseLogout(body []byte) (Subject, error) {
	var said map[string]jsontext.Value
	if err := unmarshal(body, &said); err != nil {
		return Subject{}, core.Invalid("", "the body is not the JSON object that is expected").Because(err)
	}
	raw, ok := said["sub_id"]
	legacy, old := said["subject"]
	switch {
	case ok && old:
		return Subject{}, core.Invalid("subject", "send either sub_id or subject, not both")
	case old:
		subject, err := parse("subject", legacy, 0)
		subject.quirky(QuirkLegacySubject)
		return subject, err
	case !ok:
		return Subject{}, core.Invalid("sub_id", "sub_id is missing")
	}
	return parse("sub_id", raw, 0)
}

// parse reads one identifier. depth is how many it stands in: RFC 9493 §3.2.8 forbids aliases in aliases, and a
// member of a complex subject is never complex.
func parse(name string, raw jsontext.Value, depth int) (Subject, error) {
	if !slices.Contains([]jsontext.Kind{'{'}, jsontext.Value(bytes.TrimSpace(raw)).Kind()) {
		return Subject{}, core.Invalid(name, "%s is an object with a format", name)
	}
	var said map[string]jsontext.Value
	if err := unmarshal(raw, &said); err != nil {
		return Subject{}, core.Invalid(name, "%s cannot be read", name).Because(err)
	}
	take := reader{name: name, members: said}
	var subject Subject
	_, modern := said["format"]
	_, google := said["subject_type"]
	switch {
	case modern && google:
		return Subject{}, core.Invalid(name+".subject_type", "send either format or subject_type, not both")
	case google:
		subject.quirky(QuirkSubjectType)
		subject.Format = renamed(take.text("subject_type"), &take)
	case !modern && depth == 0 && complexMembers(said):
		subject.quirky(QuirkNoFormat)
		subject.Format = FormatComplex
	default:
		subject.Format = Format(take.text("format"))
	}
	if take.err != nil {
		return Subject{}, take.err
	}
	if err := subject.fill(&take, depth); err != nil {
		return Subject{}, err
	}
	return subject, take.err
}

// renamed is the format Google means: its names have hyphens, and id_token_claims is whichever of an ID token's
// claims are there.
func renamed(kind string, take *reader) Format {
	if kind == "id_token_claims" || kind == "id-token-claims" {
		if _, ok := take.members["sub"]; ok {
			return FormatIssSub
		}
		return FormatEmail
	}
	if Format(kind) == FormatIPAddresses {
		return FormatIPAddresses
	}
	return Format(strings.ReplaceAll(kind, "-", "_"))
}

func complexMembers(said map[string]jsontext.Value) bool {
	return slices.ContainsFunc(members, func(member Member) bool { return said[string(member)].Kind() == '{' })
}

// fill takes what the format asks for.
func (s *Subject) fill(take *reader, depth int) error {
	switch s.Format {
	case FormatEmail:
		s.Email = take.text("email")
		if at := strings.LastIndexByte(s.Email, '@'); take.err == nil && (at < 1 || at == len(s.Email)-1) {
			return core.Invalid(take.name+".email", "this is not an e-mail address")
		}
	case FormatIssSub:
		s.Issuer, s.Subject = take.text("iss"), take.text("sub")
	case FormatOpaque:
		s.ID = take.text("id")
	case FormatAccount:
		s.URI = take.text("uri")
		if take.err == nil && !strings.HasPrefix(strings.ToLower(s.URI), "acct:") {
			return core.Invalid(take.name+".uri", "an account begins with acct:")
		}
	case FormatURI:
		s.URI = take.text("uri")
	case FormatDID:
		s.URI = take.text("url")
		if take.err == nil && !strings.HasPrefix(s.URI, "did:") {
			return core.Invalid(take.name+".url", "a decentralized identifier begins with did:")
		}
	case FormatPhoneNumber:
		s.Phone = take.text("phone_number")
		if take.err == nil && !strings.HasPrefix(s.Phone, "+") {
			return core.Invalid(take.name+".phone_number", "a phone number begins with + and the country's code")
		}
	case FormatJWTID:
		s.Issuer, s.ID = take.text("iss"), take.text("jti")
	case FormatSAMLAssertionID:
		s.Issuer, s.ID = take.text("issuer"), take.text("assertion_id")
	case FormatIPAddresses:
		return s.fillAddresses(take)
	case FormatAliases:
		return s.fillAliases(take, depth)
	case FormatComplex:
		return s.fillMembers(take, depth)
	default:
		return core.Invalid(take.name+".format", "this format of a subject is not known").WithCode("unsupported_format")
	}
	return take.err
}

func (s *Subject) fillAddresses(take *reader) error {
	field := take.name + ".ip-addresses"
	raw, ok := take.members["ip-addresses"]
	if !ok {
		return core.Invalid(field, "ip-addresses is missing")
	}
	if err := unmarshal(raw, &s.Addresses); err != nil || len(s.Addresses) == 0 || len(s.Addresses) > maxAliases {
		return core.Invalid(field, "a list of 1 to %d addresses is needed", maxAliases).Because(err)
	}
	for _, text := range s.Addresses {
		if _, err := netip.ParseAddr(text); err != nil {
			return core.Invalid(field, "this is not an IP address").Because(err)
		}
	}
	return nil
}

func (s *Subject) fillAliases(take *reader, depth int) error {
	field := take.name + ".identifiers"
	if depth > 1 {
		return core.Invalid(take.name, "aliases stand on their own or for a member of a complex subject")
	}
	var list []jsontext.Value
	raw, ok := take.members["identifiers"]
	if !ok {
		return core.Invalid(field, "identifiers is missing")
	}
	if err := unmarshal(raw, &list); err != nil || len(list) == 0 || len(list) > maxAliases {
		return core.Invalid(field, "a list of 1 to %d identifiers is needed", maxAliases).Because(err)
	}
	for _, one := range list {
		alias, err := parse(field, one, 2)
		if err != nil {
			return err
		}
		for _, quirk := range alias.Quirks {
			s.quirky(quirk)
		}
		alias.Quirks = nil
		s.Aliases = append(s.Aliases, alias)
	}
	return nil
}

func (s *Subject) fillMembers(take *reader, depth int) error {
	if depth > 0 {
		return core.Invalid(take.name, "a complex subject holds no other one")
	}
	s.Members = map[Member]Subject{}
	for _, member := range members {
		raw, ok := take.members[string(member)]
		if !ok {
			continue
		}
		one, err := parse(take.name+"."+string(member), raw, 1)
		if err != nil {
			return err
		}
		for _, quirk := range one.Quirks {
			s.quirky(quirk)
		}
		one.Quirks = nil
		s.Members[member] = one
	}
	if len(s.Members) == 0 {
		return core.Invalid(take.name, "a complex subject has at least one member")
	}
	return nil
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
