package transmitter

import (
	"slices"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// The event types, by who defined them.
const (
	base = "https://schemas.openid.net/secevent/"

	eventVerification = base + "ssf/event-type/verification"
	eventUpdated      = base + "ssf/event-type/stream-updated"

	sessionRevoked   = base + "caep/event-type/session-revoked"
	credentialChange = base + "caep/event-type/credential-change"

	accountDisabled      = base + "risc/event-type/account-disabled"
	accountEnabled       = base + "risc/event-type/account-enabled"
	accountPurged        = base + "risc/event-type/account-purged"
	credentialCompromise = base + "risc/event-type/credential-compromise"

	// RFC 9967 §2.4. Its drafts wrote SCIM in capitals, and the case of a URN counts.
	provisioning   = "urn:ietf:params:scim:event:prov:"
	scimCreate     = provisioning + "create:notice" // §2.4.1
	scimPatch      = provisioning + "patch:notice"  // §2.4.2
	scimDelete     = provisioning + "delete"        // §2.4.4
	scimActivate   = provisioning + "activate"      // §2.4.5
	scimDeactivate = provisioning + "deactivate"    // §2.4.6
)

// Supported are the types a stream can have.
func Supported() []string {
	return []string{
		sessionRevoked, credentialChange, accountDisabled, accountEnabled, accountPurged, credentialCompromise,
		scimCreate, scimPatch, scimActivate, scimDeactivate, scimDelete,
	}
}

// SCIMEvents are those of RFC 9967: what a SCIM service provider that is followed by them says it has.
func SCIMEvents() []string {
	return slices.DeleteFunc(Supported(), func(uri string) bool { return !strings.HasPrefix(uri, provisioning) })
}

// told is one thing to tell about one event of the log.
type told struct {
	uri     string
	user    core.ID        // whom it is about; zero with account
	session core.ID        // only this session of theirs
	account core.Target    // a shared account
	reason  string         // for an administrator
	extra   map[string]any // members of the event particular to its type
}

// followed are the events of the log that something is told about.
func followed() []core.EventType {
	return []core.EventType{
		core.UserLoggedOut, core.UserDepartureHeld, core.UserDeprovisioned, core.UserReactivated, core.UserDepartureWithdrawn, core.UserDeleted, core.UserRestored,
		core.UserProvisioned, core.UserUpdated, core.SessionEnded, core.SignalAccepted, core.AccountPasswordRotated,
	}
}

// covering are the events that say of all of a person's sessions what would be said of each.
var covering = []string{string(core.UserLoggedOut), string(core.UserDepartureHeld), string(core.UserDeprovisioned)}

// tellings are what there is to tell about an event. covered says that a session's end is part of more.
func tellings(event core.Event, covered bool) []told {
	user := targeted(event, "user")
	because := func(text string) string {
		if event.Reason != "" {
			return text + ": " + event.Reason
		}
		return text
	}
	about := func(uri, reason string) told { return told{uri: uri, user: user.ID, reason: because(reason)} }
	created := func(reason string) []told {
		made := about(scimCreate, reason)
		made.extra = map[string]any{"attributes": []string{"id", "userName", "externalId", "active"}}
		return []told{made}
	}
	switch event.Type {
	case core.UserLoggedOut:
		return []told{about(sessionRevoked, "Logged out everywhere")}
	case core.UserDepartureHeld: // shut out; what follows waits for a decision
		return []told{about(sessionRevoked, "Deactivated by the identity provider")}
	case core.UserDeprovisioned:
		return []told{about(sessionRevoked, "Deprovisioned"), about(accountDisabled, "Deprovisioned"), about(scimDeactivate, "Deprovisioned")}
	case core.UserReactivated:
		return []told{about(accountEnabled, "Reactivated"), about(scimActivate, "Reactivated")}
	case core.UserDepartureWithdrawn: // nobody was told that it began
		return nil
	case core.UserDeleted:
		return []told{about(accountPurged, "Deleted"), about(scimDelete, "Deleted")}
	case core.UserRestored:
		return created("Restored")
	case core.UserProvisioned:
		return created("Provisioned")
	case core.UserUpdated:
		changed := about(scimPatch, "Updated")
		changed.extra = map[string]any{"attributes": attributes(event.Data["changed"])}
		return []told{changed}
	case core.SessionEnded:
		session := targeted(event, "session")
		if covered || session.ID.IsZero() {
			return nil
		}
		ended := about(sessionRevoked, "A session was ended")
		ended.session = session.ID
		return []told{ended}
	case core.SignalAccepted:
		return relayed(event)
	case core.AccountPasswordRotated:
		account := targeted(event, "account")
		return []told{{uri: credentialChange, account: account, reason: "The password of a shared account was rotated",
			extra: map[string]any{"credential_type": "password", "change_type": "update", "friendly_name": account.Name}}}
	}
	return nil
}

// relayed is what an identity provider said of a person's own credentials.
func relayed(event core.Event) []told {
	if event.Data["outcome"] != string(signals.Done) {
		return nil
	}
	var uri, reason string
	var extra map[string]any
	kind := event.Data["credential_type"]
	if kind == "" {
		kind = "password"
	}
	switch signals.Kind(event.Data["kind"]) {
	case signals.CredentialChanged:
		change := event.Data["change_type"]
		if change == "" {
			change = "update"
		}
		uri, reason, extra = credentialChange, "The identity provider reports a changed credential", map[string]any{"credential_type": kind, "change_type": change}
	case signals.CredentialCompromised:
		uri, reason, extra = credentialCompromise, "The identity provider reports a compromised credential", map[string]any{"credential_type": kind}
	default:
		return nil
	}
	var all []told
	for _, target := range event.Targets {
		if target.Kind == "user" && !target.ID.IsZero() {
			all = append(all, told{uri: uri, user: target.ID, reason: reason, extra: extra})
		}
	}
	return all
}

// attributes are SCIM's names of what changed, as paths (RFC 9967 §2.2, RFC 7644 §3.5.2).
func attributes(changed string) []string {
	all := []string{}
	for _, field := range strings.Split(changed, ",") {
		switch field {
		case "":
			continue
		case "role":
			field = "roles"
		case "attributes": // of the core schema or an extension's: we do not say which
			field = "urn:ietf:params:scim:schemas:core:2.0:User"
		}
		all = append(all, field)
	}
	return all
}

func targeted(event core.Event, kind string) core.Target {
	for _, target := range event.Targets {
		if target.Kind == kind {
			return target
		}
	}
	return core.Target{}
}

// initiator is CAEP's initiating_entity.
func initiator(event core.Event, user core.ID) string {
	switch {
	case event.Actor.Kind == core.ActorUser && event.Actor.ID == user:
		return "user"
	case event.Actor.Kind == core.ActorUser || event.Actor.Kind == core.ActorServiceAccount:
		return "admin"
	case event.Actor.Kind == core.ActorConnection:
		return "policy"
	}
	return "system"
}

// body is the event's own object. A SCIM event in the mode notice has attributes and no data; the others have
// nothing (RFC 9967 §2.4).
func (t told) body(event core.Event) map[string]any {
	members := map[string]any{}
	for name, value := range t.extra {
		members[name] = value
	}
	if strings.HasPrefix(t.uri, base) {
		members["event_timestamp"] = event.Occurred.Unix()
		members["initiating_entity"] = initiator(event, t.user)
		members["reason_admin"] = map[string]string{"en": t.reason}
	}
	return members
}

// subjectOf is whom a telling is about, as a receiver knows them. That of a SCIM event is the resource: its path, and
// the externalId if there is one (RFC 9967 §2.1).
func (s *Service) subjectOf(receiver Receiver, t told, person directory.Addressee) any {
	switch {
	case !t.account.ID.IsZero():
		return signals.OpaqueSubject(t.account.ID.String())
	case strings.HasPrefix(t.uri, provisioning):
		named := map[string]any{"format": "scim", "uri": "/Users/" + person.ID.String()}
		if person.ExternalID != "" {
			named["externalId"] = person.ExternalID
		}
		return named
	}
	user := s.names(receiver, person)
	if t.session.IsZero() {
		return user
	}
	return signals.Subject{Format: signals.FormatComplex, Members: map[signals.Member]signals.Subject{
		signals.MemberUser: user, signals.MemberSession: signals.OpaqueSubject(t.session.String()),
	}}
}

func (s *Service) names(receiver Receiver, person directory.Addressee) signals.Subject {
	switch {
	case receiver.SubjectFormat == SubjectEmail && person.Email != "":
		return signals.EmailSubject(person.Email)
	case len(person.Issuers) > 0:
		return signals.IssSubSubject(person.Issuers[0], person.Subjects[0])
	}
	return signals.IssSubSubject(s.Issuer(receiver.Workspace), person.ID.String())
}

// spelled is a subject in one spelling.
func spelled(subject signals.Subject) string {
	switch subject.Format {
	case signals.FormatEmail:
		return "email " + strings.ToLower(subject.Email)
	case signals.FormatIssSub:
		return "iss_sub " + subject.Issuer + "\n" + subject.Subject
	case signals.FormatOpaque:
		return "opaque " + strings.ToLower(subject.ID)
	}
	return subject.String()
}

// spellings are all names a receiver may have removed a person by.
func (s *Service) spellings(receiver Receiver, person directory.Addressee) []string {
	all := []string{
		spelled(signals.EmailSubject(person.Email)), spelled(signals.OpaqueSubject(person.ID.String())),
		spelled(signals.IssSubSubject(s.Issuer(receiver.Workspace), person.ID.String())),
	}
	for i, issuer := range person.Issuers {
		all = append(all, spelled(signals.IssSubSubject(issuer, person.Subjects[i])))
	}
	return all
}
