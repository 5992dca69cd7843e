package cli_test

import (
	"strings"
	"testing"
)

func TestDoctor(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.do("connection", "create", "okta", "--workspace", "acme", "--name", "Okta", "--public-url", "https://postern.example.com")
	examine := []string{"doctor", "connection", "Okta", "--workspace", "acme", "--public-url", "https://postern.example.com", "--no-self-test"}
	text := d.do(examine...)
	for _, part := range []string{"no issuer", "never asked for a change", "Logout Endpoint URL", "https://postern.example.com/webhooks/", "clear sessions"} {
		if !strings.Contains(text, part) {
			t.Errorf("it lacks %q:\n%s", part, text)
		}
	}
	if found := d.json(append(examine, "--format", "json")...); found["healthy"] != true || found["provider"] != "okta" {
		t.Errorf("%v", found)
	}
	// Nothing listens there: a fault, and the exit code says so.
	d.do("connection", "update", "Okta", "--workspace", "acme", "--issuer", "http://127.0.0.1:1", "--client-id", "client")
	ill := append(examine[:5:5], "--public-url", "http://127.0.0.1:1", "--allow-private", "--database", d.database)
	if code, out, told := run(ill...); code != 1 || !strings.Contains(told, "faults") || !strings.Contains(out, "self-test of scim: http://127.0.0.1:1/scim/v2/Users cannot be reached") {
		t.Errorf("%d %s %s", code, out, told)
	}
	if code, out, _ := run("doctor", "coverage"); code != 0 || !strings.Contains(out, "| Entra ID | disable or delete a user") {
		t.Errorf("%d %s", code, out)
	}
}
