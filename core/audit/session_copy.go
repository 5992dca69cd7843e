package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// What COPY takes in its binary format (PostgreSQL, COPY, "Binary Format"): a header, rows of values that say how long
// they are, a trailer. It is written while the change before is being committed.
const (
	copyLog     = `copy audit_log (position, workspace_id, sequence, event_id, type, occurred, correlation, actor, failed, event, previous, hash, sequenced) from stdin (format binary)`
	copyTargets = `copy audit_targets (workspace_id, target_id, sequence, sequenced) from stdin (format binary)`

	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
	copyNull    = "\xff\xff\xff\xff"
	copyRow     = 256 // more than a row has beside its event
)

// write makes of the entries what is copied. The rows of a workspace follow each other: most indexes begin with it, and
// PostgreSQL adds to one end of each for a while.
func (c *change) write() {
	slices.SortStableFunc(c.entries, func(a, b entry) int { return bytes.Compare(a.workspace[:], b.workspace[:]) })
	size, targets := len(copyHeader), 0
	for _, row := range c.entries {
		size += copyRow + len(row.canonical) + len(row.kind)
		targets += len(row.targets)
	}
	c.log = append(make([]byte, 0, size), copyHeader...)
	c.targets = append(make([]byte, 0, len(copyHeader)+targets*64), copyHeader...)
	for _, row := range c.entries {
		if first := month(row.sequenced); !slices.Contains(c.months, first) {
			c.months = append(c.months, first)
		}
		c.log = row.append(c.log)
		for _, target := range row.targets {
			to := binary.BigEndian.AppendUint16(c.targets, 4)
			to = appendBytes(appendBytes(to, row.workspace[:]), target[:])
			c.targets = appendTime(appendInt(to, row.sequence), row.sequenced)
		}
	}
	c.entries = nil
}

// append writes the row of the log.
func (e *entry) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint16(to, 13)
	to = appendBytes(appendInt(to, e.position), e.workspace[:])
	to = appendBytes(appendInt(to, e.sequence), e.event[:])
	to = append(binary.BigEndian.AppendUint32(to, uint32(len(e.kind))), e.kind...)
	to = appendBytes(appendTime(to, e.occurred), e.correlation[:])
	if actor, found := actorOf(e.canonical); found {
		to = appendBytes(to, actor[:])
	} else {
		to = append(to, copyNull...)
	}
	failed := byte(0)
	if bytes.Contains(e.canonical, failure) {
		failed = 1
	}
	to = append(binary.BigEndian.AppendUint32(to, 1), failed)
	to = appendBytes(appendBytes(appendBytes(to, e.canonical), e.previous), e.hash)
	return appendTime(to, e.sequenced)
}

func appendBytes(to, value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(value))), value...)
}

func appendInt(to []byte, value int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(to, 8), uint64(value))
}

// appendTime writes microseconds since the year 2000.
func appendTime(to []byte, value time.Time) []byte {
	return appendInt(to, value.UnixMicro()-epoch)
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// copy writes the log, and which events tell of what, with COPY, the fastest way in.
func (c *change) copy(ctx context.Context, tx pgx.Tx) error {
	connection := tx.Conn().PgConn()
	send := func(statement string, rows []byte) error {
		_, err := connection.CopyFrom(ctx, bytes.NewReader(append(rows, copyTrailer...)), statement)
		return err
	}
	if err := send(copyLog, c.log); err != nil || len(c.targets) == len(copyHeader) {
		return err
	}
	return send(copyTargets, c.targets)
}

// What the canonical form of an event begins with if its actor has an id, and what it holds if it failed. Within a text
// the quotes would be escaped; a fact may be named so, so readers look at the member as well.
var (
	acting  = []byte(`{"actor":{"id":"`)
	failure = []byte(`"outcome":"failure"`)
)

// actorOf is the id of who acted, if they have one.
func actorOf(canonical []byte) (core.ID, bool) {
	text, found := bytes.CutPrefix(canonical, acting)
	if !found || len(text) < 36 {
		return core.ID{}, false
	}
	actor, err := core.ParseID(string(text[:36]))
	return actor, err == nil
}
