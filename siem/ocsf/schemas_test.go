package ocsf

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"postern/conformance/partstest"
	"postern/core"
)

// generate has the schemas of the given classes made by somebody else's reading of OCSF: the Python package
// ocsf-json-schema, which holds what schema.ocsf.io publishes.
const generate = `
import json, sys
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=sys.argv[1]))
json.dump({uid: schema.get_class_schema(schema.lookup_class_name_from_uid(int(uid))) for uid in sys.argv[2:]}, sys.stdout)
`

// TestDocumentsAreValidByGeneratedSchemas has every kind of event, in every form that records makes, judged by them. A
// member a class does not have is refused as well as one that lacks.
func TestDocumentsAreValidByGeneratedSchemas(t *testing.T) {
	python := filepath.Join(partstest.Suites(t, "ocsf/bin/python"), "ocsf", "bin", "python")
	arguments := []string{"-c", generate, string(Version18)}
	for class := range classNames {
		if class != classUserManagement { // which 1.8 does not have
			arguments = append(arguments, strconv.Itoa(class))
		}
	}
	output, err := exec.CommandContext(t.Context(), python, arguments...).Output()
	if err != nil {
		t.Fatalf("the schemas cannot be made: %v", err)
	}
	var generated map[string]json.RawMessage
	if err := json.Unmarshal(output, &generated); err != nil {
		t.Fatal(err)
	}
	classes := map[string]*jsonschema.Schema{}
	for class, text := range generated {
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		delete(parsed.(map[string]any), "$id")
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(class+".json", parsed); err != nil {
			t.Fatal(err)
		}
		if classes[class], err = compiler.Compile(class + ".json"); err != nil {
			t.Fatal(err)
		}
	}
	judged := map[core.EventType]int{}
	for _, record := range records(t, core.EventTypes()) {
		text, err := Mapper{Release: "1.0.0"}.Map(record)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		class := document.(map[string]any)["class_uid"].(json.Number).String()
		if classes[class] == nil {
			t.Fatalf("%s is of the class %s, which nobody generated", record.Event.Type, class)
		}
		if err := classes[class].Validate(document); err != nil {
			t.Errorf("%s: %v\n%s", record.Event.Type, err, text)
		}
		judged[record.Event.Type]++
	}
	for _, kind := range core.EventTypes() {
		if judged[kind] == 0 {
			t.Errorf("no event %s was judged", kind)
		}
	}
}
