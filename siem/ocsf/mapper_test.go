package ocsf

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"postern/core"
	"postern/core/audit"
)

// The schema was generated from OCSF 1.8.0 with the Python package ocsf-json-schema 1.2.0: the classes
// account_change, authentication, entity_management, user_access, group_management and
// api_activity without profiles, under $defs as class.<class_uid>, titles and descriptions left out.
//
//go:embed testdata/ocsf-1.8.0.schema.json
var schema []byte

// records makes a linked record of each kind of event, with every target a kind could need and with
// none at all.
func records(t testing.TB, types []core.EventType) []audit.Record {
	t.Helper()
	workspace := core.NewID()
	when := time.Date(2026, 11, 21, 1, 2, 3, 4_000, time.UTC)
	var full []core.Target
	for _, kind := range []string{"user", "team", "account", "app", "grant", "session", "connection", "workspace", "service_account", "rotation", "sink", "token", "signing_key"} {
		full = append(full, core.Target{Kind: kind, ID: core.NewID(), Name: "the " + kind})
	}
	actors := []core.Actor{core.System, {Kind: core.ActorUser, ID: core.NewID(), Name: "ana@acme.example"}, {Kind: core.ActorServiceAccount, ID: core.NewID(), Name: "ci"}, {Kind: core.ActorConnection, ID: core.NewID()}, {}}
	origins := []core.Origin{{}, {Address: "2001:db8::1%eth0", UserAgent: "Okta SCIM Client 1.0.0"}, {Address: "192.0.2.7"}, {Address: "nonsense"}}
	var all []audit.Record
	previous := audit.Genesis()
	for i, kind := range types {
		for j, targets := range [][]core.Target{nil, full, {full[0]}, {full[1], full[2]}} {
			cause := core.NewCause(actors[(i+j)%len(actors)], when)
			cause.Origin = origins[(i+j)%len(origins)]
			event := core.NewEvent(kind, workspace, cause, when, targets...).With("role", "collaborator")
			if j == 2 {
				event = event.Failed("the app said no <&>")
			}
			canonical, err := audit.Canonical(event)
			if err != nil {
				t.Fatal(err)
			}
			sequence := int64(len(all) + 1)
			record := audit.Record{Position: sequence, Sequence: sequence, Event: event, Canonical: canonical, Previous: previous, Hash: audit.Hash(previous, sequence, canonical), Sequenced: when}
			previous = record.Hash
			all = append(all, record)
		}
	}
	return all
}

func TestEveryEventTypeIsMapped(t *testing.T) {
	types := core.EventTypes()
	for _, kind := range types {
		if _, mapped := kinds[kind]; !mapped {
			t.Errorf("%s has no class: add it to kinds", kind)
		}
	}
	for kind := range kinds {
		if !slices.Contains(types, kind) {
			t.Errorf("%s is not in the catalogue any more", kind)
		}
	}
}

func TestDocumentsAreValid(t *testing.T) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("ocsf.json", parsed); err != nil {
		t.Fatal(err)
	}
	for _, record := range records(t, core.EventTypes()) {
		text, err := Mapper{Release: "1.0.0"}.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		class, err := compiler.Compile(fmt.Sprintf("ocsf.json#/$defs/class.%v", document.(map[string]any)["class_uid"]))
		if err != nil {
			t.Fatal(err)
		}
		if err := class.Validate(document); err != nil {
			t.Errorf("%s: %v\n%s", record.Event.Type, err, text)
		}
		if bytes.ContainsRune(text, '\n') {
			t.Errorf("%s takes more than one line", record.Event.Type)
		}
	}
}

func TestTheReceiversCopyVerifies(t *testing.T) {
	var copied []audit.Record
	for _, record := range records(t, core.EventTypes()) {
		text, err := Mapper{}.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		// A receiver may store the document its own way.
		var loose any
		if err := json.Unmarshal(text, &loose); err != nil {
			t.Fatal(err)
		}
		reformatted, err := json.MarshalIndent(loose, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		back, err := Record(reformatted)
		if err != nil {
			t.Fatal(err)
		}
		copied = append(copied, back)
	}
	if err := audit.Verify(slices.Values(copied), nil, nil); err != nil {
		t.Fatal(err)
	}
	copied[7].Canonical = bytes.Replace(copied[7].Canonical, []byte("occurred"), []byte("occurreD"), 1)
	if err := audit.Verify(slices.Values(copied), nil, nil); core.AsError(err) == nil || core.AsError(err).Code != audit.FaultEdited {
		t.Fatalf("an edit went unnoticed: %v", err)
	}
}

func TestVersion19ReplacesAccountChange(t *testing.T) {
	for _, record := range records(t, core.EventTypes()) {
		text, err := Mapper{Version: Version19}.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		var doc document
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.ClassUID == classAccountChange || doc.Metadata.Version != "1.9.0" || doc.TypeUID != doc.ClassUID*100+doc.ActivityID {
			t.Errorf("%s: %s", record.Event.Type, text)
		}
		if record.Event.Type == core.UserDeprovisioned && (doc.ClassUID != classUserManagement || doc.ActivityID != 5) {
			t.Errorf("deprovisioning is told as %d/%d", doc.ClassUID, doc.ActivityID)
		}
	}
}

func TestAnOversizedEventIsToldWithoutItsContent(t *testing.T) {
	event := core.NewEvent(core.TeamUpdated, core.NewID(), core.NewCause(core.System, time.Now()), time.Now()).
		With("huge", strings.Repeat("x", maximum)).Because(strings.Repeat("é", maximum))
	canonical, err := audit.Canonical(event)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Mapper{}.Map(audit.Record{Sequence: 1, Event: event, Canonical: canonical, Previous: audit.Genesis(), Hash: audit.Hash(audit.Genesis(), 1, canonical)})
	if err != nil || len(text) > maximum || !bytes.Contains(text, []byte(`"is_truncated":true`)) || !json.Valid(text) {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if _, err := Record(text); core.KindOf(err) != core.KindInvalid {
		t.Fatalf("got %v", err)
	}
}

func BenchmarkMap(b *testing.B) {
	all := records(b, core.EventTypes())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := (Mapper{}).Map(all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
	}
}
