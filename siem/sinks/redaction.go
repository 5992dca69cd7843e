package sinks

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"postern/core"
	"postern/core/seal"
	"postern/siem/stream"
)

// Redaction is a field of the document that a receiver is not shown.
type Redaction struct {
	Field string `json:"field" maxLength:"200" doc:"Its path in the OCSF document, such as actor.user.name or src_endpoint.ip"`
	How   string `json:"how" enum:"remove,hash" doc:"hash: the same value has the same hash within the workspace, and nobody else can compute it"`
}

// The ways of redacting.
const (
	Remove = "remove"
	Hash   = "hash"
)

const maxRedactions = 50

// hashKey is what the workspace's key that hashes is used for.
const hashKey = "sink-redaction"

// needed is what a receiver cannot be without: by these events are recognised, ordered and found missing.
var needed = []string{
	"class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "time",
	"metadata.uid", "metadata.sequence", "metadata.tenant_uid", "metadata.event_code", "metadata.version", "metadata.product",
}

func checkRedactions(all []Redaction) error {
	if len(all) > maxRedactions {
		return core.Invalid("redaction", "at most %d fields", maxRedactions)
	}
	for _, one := range all {
		switch {
		case one.How != Remove && one.How != Hash:
			return core.Invalid("redaction", "%s: a field is removed or hashed (remove, hash)", one.Field)
		case one.Field == "" || slices.Contains(strings.Split(one.Field, "."), "") || len(one.Field) > 200:
			return core.Invalid("redaction", "name a field by its path, such as actor.user.name")
		}
		for _, path := range needed {
			if path == one.Field || strings.HasPrefix(path, one.Field+".") {
				return core.Invalid("redaction", "%s stays: the receiver recognises and orders events by %s", one.Field, path)
			}
		}
	}
	return nil
}

// redactor rewrites documents.
type redactor struct {
	redactions []Redaction
	key        seal.Secret
}

// redact returns the event as the receiver may see it. A value that is redacted in one field is redacted in the
// sentence that tells of it too, and the event as it was hashed goes with it: it repeats every field. The link in
// the chain goes too, since who knows all but one field could try values until the hash fits.
func (r redactor) redact(event stream.Event) (stream.Event, error) {
	if len(r.redactions) == 0 {
		return event, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(event.Value))
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return event, core.Internal(err)
	}
	delete(document, "unmapped")
	hidden := map[string]string{}
	for _, one := range r.redactions {
		r.at(document, strings.Split(one.Field, "."), one.How, hidden)
	}
	for _, name := range []string{"message", "status_detail"} {
		if text, there := document[name].(string); there {
			document[name] = conceal(text, hidden)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return event, core.Internal(err)
	}
	event.Value = bytes.TrimRight(text.Bytes(), "\n")
	return event, nil
}

// conceal replaces what is hidden in a sentence, the longest first.
func conceal(text string, hidden map[string]string) string {
	var values []string
	for value := range hidden {
		if len(value) >= 2 {
			values = append(values, value)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, hidden[value])
	}
	return text
}

// at redacts what a path leads to, in every element of a list on the way.
func (r redactor) at(place any, path []string, how string, hidden map[string]string) {
	switch place := place.(type) {
	case []any:
		for _, one := range place {
			r.at(one, path, how, hidden)
		}
	case map[string]any:
		value, there := place[path[0]]
		if !there {
			return
		}
		if len(path) > 1 {
			r.at(value, path[1:], how, hidden)
			return
		}
		r.hide(value, how, hidden)
		if how == Remove {
			delete(place, path[0])
			return
		}
		place[path[0]] = r.hashed(value)
	}
}

// hide notes every text in a value.
func (r redactor) hide(value any, how string, hidden map[string]string) {
	switch value := value.(type) {
	case string:
		hidden[value] = "[redacted]"
		if how == Hash {
			hidden[value] = r.hashed(value).(string)
		}
	case []any:
		for _, one := range value {
			r.hide(one, how, hidden)
		}
	case map[string]any:
		for _, one := range value {
			r.hide(one, how, hidden)
		}
	}
}

func (r redactor) hashed(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = r.hashed(value[i])
		}
		return value
	case map[string]any:
		for name := range value {
			value[name] = r.hashed(value[name])
		}
		return value
	}
	text, isText := value.(string)
	if !isText {
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil
		}
		text = string(encoded)
	}
	mac := hmac.New(sha256.New, []byte(r.key.Reveal()))
	mac.Write([]byte(text))
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)[:16])
}

func (r redactor) all(events []stream.Event) ([]stream.Event, error) {
	if len(r.redactions) == 0 {
		return events, nil
	}
	shown := make([]stream.Event, len(events))
	for i, event := range events {
		var err error
		if shown[i], err = r.redact(event); err != nil {
			return nil, err
		}
	}
	return shown, nil
}
