package signals_test

import (
	"fmt"
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/core/signals"
)

func TestStrangersLeaveFewTraces(t *testing.T) {
	h, other := pair(t)
	began := time.Now()
	h.Now = func() time.Time { return began.Add(h.ahead) } // or a busy machine lets more through
	for i := range 200 {
		h.Refused(t.Context(), signals.Refusal{
			Connection: h.connection, Door: signals.UniversalLogout, Err: core.Unauthenticated("wrong %d", i).WithCode("signature"),
			Origin: core.Origin{Address: "192.0.2.1"},
		})
	}
	if got := h.events(t, core.SignalRefused); got != 5 {
		t.Fatalf("%d events, want 5", got)
	}
	failures, err := h.Failures(t.Context(), h.DB, h.workspace, h.connection.ID)
	coretest.Must(t, err)
	if len(failures) != 5 || failures[0].Stage != "signature" || failures[0].Address != "192.0.2.1" {
		t.Fatalf("%+v", failures)
	}
	h.ahead = 11 * time.Second
	h.Refused(t.Context(), signals.Refusal{Connection: h.connection, Door: signals.UniversalLogout, Stage: "audience", Err: core.Unauthenticated("no")})
	failures, err = h.Failures(t.Context(), h.DB, h.workspace, h.connection.ID)
	coretest.Must(t, err)
	if len(failures) != 6 || failures[0].Stage != "audience" || failures[0].Suppressed != 195 {
		t.Fatalf("%+v", failures)
	}
	// Who was proven leaves more, and still a ring of the last few.
	for i := range 30 {
		h.ahead += time.Second
		h.Refused(t.Context(), signals.Refusal{
			Connection: h.connection, Door: signals.SSFPush, Stage: "subject", Err: core.Invalid("sub_id", "wrong %d", i), Subject: fmt.Sprint("email ", i), Known: true,
		})
	}
	failures, err = h.Failures(t.Context(), h.DB, h.workspace, h.connection.ID)
	coretest.Must(t, err)
	if len(failures) != 16 || failures[0].Subject != "email 29" || failures[9].Subject != "email 20" {
		t.Fatalf("%+v", failures)
	}
	if got := h.count(t, `select count(*) from signal_refusals where workspace_id = @workspace`, nil); got != 16 {
		t.Fatalf("%d rows", got)
	}
	if failures, err := h.Failures(t.Context(), h.DB, other.workspace, h.connection.ID); err != nil || len(failures) != 0 {
		t.Fatal("the other workspace reads them", err)
	}
	h.Refused(t.Context(), signals.Refusal{Door: signals.UniversalLogout, Err: core.Unauthenticated("no such connection")})
}
