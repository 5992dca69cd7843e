package core

import (
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// ID identifies a row of Postern: a UUIDv7 (RFC 9562), so ids sort by creation time. The zero ID
// means "none" and is stored as SQL NULL.
type ID uuid.UUID

// NewID returns a fresh id. It panics only if the operating system has no randomness left.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID reads the canonical text form. Anything else is Invalid.
func ParseID(text string) (ID, error) {
	if len(text) != 36 {
		return ID{}, Invalid("id", "an id is a UUID such as 0192f3a4-5b6c-7d8e-9f01-23456789abcd")
	}
	parsed, err := uuid.Parse(text)
	if err != nil {
		return ID{}, Invalid("id", "an id is a UUID such as 0192f3a4-5b6c-7d8e-9f01-23456789abcd")
	}
	return ID(parsed), nil
}

// Each gives every id once, in the order given, and the zero ID never.
func Each(ids []ID) []ID {
	once := []ID{}
	for _, id := range ids {
		if !id.IsZero() && !slices.Contains(once, id) {
			once = append(once, id)
		}
	}
	return once
}

// IsZero reports whether the id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String is the canonical text form; empty for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return uuid.UUID(id).String()
}

// MarshalText implements encoding.TextMarshaler, and with it JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Empty text is the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Value implements driver.Valuer: the zero ID is NULL.
func (id ID) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id.String(), nil
}

// Scan implements sql.Scanner: NULL is the zero ID.
func (id *ID) Scan(source any) error {
	switch value := source.(type) {
	case nil:
		*id = ID{}
		return nil
	case [16]byte:
		*id = value
		return nil
	case string:
		return id.UnmarshalText([]byte(value))
	case []byte:
		if len(value) == 16 {
			copy(id[:], value)
			return nil
		}
		return id.UnmarshalText(value)
	}
	return fmt.Errorf("core: an id cannot be read from %T", source)
}
