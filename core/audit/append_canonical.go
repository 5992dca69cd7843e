package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
)

// Canonical is the JSON of an event in the one form that is hashed (RFC 8785): sorted keys, no
// space, minimal escapes. Any copy of the event can be brought back to it.
func Canonical(event core.Event) ([]byte, error) {
	event.Occurred = event.Occurred.UTC().Truncate(time.Microsecond)
	if !plain(event) {
		return canonicalize(event)
	}
	return appendEvent(make([]byte, 0, 768), event), nil
}

// canonicalize is Canonical of any event, by the rules of JSON alone.
func canonicalize(event core.Event) ([]byte, error) {
	text, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("audit: event %s: %w", event.ID, err)
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("audit: event %s: %w", event.ID, err)
	}
	return value, nil
}

// plain reports whether an event can be written as it stands: its text is UTF-8, its facts have names
// whose order nobody doubts, its time can be told.
func plain(event core.Event) bool {
	if year := event.Occurred.Year(); year < 0 || year > 9999 {
		return false
	}
	texts := []string{
		string(event.Type), string(event.Outcome), event.Reason, string(event.Actor.Kind), event.Actor.Name, event.Origin.Address, event.Origin.UserAgent,
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return false
		}
	}
	for _, target := range event.Targets {
		if !utf8.ValidString(target.Kind) || !utf8.ValidString(target.Name) {
			return false
		}
	}
	for key, value := range event.Data {
		if strings.ContainsFunc(key, func(one rune) bool { return one >= utf8.RuneSelf }) || !utf8.ValidString(value) {
			return false
		}
	}
	return true
}

// appendEvent writes the members of a plain event in their order.
func appendEvent(to []byte, event core.Event) []byte {
	to = appendNamed(append(to, `{"actor":`...), event.Actor.ID, string(event.Actor.Kind), event.Actor.Name)
	to = appendText(append(to, `,"correlation":`...), event.Correlation.String())
	if len(event.Data) > 0 {
		to = append(to, `,"data":{`...)
		for i, key := range slices.Sorted(maps.Keys(event.Data)) {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendText(append(appendText(to, key), ':'), event.Data[key])
		}
		to = append(to, '}')
	}
	to = appendText(append(to, `,"id":`...), event.ID.String())
	to = event.Occurred.AppendFormat(append(to, `,"occurred":"`...), time.RFC3339Nano)
	to = append(to, '"')
	if origin := event.Origin; origin != (core.Origin{}) {
		to = append(to, `,"origin":{`...)
		if origin.Address != "" {
			to = appendText(append(to, `"address":`...), origin.Address)
		}
		if origin.UserAgent != "" {
			if origin.Address != "" {
				to = append(to, ',')
			}
			to = appendText(append(to, `"user_agent":`...), origin.UserAgent)
		}
		to = append(to, '}')
	}
	to = appendText(append(to, `,"outcome":`...), string(event.Outcome))
	if event.Reason != "" {
		to = appendText(append(to, `,"reason":`...), event.Reason)
	}
	if len(event.Targets) > 0 {
		to = append(to, `,"targets":`...)
		for i, target := range event.Targets {
			separator := byte(',')
			if i == 0 {
				separator = '['
			}
			to = appendNamed(append(to, separator), target.ID, target.Kind, target.Name)
		}
		to = append(to, ']')
	}
	to = appendText(append(to, `,"type":`...), string(event.Type))
	to = appendText(append(to, `,"workspace":`...), event.Workspace.String())
	return append(to, '}')
}

// appendNamed writes an actor or a target: they have the same members.
func appendNamed(to []byte, id core.ID, kind, name string) []byte {
	to = append(to, '{')
	if !id.IsZero() {
		to = append(appendText(append(to, `"id":`...), id.String()), ',')
	}
	to = appendText(append(to, `"kind":`...), kind)
	if name != "" {
		to = appendText(append(to, `,"name":`...), name)
	}
	return append(to, '}')
}

// appendText writes a text of valid UTF-8, for which this never fails.
func appendText(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text)
	return to
}
