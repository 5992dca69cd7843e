package activity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Entry is an immutable fact, with its place in the workspace's chain.
type Entry struct {
	Sequence int64      `json:"sequence" doc:"Gap-free within the workspace, from 1"`
	Recorded time.Time  `json:"recorded" doc:"When it came into the log; in the order of the sequence"`
	Hash     string     `json:"hash" doc:"SHA-256 over the previous hash, the sequence and the event; hexadecimal"`
	Event    core.Event `json:"event"`
}

// EntryOf is a record as it is handed out.
func EntryOf(record audit.Record) Entry {
	return Entry{record.Sequence, record.Sequenced.UTC(), fmt.Sprintf("%x", record.Hash), record.Event}
}

const (
	tailLife  = 10 * time.Minute // then the listener comes back
	tailPoll  = time.Second
	tailCheck = 5 * time.Second
	patience  = 10 * time.Second // with somebody who does not read
)

// Tail sends what comes into the log.
type Tail struct {
	DB        *postgres.DB
	Workspace core.ID
	Query     audit.Query // from AfterSequence on
	// Message is what is sent of a record: lines of a server-sent event, without its id.
	Message func(record audit.Record) (string, error)
	// Still reports whether the listener may still. It is asked every few seconds.
	Still   func(ctx context.Context) bool
	Closing <-chan struct{} // ends it
}

// Serve answers with server-sent events (WHATWG HTML §9.2), whose ids are sequences, until the listener goes
// away or may not listen any more, or ten minutes have passed: who comes back with the last id misses nothing.
func (t Tail) Serve(ctx context.Context, writer http.ResponseWriter) {
	ctx, cancel := context.WithTimeout(ctx, tailLife)
	defer cancel()
	header := writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	writer.WriteHeader(http.StatusOK)
	out := sender{http.NewResponseController(writer), writer}
	if out.send("retry: 2000\n\n") != nil {
		return
	}
	tick := time.NewTicker(tailPoll)
	defer tick.Stop()
	query, told := t.Query, time.Now()
	for {
		found, err := audit.Search(ctx, t.DB, t.Workspace, query)
		if err != nil {
			return // the listener comes back
		}
		for _, record := range found.Records {
			message, err := t.Message(record)
			if err != nil || out.send("id: "+strconv.FormatInt(record.Sequence, 10)+"\n"+message+"\n") != nil {
				return
			}
		}
		query.AfterSequence = found.Next
		if time.Since(told) > tailCheck {
			// The id goes on also over what the listener did not ask for, so that nobody looks at that again.
			told = time.Now()
			if !t.Still(ctx) || out.send(fmt.Sprintf("id: %d\n\n", query.AfterSequence)) != nil {
				return
			}
		}
		if found.More {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-t.Closing:
			return
		case <-tick.C:
		}
	}
}

// JSONMessage is a record as the API tells it: an event named entry.
func JSONMessage(record audit.Record) (string, error) {
	text, err := json.Marshal(EntryOf(record))
	return "event: entry\ndata: " + string(text) + "\n", err
}

// LastSeen is where a tail begins: behind the last id that one of the texts names, or at the end of the log.
func LastSeen(ctx context.Context, db *postgres.DB, workspace core.ID, texts ...string) (int64, error) {
	for _, text := range texts {
		if sequence, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && sequence >= 0 {
			return sequence, nil
		}
	}
	return audit.Head(ctx, db, workspace)
}

// sender writes at once, and not to somebody who stopped reading.
type sender struct {
	control *http.ResponseController
	writer  http.ResponseWriter
}

func (o sender) send(text string) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(patience)) // not every writer has deadlines
	if _, err := o.writer.Write([]byte(text)); err != nil {
		return err
	}
	return o.control.Flush()
}
