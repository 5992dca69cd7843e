package scim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"postern/core"
	"postern/core/directory"
)

// cursor is a place in a list, as RFC 9865 lets a client keep it. It says where the page before ended,
// not how many came before, so what is added or removed meanwhile shifts nothing.
type cursor struct {
	at       *directory.Position // nil: the beginning
	backward bool                // what comes before the place is wanted, not what comes behind it
}

// A cursor travels as base64url of: a version, flags, when it expires, what it is about, the position.
const (
	cursorVersion  = 1
	cursorBinding  = 16
	cursorHead     = 2 + 8 + cursorBinding + 8 + 16
	cursorBackward = 1
	cursorKeyed    = 2
)

// write makes the text of a cursor to a place in the list. It holds nothing secret, and nothing that
// reading it otherwise than meant would give away: a list shows only what its connection may see.
func (c cursor) write(about [sha256.Size]byte, now time.Time) string {
	flags := byte(0)
	if c.backward {
		flags |= cursorBackward
	}
	if c.at.Key != nil {
		flags |= cursorKeyed
	}
	body := append(make([]byte, 0, cursorHead+64), cursorVersion, flags)
	body = binary.BigEndian.AppendUint64(body, uint64(now.Add(cursorLife).Unix()))
	body = append(body, about[:cursorBinding]...)
	body = binary.BigEndian.AppendUint64(body, uint64(c.at.Created.UnixMicro()))
	body = append(body, c.at.ID[:]...)
	if c.at.Key != nil {
		body = append(body, *c.at.Key...)
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// readCursor reads the cursor parameter. An empty one asks for the first page.
func (r *request) readCursor(about [sha256.Size]byte) (*cursor, error) {
	text := r.parameters.Get("cursor")
	if text == "" {
		return &cursor{}, nil
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(body) < cursorHead || body[0] != cursorVersion {
		return nil, core.Invalid("cursor", "send the nextCursor or previousCursor of a page as it was").WithCode("invalidCursor")
	}
	flags, rest := body[1], body[2:]
	expires := time.Unix(int64(binary.BigEndian.Uint64(rest)), 0)
	rest = rest[8:]
	if [cursorBinding]byte(rest[:cursorBinding]) != [cursorBinding]byte(about[:cursorBinding]) {
		return nil, core.Invalid("cursor", "a cursor goes with the list, the filter and the order it was made for").WithCode("invalidCursor")
	}
	if !r.now().Before(expires) {
		return nil, core.Invalid("cursor", "the cursor has expired; begin with an empty one").WithCode("expiredCursor")
	}
	rest = rest[cursorBinding:]
	at := directory.Position{Created: time.UnixMicro(int64(binary.BigEndian.Uint64(rest))).UTC(), ID: core.ID(rest[8:24])}
	if flags&cursorKeyed != 0 {
		at.Key = new(string(rest[24:]))
	}
	return &cursor{at: &at, backward: flags&cursorBackward != 0}, nil
}
