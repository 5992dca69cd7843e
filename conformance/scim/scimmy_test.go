package scim_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/conformance/scim"
	"postern/core"
)

// TestFindsFaultsOfScimmy points the suite at scimmy behind scimmy-routers.
func TestFindsFaultsOfScimmy(t *testing.T) {
	partstest.Long(t, "Node.js")
	folder := partstest.Suites(t, "node_modules/scimmy", "node_modules/scimmy-routers", "node_modules/express")
	node, err := exec.LookPath("node")
	if err != nil {
		partstest.Need(t, "Node.js", &core.Error{Kind: core.KindNotFound, Message: "no node on this machine"})
	}
	command := exec.CommandContext(t.Context(), node, "../suites/server.mjs")
	command.Env = append(os.Environ(), "SUITES="+folder)
	command.Stderr = os.Stderr
	printed, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	address, err := bufio.NewReader(printed).ReadString('\n')
	if err != nil {
		t.Fatalf("%s said nothing: %v", node, err)
	}
	finds(t, scim.Options{URL: strings.TrimSpace(address), Token: "secret", Profile: scim.All}, scimmyFaults, 30)
}

// scimmyFaults are checks that fail at scimmy for faults of its own.
var scimmyFaults = []string{
	"rfc/create/location", "rfc/create/primary", "rfc/read/not-acceptable", "rfc/filter/broken", "rfc/filter/gt-boolean",
	"rfc/patch/add-existing", "rfc/patch/add-unchanged", "rfc/patch/primary", "rfc/patch/primary-path", "rfc/patch/urn", "rfc/patch/read-only",
	"rfc/members/add-again", "rfc/attributes/urn", "rfc/error/syntax", "rfc/error/authorization", "rfc/error/method",
	"entra/patch/disable-text", "entra/patch/primary-text", "entra/patch/add-creates", "entra/patch/replace-creates", "entra/patch/address",
	"entra/patch/unknown-attribute", "entra/manager/text", "entra/manager/array", "entra/manager/bare", "entra/create/nulls", "entra/roles/create",
}
