package api_test

import (
	"cmp"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/gateway/api"
)

// Schemathesis asks about things that are there: in the document it reads, addresses hold their ids and bodies have an
// example that works. What it makes of them by itself, with ids of nothing, the gateway's own test asks. What ends a
// thing is asked last, by a run of its own. POSTERN_EXAMPLES asks for more than the few examples of each.
func TestSchemathesisOfWhatIsThere(t *testing.T) {
	partstest.Long(t, "Schemathesis")
	program := filepath.Join(partstest.Suites(t, "schemathesis/bin/schemathesis"), "schemathesis/bin/schemathesis")
	w := newWorld(t, func(s *api.Service) { s.Rate = 1_000_000 })
	all := w.things(t)
	server := httptest.NewServer(w.engine)
	defer server.Close()
	directory := t.TempDir()
	settings := filepath.Join(directory, "schemathesis.toml")
	// What is wrong with a request that is meant for another state is not looked for; nor are methods the document does
	// not name tried: a run's names some of them.
	if err := os.WriteFile(settings, []byte("checks.negative_data_rejection.expected-statuses = [\"4XX\"]\nphases.coverage.unexpected-methods = []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		name, phases string
		asks         func(one operation) bool
	}{
		{"what keeps it", "examples,coverage,fuzzing", func(one operation) bool { return !ends(one) }},
		{"what ends it", "examples,coverage", ends},
	} {
		t.Run(run.name, func(t *testing.T) {
			document := filepath.Join(directory, "openapi.json")
			if err := os.WriteFile(document, w.document.about(t, all, run.asks), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), program, "--config-file", settings, "run", document, "--url", server.URL,
				"--header", "Authorization: Bearer "+w.tokens["acme"], "--phases", run.phases, "--checks", "all",
				// A rule such as "the time has not passed" is in no schema.
				"--exclude-checks", "positive_data_acceptance", "--max-examples", cmp.Or(os.Getenv("POSTERN_EXAMPLES"), "2"),
				"--seed", "1", "--no-color", "--workers", "1")
			command.Dir = directory
			if told, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, told)
			}
		})
	}
}

// ends says whether a thing may be gone after the operation.
func ends(one operation) bool {
	return one.Method == "DELETE" || slices.Contains([]string{"cancelReview", "deprovisionUser"}, one.OperationID)
}

// about is the document of some of its operations, on the things of one workspace.
func (d *document) about(t *testing.T, all things, asks func(operation) bool) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(d.text, &whole); err != nil {
		t.Fatal(err)
	}
	paths := map[string]any{}
	for _, one := range d.operations {
		// These ask a provider whose address they are given, go on telling until they are left, or say 503 until the log
		// has been quiet for ten seconds.
		if !asks(one) || slices.Contains([]string{"createStream", "diagnoseConnection", "tailActivity", "proveEvent"}, one.OperationID) {
			continue
		}
		told := whole["paths"].(map[string]any)[one.Path].(map[string]any)[strings.ToLower(one.Method)].(map[string]any)
		if parameters, ok := told["parameters"].([]any); ok {
			told["parameters"] = slices.DeleteFunc(parameters, func(parameter any) bool { return parameter.(map[string]any)["in"] == "path" })
		}
		if body, ok := bodies[one.OperationID]; ok && json.Valid([]byte(body)) {
			told["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["example"] = json.RawMessage(all.fill(t, body))
		}
		at := all.fill(t, one.Path)
		if paths[at] == nil {
			paths[at] = map[string]any{}
		}
		paths[at].(map[string]any)[strings.ToLower(one.Method)] = told
	}
	whole["paths"] = paths
	made, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
