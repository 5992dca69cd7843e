package cli_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func TestConnectionSignInSettings(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	d.do("connection", "create", "generic", "--workspace", "acme", "--name", "Lab", "--public-url", publicURL)
	out := d.do("connection", "update", "lab", "--workspace", "acme", "--issuer", "https://sso.example/realms/acme", "--client-id", "postern", "--preset", "keycloak",
		"--algorithms", "ES256", "--authentication", "private_key_jwt", "--pushed-requests", "always", "--scopes", "openid,email", "--acr-values", "gold",
		"--max-age", "600", "--prompt", "login", "--just-in-time", "--just-in-time-domains", "Acme.example")
	for _, want := range []string{"ES256", "private_key_jwt", "always", "openid, email", "gold", "600 seconds", "login", "made at sign-in, of acme.example", "keycloak"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out = d.do("connection", "update", "lab", "--workspace", "acme", "--authentication", "detected", "--pushed-requests", "detected", "--acr-values", "none", "--max-age=-1",
		"--prompt", "none", "--no-just-in-time", "--algorithms", "none")
	if !strings.Contains(out, "RS256, ES256, PS256") || strings.Contains(out, "gold") || strings.Contains(out, "600") || !strings.Contains(out, "only whom") {
		t.Error(out)
	}
	for flag, arguments := range map[string][]string{
		"--algorithms":     {"--algorithms", "HS256"},
		"--authentication": {"--authentication", "client_secret_jwt"},
		"--hosted-domains": {"--hosted-domains", "acme.example"},
		"--tenant":         {"--tenant", "11111111-2222-3333-4444-555555555555"},
		"--max-age":        {"--max-age=-5"},
	} {
		d.refused(2, flag, append([]string{"connection", "update", "lab", "--workspace", "acme"}, arguments...)...)
	}

	printed := d.do("connection", "certificate", "lab", "--workspace", "acme", "--key", d.key)
	block, rest := pem.Decode([]byte(printed))
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		t.Fatal(printed)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !strings.Contains(certificate.Subject.CommonName, acme.String()) {
		t.Error(certificate, err)
	}
	if again := d.do("connection", "certificate", "lab", "--workspace", "acme", "--key", d.key); again != printed {
		t.Error("the same key has two certificates")
	}
}
