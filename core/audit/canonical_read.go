package audit

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"postern/core"
)

// readEvent reads an event from its canonical text. The text as Append writes it is read as it stands, which is five
// times as fast as by the rules of JSON alone; any other text is read by those.
func readEvent(canonical []byte) (core.Event, error) {
	r := reader{rest: canonical, plain: utf8.Valid(canonical)}
	event := r.event()
	if r.plain && len(r.rest) == 0 {
		return event, nil
	}
	event = core.Event{}
	err := json.Unmarshal(canonical, &event)
	return event, err
}

// reader is in the middle of a canonical text. Once it met what appendEvent would not write, it is not plain.
type reader struct {
	rest  []byte
	plain bool
}

// event reads the members in the order of appendEvent.
func (r *reader) event() core.Event {
	var event core.Event
	r.need(`{"actor":{`)
	var kind string
	event.Actor.ID, kind, event.Actor.Name = r.named()
	event.Actor.Kind = core.ActorKind(kind)
	event.Correlation = r.id(`,"correlation":"`)
	if r.has(`,"data":{`) {
		event.Data = map[string]string{}
		for before := ""; r.plain; {
			name := r.text(before + `"`)
			if _, twice := event.Data[name]; twice {
				r.plain = false
			}
			event.Data[name] = r.text(`:"`)
			if r.has(`}`) {
				break
			}
			before = ","
		}
	}
	event.ID = r.id(`,"id":"`)
	if err := event.Occurred.UnmarshalText([]byte(r.text(`,"occurred":"`))); err != nil {
		r.plain = false
	}
	if r.has(`,"origin":{`) {
		switch {
		case r.has(`"address":"`):
			event.Origin.Address = r.quoted()
			if r.has(`,"user_agent":"`) {
				event.Origin.UserAgent = r.quoted()
			}
		default:
			event.Origin.UserAgent = r.text(`"user_agent":"`)
		}
		r.need(`}`)
	}
	event.Outcome = core.Outcome(r.text(`,"outcome":"`))
	if r.has(`,"reason":"`) {
		event.Reason = r.quoted()
	}
	if r.has(`,"targets":[{`) {
		for r.plain {
			var target core.Target
			target.ID, target.Kind, target.Name = r.named()
			event.Targets = append(event.Targets, target)
			if !r.has(`,{`) {
				break
			}
		}
		r.need(`]`)
	}
	event.Type = core.EventType(r.text(`,"type":"`))
	event.Workspace = r.id(`,"workspace":"`)
	r.need(`}`)
	return event
}

// named reads what appendNamed writes, after its brace.
func (r *reader) named() (id core.ID, kind, name string) {
	separator := ""
	if r.has(`"id":"`) {
		id, separator = r.id(""), ","
	}
	kind = r.text(separator + `"kind":"`)
	if r.has(`,"name":"`) {
		name = r.quoted()
	}
	r.need(`}`)
	return id, kind, name
}

func (r *reader) has(text string) bool {
	rest, found := bytes.CutPrefix(r.rest, []byte(text))
	if found {
		r.rest = rest
	}
	return found
}

func (r *reader) need(text string) {
	if !r.has(text) {
		r.plain = false
	}
}

// text reads a text after what introduces it.
func (r *reader) text(before string) string {
	r.need(before)
	return r.quoted()
}

// quoted reads up to the end of a text. One with an escape is left to the rules of JSON.
func (r *reader) quoted() string {
	for i, one := range r.rest {
		switch {
		case one == '"':
			text := string(r.rest[:i])
			r.rest = r.rest[i+1:]
			return text
		case one == '\\' || one < ' ':
			r.plain = false
			return ""
		}
	}
	r.plain = false
	return ""
}

// id reads an id; none is written as an empty text.
func (r *reader) id(before string) core.ID {
	var id core.ID
	if err := id.UnmarshalText([]byte(r.text(before))); err != nil {
		r.plain = false
	}
	return id
}
