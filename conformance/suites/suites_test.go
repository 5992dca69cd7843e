package suites

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/conformance/posterntest"
	"postern/core"
	"postern/core/directory"
)

// output runs a program and gives what it printed.
func output(t *testing.T, program string, arguments ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	var faults bytes.Buffer
	command.Stderr = &faults
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, faults.String())
	}
	return printed
}

// The fewest checks scim2-tester ran when its every check passed, and the fewest calls of the client: a
// run that asks less is no run.
const (
	testerChecks = 134
	clientCalls  = 25
)

func TestTester(t *testing.T) {
	partstest.Long(t, "Python")
	folder := partstest.Suites(t, "venv/bin/python")
	server := posterntest.Start(t)
	for _, profile := range []directory.ProvisioningProfile{
		directory.ProfileDetected, directory.ProfileOkta, directory.ProfileEntra, directory.ProfileGeneric, directory.ProfileStrict,
	} {
		t.Run("profile "+string(profile), func(t *testing.T) {
			printed := output(t, filepath.Join(folder, "venv/bin/python"), "tester.py", server.URL, server.Connect(t, directory.Generic, directory.Provisioning{Profile: profile}))
			counts := map[string]int{}
			for line := range bytes.Lines(printed) {
				var check struct{ Status, Title, Resource, Reason string }
				if err := json.Unmarshal(line, &check); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				counts[check.Status]++
				switch check.Status {
				case "SUCCESS", "COMPLIANT", "ACCEPTABLE":
				default:
					t.Errorf("%s %s %s: %s", check.Status, check.Resource, check.Title, check.Reason)
				}
			}
			t.Log(counts)
			if passed := counts["SUCCESS"] + counts["COMPLIANT"] + counts["ACCEPTABLE"]; passed < testerChecks {
				t.Errorf("%d checks passed, want at least %d", passed, testerChecks)
			}
		})
	}
}

func TestJavaClient(t *testing.T) {
	partstest.Long(t, "Java")
	folder := partstest.Suites(t, "java")
	java, err := exec.LookPath("java")
	if err != nil {
		partstest.Need(t, "Java", core.NotFound("java"))
	}
	server := posterntest.Start(t)
	for _, kind := range []directory.ConnectionKind{directory.Generic, directory.Okta} {
		t.Run(string(kind), func(t *testing.T) {
			printed := output(t, java, "-cp", filepath.Join(folder, "java", "*"), "Client.java", server.URL, server.Connect(t, kind, directory.Provisioning{}))
			calls := 0
			for line := range strings.Lines(string(printed)) {
				calls++
				if !strings.HasPrefix(line, "passed\t") {
					t.Error(strings.TrimSpace(line))
				}
			}
			if calls < clientCalls {
				t.Errorf("%d calls, want at least %d", calls, clientCalls)
			}
		})
	}
}
