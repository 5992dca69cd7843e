package stream

import (
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"postern/core"
	"postern/core/audit"
)

// Event is what travels: the document for the receivers, and beside it what Postern needs to know
// about it without reading it. In Kafka that is the value and CloudEvents 1.0 attributes as headers, the binary mode of
// its Kafka protocol binding (§3.2): ce_… for the attributes, content-type for datacontenttype.
type Event struct {
	ID          core.ID
	Workspace   core.ID
	Correlation core.ID
	Type        core.EventType
	Occurred    time.Time
	Subject     string // the kind and id of what it happened to first: account/0198c7e2-…; empty if that is nothing
	Sequence    int64  // within the workspace
	Position    int64  // over all workspaces
	Value       []byte
}

// NewEvent is the event of a record with its document.
func NewEvent(record audit.Record, value []byte) Event {
	subject := ""
	if targets := record.Event.Targets; len(targets) > 0 && !targets[0].ID.IsZero() {
		subject = targets[0].Kind + "/" + targets[0].ID.String()
	}
	return Event{
		Subject: subject,
		ID:      record.Event.ID, Workspace: record.Event.Workspace, Correlation: record.Event.Correlation, Type: record.Event.Type,
		Occurred: record.Event.Occurred, Sequence: record.Sequence, Position: record.Position, Value: value,
	}
}

func (e Event) headers() []kafka.Header {
	headers := []kafka.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_source", Value: []byte("/workspaces/" + e.Workspace.String())},
		{Key: "ce_id", Value: []byte(e.ID.String())},
		{Key: "ce_type", Value: []byte(e.Type)},
		{Key: "ce_time", Value: []byte(e.Occurred.UTC().Format(time.RFC3339Nano))},
		{Key: "ce_partitionkey", Value: []byte(e.Workspace.String())},
		{Key: "ce_workspace", Value: []byte(e.Workspace.String())},
		{Key: "ce_correlation", Value: []byte(e.Correlation.String())},
		{Key: "ce_sequence", Value: strconv.AppendInt(nil, e.Sequence, 10)},
		{Key: "ce_position", Value: strconv.AppendInt(nil, e.Position, 10)},
		{Key: "content-type", Value: []byte("application/json")},
	}
	if e.Subject != "" { // which is left out rather than empty (CloudEvents 1.0 §3.1.2)
		headers = append(headers, kafka.Header{Key: "ce_subject", Value: []byte(e.Subject)})
	}
	return headers
}

// Message is an event as it was read, with its place in the partition. One that Postern did not
// write has a Fault and only a Value.
type Message struct {
	Event
	Offset int64
	Fault  error
}

func read(from kafka.Message) Message {
	message := Message{Offset: from.Offset}
	message.Value = from.Value
	fault := func(name string, err error) {
		if err != nil && message.Fault == nil {
			message.Fault = fmt.Errorf("the header %s cannot be read: %w", name, err)
		}
	}
	for _, header := range from.Headers {
		value := string(header.Value)
		switch header.Key {
		case "ce_id":
			fault(header.Key, message.ID.UnmarshalText(header.Value))
		case "ce_workspace":
			fault(header.Key, message.Workspace.UnmarshalText(header.Value))
		case "ce_correlation":
			fault(header.Key, message.Correlation.UnmarshalText(header.Value))
		case "ce_subject":
			message.Subject = value
		case "ce_type":
			message.Type = core.EventType(value)
		case "ce_time":
			occurred, err := time.Parse(time.RFC3339Nano, value)
			message.Occurred = occurred
			fault(header.Key, err)
		case "ce_sequence":
			number, err := strconv.ParseInt(value, 10, 64)
			message.Sequence = number
			fault(header.Key, err)
		case "ce_position":
			number, err := strconv.ParseInt(value, 10, 64)
			message.Position = number
			fault(header.Key, err)
		}
	}
	if message.Fault == nil && (message.ID.IsZero() || message.Workspace.IsZero() || message.Sequence <= 0 || message.Position <= 0 || message.Occurred.IsZero() || len(message.Value) == 0) {
		message.Fault = fmt.Errorf("the record was not written by Postern: it lacks an id, a workspace, a place, a time or a value")
	}
	return message
}
