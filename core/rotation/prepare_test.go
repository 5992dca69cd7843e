package rotation_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/core/rotation"
)

// slow is a connector that has to be prepared, and cannot be.
type slow struct {
	rotation.Connector
	asked chan struct{}
}

func (s slow) Prepare(context.Context) error {
	close(s.asked)
	return errors.New("not today")
}

func TestRunPreparesTheConnectors(t *testing.T) {
	one := slow{asked: make(chan struct{})}
	engine := &rotation.Rotations{Connectors: rotation.Connectors{"slow": one, "ready": router{}}, Options: rotation.Options{SweepAfter: time.Hour}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	<-one.asked
	select {
	case err := <-ended:
		t.Fatalf("Run ended: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
