package gateway_test

import (
	"cmp"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/gateway"
)

var update = flag.Bool("update", false, "make the served API document the promise that later ones must keep")

// promised is the document of the API as the last release served it.
const promised = "testdata/openapi.json"

// Whoever wrote a client for the last release has one for this: oasdiff finds nothing that would break it.
func TestTheAPIKeepsItsPromise(t *testing.T) {
	_, served := ask(t, build(t, nil).handler(t), http.MethodGet, "/api/v1/openapi.json", nil)
	if *update {
		if err := os.WriteFile(promised, []byte(served), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	differ := filepath.Join(partstest.Suites(t, "oasdiff/oasdiff"), "oasdiff/oasdiff")
	now := filepath.Join(t.TempDir(), "now.json")
	breaking := func(document string) (string, error) {
		if err := os.WriteFile(now, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		told, err := exec.CommandContext(t.Context(), differ, "breaking", promised, now, "--fail-on", "ERR").CombinedOutput()
		return string(told), err
	}
	if told, err := breaking(served); err != nil {
		t.Errorf("%v\n%s", err, told)
	}
	// And it would.
	for what, change := range map[string][2]string{
		"a field that is gone":      {`"sign_in_url"`, `"sign_in"`},
		"an operation that is gone": {`"/api/v1/apps"`, `"/api/v1/applications"`},
	} {
		if _, err := breaking(strings.ReplaceAll(served, change[0], change[1])); err == nil {
			t.Errorf("%s is not found", what)
		}
	}
}

// Schemathesis asks the whole gateway what its document says can be asked, and what it says cannot, and goes on with the
// ids it is given. What is there already is asked about in the API's own test, as are the operations that could take away
// the service account it asks as. POSTERN_EXAMPLES asks for more than the few examples of each.
func TestSchemathesis(t *testing.T) {
	partstest.Long(t, "Schemathesis")
	program := filepath.Join(partstest.Suites(t, "schemathesis/bin/schemathesis"), "schemathesis/bin/schemathesis")
	settings := filepath.Join(t.TempDir(), "schemathesis.toml")
	// What is wrong with a request that is meant for another state is not looked for.
	if err := os.WriteFile(settings, []byte("checks.negative_data_rejection.expected-statuses = [\"4XX\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := build(t, func(c *gateway.Config) { c.APIRate = 1_000_000 })
	address, _ := h.start(t)
	asked := []string{
		"--config-file", settings, "run", "http://" + address + "/api/v1/openapi.json", "--header", "Authorization: Bearer " + h.api,
		// positive_data_acceptance is left out: a rule such as "the time has not passed" is in no schema.
		"--phases", "examples,coverage,fuzzing,stateful", "--checks", "all", "--exclude-checks", "positive_data_acceptance",
		// One worker: Python 3.11 loses its count when two threads parse at once (python/cpython#106905).
		"--max-examples", cmp.Or(os.Getenv("POSTERN_EXAMPLES"), "2"), "--seed", "1", "--no-color", "--workers", "1",
	}
	for _, apart := range []string{
		// These ask a provider whose address they are given: tests reach nothing but this machine.
		"createStream", "diagnoseConnection",
		// This goes on telling until it is left.
		"tailActivity",
		"deleteServiceAccount", "replaceServiceAccount", "removeServiceCredential", "rotateServiceCredential", "advanceServiceRotation",
	} {
		asked = append(asked, "--exclude-operation-id", apart)
	}
	command := exec.CommandContext(t.Context(), program, asked...)
	command.Dir = t.TempDir()
	told, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, told)
	}
	if strings.Contains(string(told), "Authentication failed") {
		t.Errorf("it lost its own access on the way, and saw little:\n%s", told)
	}
}
