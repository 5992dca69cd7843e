package signals

import (
	"slices"
	"strings"

	"postern/core"
)

// Format is a subject identifier's format: RFC 9493, and what the Shared Signals Framework adds.
type Format string

// The formats.
const (
	FormatAccount         Format = "account"
	FormatEmail           Format = "email"
	FormatIssSub          Format = "iss_sub"
	FormatOpaque          Format = "opaque"
	FormatPhoneNumber     Format = "phone_number"
	FormatDID             Format = "did"
	FormatURI             Format = "uri"
	FormatAliases         Format = "aliases"
	FormatJWTID           Format = "jwt_id"
	FormatSAMLAssertionID Format = "saml_assertion_id"
	FormatIPAddresses     Format = "ip-addresses"
	FormatComplex         Format = "complex"
)

// Subject is whom a signal is about, as the identity provider names them.
type Subject struct {
	Format    Format
	Email     string             // email
	Issuer    string             // iss_sub, jwt_id, saml_assertion_id
	Subject   string             // iss_sub
	ID        string             // opaque; jti of jwt_id; assertion_id of saml_assertion_id
	URI       string             // account, uri; url of did
	Phone     string             // phone_number
	Addresses []string           // ip-addresses
	Aliases   []Subject          // aliases: the same subject in other words
	Members   map[Member]Subject // complex: what they all say together
	Quirks    []string           // departures from the standard that were understood
}

// Member is what a part of a complex subject is.
type Member string

// The members of a complex subject.
const (
	MemberUser        Member = "user"
	MemberDevice      Member = "device"
	MemberSession     Member = "session"
	MemberApplication Member = "application"
	MemberTenant      Member = "tenant"
	MemberOrgUnit     Member = "org_unit"
	MemberGroup       Member = "group"
)

var members = []Member{MemberUser, MemberDevice, MemberSession, MemberApplication, MemberTenant, MemberOrgUnit, MemberGroup}

// EmailSubject names somebody by an e-mail address.
func EmailSubject(address string) Subject { return Subject{Format: FormatEmail, Email: address} }

// IssSubSubject names somebody by an issuer and what it calls them.
func IssSubSubject(issuer, subject string) Subject {
	return Subject{Format: FormatIssSub, Issuer: issuer, Subject: subject}
}

// OpaqueSubject names somebody by an id: the one Postern gave at provisioning, or the identity provider's.
func OpaqueSubject(id string) Subject { return Subject{Format: FormatOpaque, ID: id} }

// NoSubject is for a signal that names a session alone (Signal.SID).
func NoSubject() Subject { return Subject{} }

// IsZero reports whether nobody is named.
func (s Subject) IsZero() bool { return s.Format == "" }

// Said is the member of a complex subject.
func (s Subject) Said(member Member) (Subject, bool) {
	found, ok := s.Members[member]
	return found, ok
}

// Unprocessed are the members of a complex subject that are critical to the transmitter
// (critical_subject_members of its metadata) and that Postern does not go by. An event with one of them is to
// be discarded (Shared Signals Framework 1.0 §7.1).
func (s Subject) Unprocessed(critical []string) []string {
	var missed []string
	for _, name := range critical {
		member := Member(name)
		if _, said := s.Members[member]; said && member != MemberUser && member != MemberSession {
			missed = append(missed, name)
		}
	}
	return missed
}

// sid is the identity provider's id of the session that is meant, if one is.
func (s Subject) sid() string {
	session, ok := s.Members[MemberSession]
	if !ok {
		return ""
	}
	switch session.Format {
	case FormatOpaque:
		return session.ID
	case FormatURI:
		return session.URI
	}
	return ""
}

// names are the simple subjects that each identify the person.
func (s Subject) names() []Subject {
	switch s.Format {
	case "":
		return nil
	case FormatAliases:
		var all []Subject
		for _, one := range s.Aliases {
			all = append(all, one.names()...)
		}
		return all
	case FormatComplex:
		user, ok := s.Members[MemberUser]
		if !ok {
			return nil
		}
		return user.names()
	}
	return []Subject{s}
}

// String is the subject as an event tells it.
func (s Subject) String() string {
	switch s.Format {
	case "":
		return ""
	case FormatEmail:
		return "email " + core.Cut(s.Email, 200)
	case FormatIssSub:
		return "iss_sub " + core.Cut(s.Issuer, 100) + " " + core.Cut(s.Subject, 100)
	case FormatAccount, FormatURI, FormatDID:
		return string(s.Format) + " " + core.Cut(s.URI, 200)
	case FormatPhoneNumber:
		return "phone_number " + core.Cut(s.Phone, 50)
	case FormatIPAddresses:
		return "ip-addresses " + core.Cut(strings.Join(s.Addresses, " "), 200)
	case FormatAliases:
		parts := make([]string, 0, len(s.Aliases))
		for _, one := range s.Aliases {
			parts = append(parts, one.String())
		}
		return core.Cut("aliases "+strings.Join(parts, ", "), 400)
	case FormatComplex:
		var parts []string
		for _, member := range members {
			if one, ok := s.Members[member]; ok {
				parts = append(parts, string(member)+": "+one.String())
			}
		}
		return core.Cut(strings.Join(parts, ", "), 400)
	}
	return string(s.Format) + " " + core.Cut(s.ID, 200)
}

// quirky adds a quirk, once.
func (s *Subject) quirky(quirk string) {
	if !slices.Contains(s.Quirks, quirk) {
		s.Quirks = append(s.Quirks, quirk)
	}
}
