package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/seal"
)

// Kind is a kind of receiver that sinks can be made of.
type Kind struct {
	Title     string
	Fields    []Field // what it is told, settings first
	Abilities Abilities
	build     func(settings json.RawMessage, credentials map[string]Read) (Receiver, error)
}

// Read reads a credential whenever it is needed.
type Read = func() (seal.Secret, error)

// Field is a setting or a credential of a kind.
type Field struct {
	Name       string `json:"name"`
	Type       string `json:"type" enum:"text,number,boolean,list,object"`
	Doc        string `json:"doc,omitempty"`
	Credential bool   `json:"credential,omitempty" doc:"Kept sealed, and never told again"`
	Required   bool   `json:"required,omitempty"`
}

// NewKind makes a kind of a package's New. Settings and Credentials are structs: a field's json tag names it, its doc
// tag explains it, and omitempty makes it one that may be left out. Fields of Credentials are of a type such as
// transport.Secret: they read what is kept. New refuses what it cannot work with as Invalid, naming the field.
func NewKind[Settings interface{ Abilities() Abilities }, Credentials any](title string, build func(Settings, Credentials) (Receiver, error)) Kind {
	kind := Kind{Title: title, Abilities: (*new(Settings)).Abilities()}
	for _, of := range []struct {
		model      reflect.Type
		credential bool
	}{{reflect.TypeFor[Settings](), false}, {reflect.TypeFor[Credentials](), true}} {
		for i := range of.model.NumField() {
			field := of.model.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
			kind.Fields = append(kind.Fields, Field{name, typeOf(field.Type, of.credential), field.Tag.Get("doc"), of.credential, !optional})
		}
	}
	kind.build = func(settings json.RawMessage, credentials map[string]Read) (Receiver, error) {
		var told Settings
		if err := decode(settings, &told); err != nil {
			return nil, err
		}
		var secrets Credentials
		if err := fill(reflect.ValueOf(&secrets).Elem(), credentials); err != nil {
			return nil, err
		}
		return build(told, secrets)
	}
	return kind
}

// Build checks the settings and credentials of one receiver and makes it. A fault is Invalid and names its field.
func (k Kind) Build(settings json.RawMessage, credentials map[string]seal.Secret) (Receiver, error) {
	reads := map[string]Read{}
	for name, secret := range credentials {
		if !secret.IsZero() {
			reads[name] = func() (seal.Secret, error) { return secret, nil }
		}
	}
	return k.BuildReading(settings, reads)
}

// BuildReading is Build with credentials that are read anew for each use.
func (k Kind) BuildReading(settings json.RawMessage, credentials map[string]Read) (Receiver, error) {
	for _, field := range k.Fields {
		if field.Required && field.Credential && credentials[field.Name] == nil {
			return nil, core.Invalid("credentials."+field.Name, "%s is needed", field.Name)
		}
	}
	receiver, err := k.build(settings, credentials)
	if classified, ok := errors.AsType[*core.Error](err); ok && classified.Kind == core.KindInvalid {
		name, _, _ := strings.Cut(strings.ReplaceAll(classified.Field, "[", "."), ".")
		at := slices.IndexFunc(k.Fields, func(field Field) bool { return field.Name == name })
		if at < 0 {
			return nil, err
		}
		where := "settings."
		if k.Fields[at].Credential {
			where = "credentials."
		}
		copied := *classified
		copied.Field = where + classified.Field
		return nil, &copied
	}
	return receiver, err
}

func typeOf(t reflect.Type, credential bool) string {
	if credential {
		return "text"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "object"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	}
	return "text"
}

// decode reads settings strictly: a name nobody knows is a mistake that would go unnoticed.
func decode(settings json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(settings))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return core.Invalid(wrong.Field, "%s must be a %s", wrong.Field, wrong.Type.Kind())
	}
	if err != nil {
		if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
			return core.Invalid("settings", "there is no setting %s", name)
		}
		return core.Invalid("settings", "the settings are no JSON object")
	}
	return nil
}

func fill(into reflect.Value, credentials map[string]Read) error {
	known := map[string]bool{}
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		known[name] = true
		if read := credentials[name]; read != nil {
			into.Field(i).Set(reflect.ValueOf(read).Convert(into.Field(i).Type()))
		}
	}
	for name := range credentials {
		if !known[name] {
			return core.Invalid("credentials", "there is no credential %q", name)
		}
	}
	return nil
}

// Range is a part of a workspace's sequence, both ends included.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Holder is a Receiver that can be asked what it holds.
type Holder interface {
	// Holds lists what the receiver lacks of a workspace's sequence, from one event to another, in order. What
	// it cannot be asked for how it is set up is a Conflict; what it refuses, Unavailable with its words.
	Holds(ctx context.Context, workspace core.ID, from, to int64) (missing []Range, err error)
}

// Resumer is a Receiver that can be asked for what an answer of it, or of one before it, said was Pending.
type Resumer interface {
	// Resume waits as Send would have. Accepted says that the events are kept; what is still Pending may be asked for again;
	// with any other answer they are to be sent again.
	Resume(ctx context.Context, pending json.RawMessage) Answer
}

// Place is an address of a receiver, as it was when somebody looked. It holds no secret.
type Place struct {
	Host    string    // and the port
	Answer  Answer    // Accepted: it is there, and healthy as far as it says
	Expires time.Time // when its certificate ends; zero: it speaks no TLS
	Clock   time.Time // what time it is there; zero: it does not say
}

// Checker is a Receiver that a doctor can ask without sending an event.
type Checker interface {
	// Check looks at each of its addresses, by the certificates that deliveries go by.
	Check(ctx context.Context) []Place
}

// Lacks computes what is missing of a sequence from what is there, which must come in order.
func Lacks(from, to int64, there func(yield func(int64) bool)) []Range {
	var missing []Range
	next := from
	for sequence := range there {
		if sequence < next || sequence > to {
			continue
		}
		if sequence > next {
			missing = append(missing, Range{next, sequence - 1})
		}
		next = sequence + 1
	}
	if next <= to {
		missing = append(missing, Range{next, to})
	}
	return missing
}
