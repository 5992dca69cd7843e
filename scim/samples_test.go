package scim_test

import (
	"strings"
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

// What is refused in a loop floods the journal no more than the log; what succeeds is always kept.
func TestRefusalsInALoopAreSampledInTheJournal(t *testing.T) {
	w := open(t, directory.Okta)
	now := time.Now()
	w.Service.Now = func() time.Time { return now }
	user := w.acme.join(t, "ana")
	for range 50 {
		w.acme.call(t, "PUT", "/Users/"+core.NewID().String(), `{"userName":"x"}`).wantError(t, 404, "")
		w.acme.call(t, "GET", "/Users/"+core.NewID().String(), "").wantError(t, 404, "") // takes no entry's place
	}
	w.acme.call(t, "PUT", "/Users/"+user, `{"userName":"x"}`, "If-Match", `"9"`).wantError(t, 412, "")
	w.other.call(t, "DELETE", "/Users/"+user, "").wantError(t, 404, "")
	if mine, theirs := len(w.acme.journal(t)), len(w.other.journal(t)); mine != 32 || theirs != 1 {
		t.Errorf("%d entries, and %d of the other workspace", mine, theirs)
	}
	now = now.Add(2 * time.Second)
	w.acme.call(t, "PUT", "/Users/"+core.NewID().String(), `{"userName":"x"}`).wantError(t, 404, "")
	entries := w.acme.journal(t)
	if last := entries[len(entries)-1]; len(entries) != 33 || !strings.HasSuffix(last.Detail, "(20 refused like it before were not kept)") {
		t.Errorf("%d entries, the last one %+v", len(entries), last)
	}
	for range 50 {
		w.acme.call(t, "PUT", "/Users/"+user, `{"userName":"ana"}`).want(t, 200)
	}
	if got := len(w.acme.journal(t)); got != 83 {
		t.Errorf("%d entries after 50 that were carried out", got)
	}
}

// Somebody who asks for people in the same odd way all day does not fill the journal either.
func TestReadingsInALoopAreSampledInTheJournal(t *testing.T) {
	w := open(t, directory.Entra)
	now := time.Now()
	w.Service.Now = func() time.Time { return now }
	odd := "/Users" + query(`userName eq ana`)
	for range 50 {
		w.acme.call(t, "GET", odd, "").want(t, 200)
	}
	w.other.call(t, "GET", odd, "").want(t, 200)
	now = now.Add(59 * time.Second)
	w.acme.call(t, "GET", odd, "").want(t, 200)
	if mine, theirs := len(w.acme.journal(t)), len(w.other.journal(t)); mine != 30 || theirs != 1 {
		t.Errorf("%d entries, and %d of the other workspace", mine, theirs)
	}
	now = now.Add(time.Second)
	w.acme.call(t, "GET", odd, "").want(t, 200)
	entries := w.acme.journal(t)
	if last := entries[len(entries)-1]; len(entries) != 31 || last.Detail != "21 readings like it before were not kept" {
		t.Errorf("%d entries, the last one %+v", len(entries), last)
	}
}
