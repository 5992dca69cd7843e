package seal

import (
	"encoding/binary"

	"postern/core"
)

// Binding says which value a sealed blob is. A blob opens only under the binding it was sealed with,
// so rows cannot be swapped, moved to another workspace or rolled back to an older version.
type Binding struct {
	Workspace, Vault, Item core.ID
	Field                  string // "password"
	Version                int    // of the item
	Epoch                  int    // of the vault's key
}

// info is the binding as HPKE info: each part behind its length, so that no two bindings share bytes.
func (b Binding) info() []byte {
	info := make([]byte, 0, 160)
	part := func(bytes []byte) {
		info = binary.BigEndian.AppendUint32(info, uint32(len(bytes)))
		info = append(info, bytes...)
	}
	number := func(value int) {
		part(binary.BigEndian.AppendUint64(nil, uint64(value)))
	}
	part([]byte("postern vault item"))
	part([]byte{itemVersion})
	part(b.Workspace[:])
	part(b.Vault[:])
	part(b.Item[:])
	part([]byte(b.Field))
	number(b.Version)
	number(b.Epoch)
	return info
}

// associated is a text binding as associated data of AES-GCM, apart from every other use of the key.
func associated(use byte, binding string) []byte {
	data := []byte("postern key wrap")
	data = append(data, use)
	data = binary.BigEndian.AppendUint32(data, uint32(len(binding)))
	return append(data, binding...)
}
