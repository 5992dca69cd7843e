package certificates_test

import (
	"os"
	"testing"

	"postern/core/certificates"
)

// A certificate that was signed once is verified, and understood, by every later version.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/certificate.json")
	must(t, err)
	document, err := certificates.Read(text)
	must(t, err)
	said, _, err := document.Verify(document.Keys.Keys)
	must(t, err)
	if said.State != certificates.Incomplete || said.Number != 1 || said.Count(certificates.Dead) != 1 || said.Count(certificates.Open) != 1 || said.Person.Name != "bob" {
		t.Fatalf("got %+v", said)
	}
}
