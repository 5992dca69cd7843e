package cli_test

import (
	"strings"
	"testing"

	"postern/core"
)

func TestService(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.member(acme, "dana")
	f.member(acme, "ana")
	f.member(acme, "ben")
	says := func(out string, all ...string) {
		t.Helper()
		for _, one := range all {
			if !strings.Contains(out, one) {
				t.Errorf("%q is not in\n%s", one, out)
			}
		}
	}
	says(f.ask("acme", "service", "create", "ci", "--owner", "dana", "--owner", "ana", "--scope", "apps:read", "--risk", "4", "--unit", "platform"), "ci is there", "credential add")
	f.denied(2, "two active people", "acme", "service", "create", "lonely", "--owner", "dana")
	f.denied(2, "no operation asks for", "acme", "service", "create", "x", "--owner", "dana", "--owner", "ana", "--scope", "apps:fly")
	f.denied(5, "another service account", "acme", "service", "create", "ci", "--owner", "dana", "--owner", "ana")
	says(f.ask("acme", "service", "list", "--unit", "platform"), "ci", "true", "NAME")
	made := f.rows("acme", "service", "credential", "add", "ci", "API", "--days", "30")[0]
	if secret, _ := made["secret"].(string); !strings.HasPrefix(secret, "pst_api_") {
		t.Fatal(made)
	}
	says(f.ask("acme", "service", "show", "ci"), "user dana", "API", "slot 1: version 1", "Blast radius 4 of 50", "(risk 2 × sensitivity 2)")
	begun := f.rows("acme", "service", "rotate", made["id"].(string))[0]
	rotation := begun["id"].(string)
	says(f.ask("acme", "service", "distribute", rotation), "is distributed")
	f.denied(5, "not seen in use", "acme", "service", "verify", rotation)
	says(f.ask("acme", "service", "verify", rotation, "--reason", "the log says so"), "is verified", "not seen in use: the log says so")
	says(f.ask("acme", "service", "revoke", rotation), "is done")
	says(f.ask("acme", "service", "rotation", rotation), "is done")
	says(f.ask("acme", "service", "reach", "ci", "--to", "Billing|5|5|finance", "--to", "Wiki|5|5"), "is 54", "part 1 of 3")
	f.denied(2, "name|risk", "acme", "service", "reach", "ci", "--to", "Billing")
	says(f.ask("acme", "service", "advise"), "ci, 54: into 3")
	says(f.ask("acme", "service", "group", "--by", "risk"), "RISK", "54")
	says(f.ask("acme", "service", "owner", "add", "ci", "--user", "ben"), "ben answers for ci now")
	says(f.ask("acme", "service", "change", "ci", "--scope", "apps:read", "--scope", "activity:read", "--network", "192.0.2.0/24"), "activity:read apps:read")
	if line := f.rows("acme", "service", "list")[1]; line["purpose"] != "" || line["risk"] != 4.0 {
		t.Error(line)
	}
	f.denied(2, "named by its id", "acme", "service", "credential", "add", "ci", "forge", "--token-of", "wiki")
	f.denied(2, "neither another system", "acme", "service", "credential", "add", "ci", "forge", "--token-of", core.NewID().String(), "--vault")
	f.denied(2, "no such account", "acme", "service", "credential", "add", "ci", "forge", "--token-of", core.NewID().String())
	f.ask("acme", "service", "finding", "list", "--service", "ci", "--state", "all")
	f.denied(4, "there is", "globex", "service", "show", "ci")
	f.denied(4, "", "globex", "service", "rotation", rotation)
	says(f.ask("acme", "service", "credential", "list", "ci"), "API", "postern")
	says(f.ask("acme", "service", "credential", "remove", made["id"].(string)), "Ended")
	says(f.ask("acme", "service", "remove", "ci"), "ci is removed")
	f.denied(4, "there is", "acme", "service", "show", "ci")
}
