package ssf

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/jwt"
	"postern/core/signals"
)

// MaxSize is the longest token that is read.
const MaxSize = 64 << 10

// maxAge is how old a token may be. Its single use is remembered for as long, so that it has no second effect
// while it would be accepted; a transmitter keeps what it could not deliver for days, not for months.
const maxAge = 90 * 24 * time.Hour

const maxEvents = 8

// The stages that come after those of core/jwt.
const (
	StageAuthorization = "authorization" // of the push: the header we chose
	StageRequest       = "request"       // media type, size
	StageEvents        = "events"
	StageSubject       = "sub_id"
	StageCritical      = "critical_subject_members"
	StageState         = "state"
	StageEffect        = "effect"
)

// set is a security event token whose every claim was checked.
type set struct {
	token  jwt.Token
	txn    string
	quirks []string
	events []event
}

// event is one statement of a token.
type event struct {
	uri     string
	kind    signals.Kind
	subject signals.Subject
	members map[string]jsontext.Value
	quirks  []string
}

func refuse(stage, format string, args ...any) *core.Error {
	return core.Invalid("", format, args...).WithCode(stage)
}

// read judges a token by the stream it came in (RFC 8417 §2, Shared Signals Framework 1.0 §4).
func (s *Service) read(ctx context.Context, stream Stream, compact string) (set, error) {
	s.prepare()
	traits := stream.Profile.traits()
	want := jwt.Expected{
		Types: []string{"secevent+jwt"}, Issuers: []string{stream.Issuer}, Audiences: stream.Audiences, KeysURI: stream.Metadata.JWKSURI,
		Expiry: jwt.Forbidden, NeedID: true, NeedIssued: true, Without: []string{"sub"}, MaxAge: maxAge, MaxSize: MaxSize,
	}
	if traits.noType {
		want.Types = append(want.Types, "", "JWT")
	}
	if traits.onlyRS256 {
		want.Algorithms = []jose.SignatureAlgorithm{jose.RS256}
	}
	token, err := s.verifier.Verify(ctx, compact, want)
	if err != nil {
		return set{}, err
	}
	read := set{token: token}
	if kind := strings.TrimPrefix(strings.ToLower(token.Type), "application/"); kind != "secevent+jwt" {
		read.quirks = append(read.quirks, QuirkNoType)
	}
	var said struct {
		Subject     jsontext.Value            `json:"sub_id"`
		Events      map[string]jsontext.Value `json:"events"`
		Transaction jsontext.Value            `json:"txn"`
	}
	if err := token.Read(&said); err != nil {
		return set{}, refuse(StageEvents, "events is an object with a member per event").Because(err)
	}
	if said.Transaction.Kind() == '"' {
		_ = json.Unmarshal(said.Transaction, &read.txn)
		read.txn = cut(read.txn, 255)
	}
	return read, read.fill(stream, said.Subject, said.Events)
}

// fill reads the events. Several are alternative names of the same one, unless the profile sends more.
func (r *set) fill(stream Stream, subject jsontext.Value, said map[string]jsontext.Value) error {
	if len(said) == 0 || len(said) > maxEvents {
		return refuse(StageEvents, "a token holds one event")
	}
	uris := make([]string, 0, len(said))
	for uri := range said {
		if uri == "" || len(uri) > 300 {
			return refuse(StageEvents, "the name of an event is an URI of at most 300 characters")
		}
		uris = append(uris, uri)
	}
	slices.Sort(uris)
	for _, uri := range uris {
		one := event{uri: uri, kind: KindOf(uri)}
		if err := json.Unmarshal(said[uri], &one.members); err != nil || one.members == nil {
			return refuse(StageEvents, "an event is an object").Because(err)
		}
		if slices.ContainsFunc(r.events, func(other event) bool { return other.kind == one.kind && one.kind != signals.Other }) {
			r.quirk(QuirkSeveralEvents)
			continue
		}
		if err := one.address(stream, subject); err != nil {
			return err
		}
		r.events = append(r.events, one)
	}
	if len(r.events) > 1 {
		if !stream.Profile.traits().severalEvents || slices.ContainsFunc(uris, framework) {
			return refuse(StageEvents, "a token holds one event")
		}
		r.quirk(QuirkSeveralEvents)
	}
	return nil
}

func (r *set) quirk(name string) {
	if !slices.Contains(r.quirks, name) {
		r.quirks = append(r.quirks, name)
	}
}

// framework reports whether an event is about the stream itself.
func framework(uri string) bool {
	return slices.Contains(verifications, uri) || slices.Contains(updates, uri)
}

