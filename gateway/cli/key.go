package cli

import (
	"fmt"

	"postern/core/seal"
)

// key prints a fresh key, for a file only Postern's own user may read.
type key struct{}

func (key) Run(terminal terminal) error {
	_, err := fmt.Fprint(terminal.out, seal.GenerateLocalKey().Reveal())
	return err
}
