package cli_test

import (
	"strings"
	"testing"
)

// What is signed of accounts that were disabled is said offline too.
func TestACertificateWithDisabledAccountsIsVerified(t *testing.T) {
	code, out, told := run("certificate", "verify", "../../core/certificates/testdata/certificate-disabled.json")
	if code != 0 || !strings.Contains(out, "disabled  Wiki simulated (bob's own), 2026-11-20T09:00:05Z") || strings.Contains(out, "to be disabled") {
		t.Errorf("%d %s %s", code, out, told)
	}
}
