package core_test

import (
	"context"
	"testing"
	"time"

	"postern/core"
)

func TestBell(t *testing.T) {
	var bell core.Bell
	bell.Ring()
	bell.Ring()
	if !bell.Rest(t.Context(), time.Hour) {
		t.Error("a ring nobody waited for was lost")
	}
	if bell.Rest(t.Context(), time.Millisecond) {
		t.Error("two rings nobody waited for woke twice")
	}
	woken := make(chan bool)
	go func() { woken <- bell.Rest(t.Context(), time.Hour) }()
	bell.Ring()
	if !<-woken {
		t.Error("a ring woke nobody")
	}
}

func TestRestEndsWithItsContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var bell core.Bell
	if bell.Rest(ended, time.Hour) {
		t.Error("nobody rang")
	}
	core.Rest(ended, time.Hour)
}
