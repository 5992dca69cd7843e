package hooks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// AnyType in Mapping.Kinds stands for every type that is not named.
const AnyType = "*"

func (m Mapping) check() error {
	if len(m.Kinds) == 0 || len(m.Kinds) > 200 {
		return core.Invalid("mapping.kinds", "say of 1 to 200 types what they mean; * is every other")
	}
	for name, kind := range m.Kinds {
		if name == "" || len(name) > 200 || !slices.Contains(signals.Kinds, kind) {
			return core.Invalid("mapping.kinds", "there is no kind of signal %q", core.Cut(string(kind), 60))
		}
	}
	if len(m.Subjects) == 0 || len(m.Subjects) > 8 {
		return core.Invalid("mapping.subjects", "say where the person stands: 1 to 8 places")
	}
	for _, one := range m.Subjects {
		if one.Format != signals.FormatEmail && one.Format != signals.FormatOpaque && one.Format != signals.FormatIssSub {
			return core.Invalid("mapping.subjects", "a subject is email, opaque or iss_sub")
		}
		if !strings.HasPrefix(one.Pointer, "/") {
			return core.Invalid("mapping.subjects", "a JSON pointer such as /data/email is needed")
		}
	}
	for _, place := range []string{m.Type, m.ID, m.Occurred, m.Transaction, m.Session} {
		if place != "" && !strings.HasPrefix(place, "/") && !strings.HasPrefix(place, "header:") || len(place) > 200 {
			return core.Invalid("mapping", "a JSON pointer such as /data/id is needed, or header:NAME")
		}
	}
	return nil
}

// read understands a body. It is called for verified bodies, and for samples.
func (m Mapping) read(connection directory.Connection, header http.Header, body []byte, now time.Time) (happening, error) {
	var document any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil || !jsontext.Value(body).IsValid() {
		return happening{}, core.Invalid("", "the body is not JSON in which every name comes once").Because(err).WithCode(stageBody)
	}
	at := func(place string) string {
		if name, ok := strings.CutPrefix(place, "header:"); ok {
			return core.Cut(header.Get(name), 400)
		}
		if place == "" {
			return ""
		}
		return core.Cut(text(find(document, place)), 400)
	}
	digest := sha256.Sum256(body)
	kindAt := m.Type
	if kindAt == "" {
		kindAt = "/type"
	}
	one := happening{
		id: at(m.ID), kind: signals.Other, eventType: at(kindAt), digest: digest[:], occurred: moment(at(m.Occurred)), transaction: at(m.Transaction), sid: at(m.Session),
	}
	if one.id == "" {
		one.id = "sha256:" + hex.EncodeToString(digest[:])
	}
	if kind, ok := m.Kinds[AnyType]; ok {
		one.kind = kind
	}
	if kind, ok := m.Kinds[one.eventType]; ok {
		one.kind = kind
	}
	var names []signals.Subject
	for _, place := range m.Subjects {
		value := at(place.Pointer)
		if value == "" {
			continue
		}
		switch place.Format {
		case signals.FormatEmail:
			names = append(names, signals.EmailSubject(value))
		case signals.FormatIssSub:
			issuer := place.Issuer
			if issuer == "" {
				issuer = connection.Issuer
			}
			names = append(names, signals.IssSubSubject(issuer, value))
		default:
			names = append(names, signals.OpaqueSubject(value))
		}
	}
	switch len(names) {
	case 0:
		if one.kind != signals.Other && one.sid == "" {
			return happening{}, core.Invalid("", "a %s names nobody at the places its mapping says", core.Cut(one.eventType, 100)).WithCode(stageSubject)
		}
	case 1:
		one.subject = names[0]
	default:
		one.subject = signals.Subject{Format: signals.FormatAliases, Aliases: names}
	}
	return one, nil
}

// find follows a JSON pointer (RFC 6901); nil: there is nothing.
func find(document any, pointer string) any {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, part := range strings.Split(pointer, "/")[1:] {
		part = unescape.Replace(part)
		switch within := document.(type) {
		case map[string]any:
			document = within[part]
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index < 0 || index >= len(within) {
				return nil
			}
			document = within[index]
		default:
			return nil
		}
	}
	return document
}

func text(value any) string {
	switch one := value.(type) {
	case string:
		return one
	case json.Number:
		return one.String()
	}
	return ""
}

// moment reads RFC 3339, or seconds or milliseconds since 1970; zero: it says nothing.
func moment(said string) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, said); err == nil {
		return at
	}
	number, err := strconv.ParseInt(said, 10, 64)
	switch {
	case err != nil || number <= 0:
		return time.Time{}
	case number > 1e11:
		return time.UnixMilli(number)
	}
	return time.Unix(number, 0)
}
