package ocsf

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/audit"
)

// Version is a version of the schema.
type Version string

// The versions. In 1.9 User Management (3007) takes the place of Account Change (3001).
const (
	Version18 Version = "1.8.0"
	Version19 Version = "1.9.0"
)

// maximum is how large a document may become. What receivers accept at once is about a megabyte.
const maximum = 256 << 10

// Mapper writes documents. The zero value writes 1.8.0.
type Mapper struct {
	Version Version // default Version18
	Release string  // the version of Postern, for metadata.product
}

// Map writes the document of a record as one line of JSON.
func (m Mapper) Map(record audit.Record) ([]byte, error) {
	event := record.Event
	version := cmp.Or(m.Version, Version18)
	told := kindOf(event.Type, version)
	category := told.class / 1000
	doc := document{
		ActivityID: told.activity, ActivityName: told.name,
		CategoryUID: category, CategoryName: categoryNames[category],
		ClassUID: told.class, ClassName: classNames[told.class],
		TypeUID: told.class*100 + told.activity, TypeName: classNames[told.class] + ": " + told.name,
		SeverityID: told.severity, Severity: severityNames[told.severity],
		StatusID: 1, Status: "Success", StatusDetail: event.Reason,
		Time:    event.Occurred.UnixMilli(),
		Message: message(event),
		Metadata: metadata{
			Version: string(version), Product: product{Name: "Postern", VendorName: "Postern", Version: m.Release},
			UID: event.ID.String(), EventCode: string(event.Type), Sequence: record.Sequence,
			CorrelationUID: event.Correlation.String(), TenantUID: event.Workspace.String(),
			LogName: "audit", OriginalTime: event.Occurred.UTC().Format(time.RFC3339Nano),
		},
		Actor: actorOf(event.Actor),
	}
	if event.Outcome == core.Failure {
		doc.StatusID, doc.Status = 2, "Failure"
		if doc.SeverityID < severityMedium {
			doc.SeverityID, doc.Severity = severityMedium, severityNames[severityMedium]
		}
	}
	if !record.Sequenced.IsZero() {
		doc.Metadata.LoggedTime = record.Sequenced.UnixMilli()
	}
	if address, err := netip.ParseAddr(event.Origin.Address); err == nil {
		doc.SrcEndpoint = &endpoint{IP: address.Unmap().WithZone("").String()}
	}
	if event.Origin.UserAgent != "" {
		doc.HTTPRequest = &httpRequest{UserAgent: event.Origin.UserAgent}
	}
	doc.about(event, told)
	text, err := encode(doc, record, record.Canonical)
	if err == nil && len(text) > maximum {
		// No receiver would take it. The chain's hashes stay, so the gap in the content is visible.
		doc.Resources, doc.Metadata.IsTruncated = nil, true
		doc.Message, doc.StatusDetail = cut(doc.Message), cut(doc.StatusDetail)
		text, err = encode(doc, record, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("ocsf: event %s: %w", event.ID, err)
	}
	return text, nil
}

// encode writes a document, and at its end what OCSF has no field for: the event as it was hashed, if it is given, and
// the record's link in the chain.
func encode(doc document, record audit.Record, event jsontext.Value) ([]byte, error) {
	switch {
	case len(event) == 0:
	case !event.IsValid(relaxed...):
		return nil, errors.New("the canonical event is not JSON")
	case bytes.ContainsAny(event, "\n\r"): // a document is one line
		event = event.Clone()
		if err := event.Compact(relaxed...); err != nil {
			return nil, err
		}
	}
	const link = len(`,"unmapped":{"event":,"previous":"","hash":""}}`) + 4*sha256.Size
	text := bytes.NewBuffer(make([]byte, 0, 1536+link+len(event)))
	if err := json.MarshalWrite(text, doc, relaxed...); err != nil {
		return nil, err
	}
	line := text.Bytes()
	line = append(line[:len(line)-1], `,"unmapped":{`...)
	if len(event) > 0 {
		line = append(append(append(line, `"event":`...), event...), ',')
	}
	line = hex.AppendEncode(append(line, `"previous":"`...), record.Previous)
	line = hex.AppendEncode(append(line, `","hash":"`...), record.Hash)
	return append(line, `"}}`...), nil
}

// relaxed are the rules of what is written. The names are ours, so none comes twice.
var relaxed = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

func cut(text string) string {
	const limit = 4096
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// about fills in what the class asks for about the event's targets.
func (d *document) about(event core.Event, told kind) {
	subject := find(event, told.subject)
	switch told.class {
	case classAccountChange, classUserManagement:
		d.User = userOf(subject)
		if subject.Kind == "account" {
			d.User.TypeID, d.User.Type = 99, "Shared account"
		}
	case classAuthentication:
		d.User, d.Service = userOf(subject), &service{Name: "Postern"}
		if ended := find(event, "session"); !ended.ID.IsZero() {
			d.Session = &session{UID: ended.ID.String()}
		}
	case classGroupManagement:
		d.Group = groupOf(subject)
		if member := find(event, "user"); member.Kind != "" {
			d.User = userOf(member)
		}
	case classUserAccess:
		d.access(event, subject)
	case classAPIActivity:
		d.API = &api{Operation: cmp.Or(event.Data["operation"], string(event.Type)), Service: service{Name: "Postern"}}
		if d.SrcEndpoint == nil {
			d.SrcEndpoint = &endpoint{Name: "unknown"}
		}
		for _, target := range event.Targets {
			d.Resources = append(d.Resources, resourceOf(target))
		}
	default:
		d.Entity = &entity{UID: subject.ID.String(), Name: subject.Name, Type: cmp.Or(subject.Kind, told.subject, "event")}
		if d.Entity.UID == "" && d.Entity.Name == "" {
			d.Entity.Name = d.Entity.Type
		}
	}
}

// access tells who got or lost which role on an account. OCSF has one class for people and another
// for groups.
func (d *document) access(event core.Event, account core.Target) {
	d.Privileges = []string{cmp.Or(event.Data["role"], "unknown")}
	if team := find(event, "team"); team.Kind != "" {
		d.ClassUID, d.ClassName = classGroupManagement, classNames[classGroupManagement]
		d.TypeUID, d.TypeName = d.ClassUID*100+d.ActivityID, d.ClassName+": "+d.ActivityName
		d.Group, d.Resource = groupOf(team), new(resourceOf(account))
		return
	}
	d.User, d.Resources = userOf(find(event, "user")), []resource{resourceOf(account)}
}

// find returns the first target of a kind, or an empty one.
func find(event core.Event, kind string) core.Target {
	for _, target := range event.Targets {
		if target.Kind == kind {
			return target
		}
	}
	return core.Target{}
}

func userOf(target core.Target) *user {
	found := &user{UID: target.ID.String(), Name: target.Name, TypeID: 1, Type: "User"}
	if found.UID == "" && found.Name == "" {
		found.Name, found.TypeID, found.Type = "unknown", 0, "Unknown"
	}
	return found
}

func groupOf(target core.Target) *group {
	found := &group{UID: target.ID.String(), Name: target.Name}
	if found.UID == "" && found.Name == "" {
		found.Name = "unknown"
	}
	return found
}

func resourceOf(target core.Target) resource {
	found := resource{UID: target.ID.String(), Name: target.Name, Type: cmp.Or(target.Kind, "unknown")}
	if found.UID == "" && found.Name == "" {
		found.Name = "unknown"
	}
	return found
}

func actorOf(who core.Actor) *actor {
	switch who.Kind {
	case core.ActorUser, core.ActorRecipient:
		return &actor{User: userOf(core.Target{ID: who.ID, Name: who.Name})}
	case core.ActorServiceAccount:
		acting := userOf(core.Target{ID: who.ID, Name: who.Name})
		acting.TypeID, acting.Type = 4, "Service"
		return &actor{User: acting}
	default:
		return &actor{AppUID: who.ID.String(), AppName: cmp.Or(who.Name, string(who.Kind), "unknown")}
	}
}

// words makes them of the name of a type.
var words = strings.NewReplacer(".", " ", "_", " ")

// message is the event in a line for a person.
func message(event core.Event) string {
	var text strings.Builder
	text.WriteString(words.Replace(string(event.Type)))
	separator := ": "
	for _, target := range event.Targets {
		if target.Name != "" {
			text.WriteString(separator + target.Name)
			separator = ", "
		}
	}
	if event.Reason != "" {
		text.WriteString(" (" + event.Reason + ")")
	}
	return text.String()
}
