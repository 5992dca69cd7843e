package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"strings"
)

const tokenDigits = 43 // 32 bytes in base 62

// NewToken makes a bearer token: the prefix, "_", and 32 random bytes in base 62. The prefix
// ("pst_scim") lets scanners find a leaked token and say what it opens.
func NewToken(prefix string) Secret {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails: it ends the process instead
	digits := new(big.Int).SetBytes(bytes).Text(62)
	return NewSecret(strings.TrimSuffix(prefix, "_") + "_" + strings.Repeat("0", tokenDigits-len(digits)) + digits)
}

// HashToken is what is stored of a token. The token has 256 random bits, so one SHA-256 is enough.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
