package cli

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// key prints a fresh key, for a file only the service account may read.
type key struct{}

func (key) Run(terminal terminal) error {
	var material [32]byte
	if _, err := rand.Read(material[:]); err != nil {
		return err
	}
	_, err := fmt.Fprintln(terminal.out, hex.EncodeToString(material[:]))
	return err
}
