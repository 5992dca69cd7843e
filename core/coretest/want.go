package coretest

import "postern/core"

// T is what *testing.T, *testing.B and *rapid.T share.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Must wants no error.
func Must(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wants wants an error of a kind, with a field or a code, that tells the client something. Without either it is to be
// about no field.
func Wants(t T, err error, kind core.Kind, fieldOrCode string) {
	t.Helper()
	got := core.AsError(err)
	if got == nil {
		t.Fatalf("nothing was refused, want %v %q", kind, fieldOrCode)
	}
	if got.Kind != kind || got.Field != fieldOrCode && (fieldOrCode == "" || got.Code != fieldOrCode) {
		t.Fatalf("got %v %q %q (%v), want %v %q", got.Kind, got.Field, got.Code, err, kind, fieldOrCode)
	}
	if got.Message == "" {
		t.Fatalf("%v says nothing to the client", err)
	}
}
