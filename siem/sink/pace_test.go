package sink

import (
	"context"
	"testing"
	"time"
)

func TestPaceHalvesAndGrows(t *testing.T) {
	const limit = 1_000_000
	pace := &Pace{AtOnce: 4}
	take := func() turn {
		t.Helper()
		given, err := pace.take(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return given
	}
	all := []turn{take(), take(), take(), take()}
	if all[0].size != limit {
		t.Errorf("it begins with %d bytes", all[0].size)
	}
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pace.take(full, limit); err == nil {
		t.Error("five at a time of four")
	}
	// Four answers of one moment are one reason to go slower.
	for _, one := range all {
		pace.give(one, Busy, 0)
	}
	first, second := take(), take()
	if first.size != limit/2 {
		t.Errorf("%d bytes after a receiver that was busy", first.size)
	}
	if _, err := pace.take(full, limit); err == nil {
		t.Error("three at a time, where the half of four are allowed")
	}
	pace.give(first, Accepted, time.Hour) // late is as good as busy
	pace.give(second, Refused, 0)         // an event's fault, not too much
	if got := take(); got.size != limit/4 {
		t.Errorf("%d bytes after a late answer", got.size)
	} else {
		pace.give(got, Accepted, 0)
	}
	for range 1000 {
		pace.give(take(), Busy, 0)
	}
	if got := take(); got.size != smallestRequest {
		t.Errorf("%d bytes at least", got.size)
	} else {
		pace.give(got, Accepted, 0)
	}
	for range 100 {
		pace.give(take(), Accepted, 0)
	}
	for range 4 {
		if got := take(); got.size != limit {
			t.Errorf("%d bytes in good times", got.size)
		}
	}
}
