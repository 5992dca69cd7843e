package cli

import (
	"context"
	"fmt"

	"postern/gateway"
)

// migrate brings the schema up to date.
type migrate struct {
	Database string `help:"PostgreSQL URL. One that holds a password must come as a reference (file:PATH or env:NAME)." env:"POSTERN_DATABASE" required:"" placeholder:"URL|REF"`
}

func (m migrate) Run(ctx context.Context, terminal terminal) error {
	applied, err := gateway.Migrate(ctx, m.Database)
	for _, name := range applied {
		fmt.Fprintln(terminal.out, "applied", name)
	}
	if err == nil && len(applied) == 0 {
		fmt.Fprintln(terminal.out, "the schema is up to date")
	}
	return err
}
