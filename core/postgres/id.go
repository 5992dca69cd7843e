package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postern/core"
)

// registerID lets a connection read and write ids as the sixteen bytes they are. Without it each goes
// through its text, both ways.
func registerID(_ context.Context, connection *pgx.Conn) error {
	types := connection.TypeMap()
	single := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: idCodec{}}
	types.RegisterType(single)
	types.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: &pgtype.ArrayCodec{ElementType: single}})
	return nil
}

// idCodec is pgx's for what is no core.ID.
type idCodec struct{ pgtype.UUIDCodec }

// PlanEncode implements pgtype.Codec.
func (c idCodec) PlanEncode(types *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ours := value.(core.ID); ours && format == pgtype.BinaryFormatCode {
		return encodeID{}
	}
	return c.UUIDCodec.PlanEncode(types, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c idCodec) PlanScan(types *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ours := target.(*core.ID); ours && format == pgtype.BinaryFormatCode {
		return scanID{}
	}
	return c.UUIDCodec.PlanScan(types, oid, format, target)
}

type encodeID struct{}

// Encode implements pgtype.EncodePlan: the zero id is NULL.
func (encodeID) Encode(value any, buffer []byte) ([]byte, error) {
	id := value.(core.ID)
	if id.IsZero() {
		return nil, nil
	}
	return append(buffer, id[:]...), nil
}

type scanID struct{}

// Scan implements pgtype.ScanPlan: NULL is the zero id.
func (scanID) Scan(source []byte, target any) error {
	id := target.(*core.ID)
	if source == nil {
		*id = core.ID{}
		return nil
	}
	if len(source) != len(id) {
		return fmt.Errorf("postgres: an id of %d bytes", len(source))
	}
	copy(id[:], source)
	return nil
}
