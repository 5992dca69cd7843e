package hooks

import (
	"net/http"

	"postern/core/seal"
)

// StandardAccepts reports whether the headers of a message hold a signature of a secret over a body, whatever its
// time.
func StandardAccepts(secret seal.Secret, header http.Header, body []byte) bool {
	head, err := readStandard(header)
	if err != nil {
		return false
	}
	signed, err := head.signs(secret, body)
	return err == nil && signed
}
