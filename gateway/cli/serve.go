package cli

import (
	"context"

	"postern/gateway"
)

// serve runs the roles it is told.
type serve struct {
	gateway.Config `embed:""`
}

// Validate runs at parse time, so that every fault is told at once.
func (s serve) Run(ctx context.Context, terminal terminal) error {
	if err := withoutCore(); err != nil {
		return err
	}
	if err := s.Config.Validate(); err != nil {
		return err
	}
	built, err := gateway.New(ctx, s.Config, newLogger(terminal.err, s.LogLevel, s.LogFormat))
	if err != nil {
		return err
	}
	return built.Run(ctx)
}