// address reads whom an event is about: sub_id, or where the profile's drafts had it.
func (e *event) address(stream Stream, subject jsontext.Value) error {
	raw := subject
	if inside, there := e.members["subject"]; raw == nil && there && stream.Profile.traits().subjectInEvent {
		raw = inside
		e.quirks = append(e.quirks, QuirkSubjectInEvent)
	}
	if _, known := legacy[e.uri]; known || framework(e.uri) && !strings.HasPrefix(e.uri, base+"ssf/") {
		e.quirks = append(e.quirks, QuirkLegacyEvent)
	}
	if raw == nil {
		if e.kind == signals.Other && (!framework(e.uri) || stream.Profile.traits().subjectInEvent) {
			return nil // recorded whoever it is about; earlier drafts named no stream
		}
		return refuse(StageSubject, "sub_id is missing")
	}
	read, err := signals.ParseSubject(raw)
	if err != nil {
		if e.kind == signals.Other && !framework(e.uri) {
			return nil // what nobody knows may be about what nobody knows
		}
		classified := core.AsError(err)
		if classified.Field != "" {
			return refuse(StageSubject, "%s: %s", classified.Field, classified.Message).Because(err)
		}
		return classified.WithCode(StageSubject)
	}
	e.subject = read
	return nil
}

// critical are the members of the subject that the transmitter calls critical and that we do not go by.
func (e *event) critical(stream Stream) []string {
	return e.subject.Unprocessed(stream.Metadata.Critical)
}

// text is a member that is a string.
func (e *event) text(name string) string {
	raw, there := e.members[name]
	if !there || raw.Kind() != '"' {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// localized is a member that has a text per language: the English one, or the first.
func (e *event) localized(name string) string {
	if plain := e.text(name); plain != "" {
		return plain
	}
	var texts map[string]string
	raw, there := e.members[name]
	if !there || raw.Kind() != '{' || json.Unmarshal(raw, &texts) != nil {
		return ""
	}
	languages := make([]string, 0, len(texts))
	for language := range texts {
		languages = append(languages, language)
	}
	slices.SortFunc(languages, func(one, other string) int {
		if english := strings.HasPrefix(one, "en"); english != strings.HasPrefix(other, "en") {
			if english {
				return -1
			}
			return 1
		}
		return strings.Compare(one, other)
	})
	if len(languages) == 0 {
		return ""
	}
	return texts[languages[0]]
}

// occurred is when it happened: event_timestamp, or when the token was issued. What lies in the future happened
// now.
func (e *event) occurred(stream Stream, issued, now time.Time) (time.Time, error) {
	at := issued
	if raw, there := e.members["event_timestamp"]; there {
		seconds, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || raw.Kind() != '0' || math.IsInf(seconds, 0) || seconds < 0 {
			return time.Time{}, refuse(StageEvents, "event_timestamp is a number of seconds since 1970")
		}
		if seconds > 1e11 {
			if !stream.Profile.traits().milliseconds || seconds > 1e14 {
				return time.Time{}, refuse(StageEvents, "event_timestamp is a number of seconds since 1970, not of milliseconds")
			}
			seconds /= 1000
			e.quirks = append(e.quirks, QuirkMilliseconds)
		}
		whole, fraction := math.Modf(seconds)
		at = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	}
	if at.After(now) {
		at = now
	}
	return at.Truncate(time.Microsecond), nil
}

// said are the facts that stay on record.
func (e *event) said() map[string]string {
	kept := map[string]string{}
	for _, name := range facts {
		text := e.text(name)
		if text == "" {
			continue
		}
		size := 200
		if name == "new-value" {
			size = 1024
		}
		kept[strings.ReplaceAll(name, "-", "_")] = cut(text, size)
	}
	if reason := e.localized("reason_admin"); reason != "" {
		kept["reason_admin"] = cut(reason, 300)
	}
	// Which claims changed says enough; what they are now may be about the person.
	var claims map[string]jsontext.Value
	if raw, there := e.members["claims"]; there && raw.Kind() == '{' && json.Unmarshal(raw, &claims) == nil {
		names := make([]string, 0, len(claims))
		for name := range claims {
			names = append(names, name)
		}
		slices.Sort(names)
		kept["claims"] = cut(strings.Join(names, " "), 300)
	}
	if kind := kept["credential_type"]; kind != "" && !slices.Contains(credentialTypes, kind) {
		e.quirks = append(e.quirks, QuirkCredentialType)
	}
	return kept
}
