package signals_test

import (
	_ "embed"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/core"
	"postern/core/coretest"
	"postern/core/signals"
)

//go:embed testdata/subject.json
var subjectVectors []byte

type subjectVector struct {
	Name    string          `json:"name"`
	Subject json.RawMessage `json:"subject"`
	Raw     string          `json:"raw"` // instead of subject, where it is no JSON anybody would write
	Expect  struct {
		Said   string   `json:"said"`
		Quirks []string `json:"quirks"`
		Error  string   `json:"error"` // a code, or invalid
	} `json:"expect"`
}

func vectors(t testing.TB) []subjectVector {
	t.Helper()
	var all []subjectVector
	coretest.Must(t, json.Unmarshal(subjectVectors, &all))
	return all
}

func (v subjectVector) text() []byte {
	if v.Raw != "" {
		return []byte(v.Raw)
	}
	return v.Subject
}

func TestSubjectVectors(t *testing.T) {
	for _, vector := range vectors(t) {
		t.Run(vector.Name, func(t *testing.T) {
			subject, err := signals.ParseSubject(vector.text())
			if vector.Expect.Error != "" {
				if core.KindOf(err) != core.KindInvalid || (vector.Expect.Error != "invalid" && core.AsError(err).Code != vector.Expect.Error) {
					t.Fatalf("%+v, %v", subject, err)
				}
				return
			}
			coretest.Must(t, err)
			if subject.String() != vector.Expect.Said {
				t.Errorf("said %q, want %q", subject, vector.Expect.Said)
			}
			if diff := cmp.Diff(vector.Expect.Quirks, subject.Quirks); diff != "" {
				t.Error(diff)
			}
			written, err := json.Marshal(subject)
			coretest.Must(t, err)
			again, err := signals.ParseSubject(written)
			coretest.Must(t, err)
			if diff := cmp.Diff(subject, again, cmpopts.IgnoreFields(signals.Subject{}, "Quirks")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLogoutBodies(t *testing.T) {
	for body, want := range map[string]string{
		`{"sub_id":{"format":"opaque","id":"1"}}`:  "opaque 1",
		`{"subject":{"format":"opaque","id":"1"}}`: "opaque 1",
	} {
		subject, err := signals.ParseLogout([]byte(body))
		coretest.Must(t, err)
		if subject.String() != want {
			t.Errorf("%s: %s", body, subject)
		}
	}
	for body, field := range map[string]string{
		`{"sub_id":{"format":"opaque","id":"1"},"subject":{"format":"opaque","id":"1"}}`: "subject",
		`{"sub_id":{"format":"opaque","id":"1"},"sub_id":{"format":"opaque","id":"2"}}`:  "",
		`{}`: "sub_id", `{"sub_id":null}`: "sub_id", `[]`: "", ``: "",
	} {
		_, err := signals.ParseLogout([]byte(body))
		coretest.Wants(t, err, core.KindInvalid, field)
	}
}

func TestCriticalMembersThatNobodyGoesByAreNamed(t *testing.T) {
	subject, err := signals.ParseSubject([]byte(`{"format":"complex","user":{"format":"opaque","id":"1"},"device":{"format":"opaque","id":"2"}}`))
	coretest.Must(t, err)
	if diff := cmp.Diff([]string{"device"}, subject.Unprocessed([]string{"user", "device", "tenant"})); diff != "" {
		t.Fatal(diff)
	}
	if missed := subject.Unprocessed([]string{"user", "session"}); len(missed) != 0 {
		t.Fatal(missed)
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, vector := range vectors(f) {
		f.Add(vector.text())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		subject, err := signals.ParseSubject(text)
		if err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%v is no client's fault", err)
			}
			return
		}
		if said := subject.String(); said == "" || !utf8.ValidString(said) || len(said) > 500 {
			t.Fatalf("%q", said)
		}
		written, err := json.Marshal(subject)
		coretest.Must(t, err)
		again, err := signals.ParseSubject(written)
		coretest.Must(t, err)
		if diff := cmp.Diff(subject, again, cmpopts.IgnoreFields(signals.Subject{}, "Quirks")); diff != "" {
			t.Fatal(diff)
		}
	})
}
