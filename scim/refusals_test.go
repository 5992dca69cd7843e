package scim_test

import (
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
)

func TestRefusalsInALoopAreSampled(t *testing.T) {
	w := open(t, directory.Okta)
	now := time.Now()
	w.Service.Now = func() time.Time { return now }
	for range 50 {
		w.acme.call(t, "POST", "/Users", `{`).wantError(t, 400, "invalidSyntax")
	}
	w.acme.call(t, "POST", "/Users", `{}`, "Content-Type", "text/plain").wantError(t, 415, "") // of another kind
	w.other.call(t, "POST", "/Users", `{`).wantError(t, 400, "invalidSyntax")
	if mine, theirs := len(w.acme.events(t, core.RequestRefused)), len(w.other.events(t, core.RequestRefused)); mine != 31 || theirs != 1 {
		t.Errorf("%d told, and %d of the other workspace", mine, theirs)
	}
	now = now.Add(2 * time.Second)
	w.acme.call(t, "POST", "/Users", `{`).wantError(t, 400, "invalidSyntax")
	told := w.acme.events(t, core.RequestRefused)
	if last := told[len(told)-1]; len(told) != 32 || last.Data["suppressed"] != "20" {
		t.Errorf("%d told, the last one %+v", len(told), last)
	}
}
