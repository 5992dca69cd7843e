package certificates_test

import (
	"os"
	"testing"

	"postern/core/certificates"
	"postern/core/coretest"
)

// A certificate that was signed once is verified, and understood, by every later version.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/certificate.json")
	coretest.Must(t, err)
	document, err := certificates.Read(text)
	coretest.Must(t, err)
	said, _, err := document.Verify(document.Keys.Keys)
	coretest.Must(t, err)
	if said.State != certificates.Incomplete || said.Number != 1 || said.Count(certificates.Dead) != 1 || said.Count(certificates.Open) != 1 || said.Person.Name != "bob" {
		t.Fatalf("got %+v", said)
	}
	text, err = os.ReadFile("testdata/certificate-links.json") // since links are in it
	coretest.Must(t, err)
	document, err = certificates.Read(text)
	coretest.Must(t, err)
	said, _, err = document.Verify(document.Keys.Keys)
	coretest.Must(t, err)
	if said.State != certificates.Complete || said.Number != 2 || said.OpenLinks() != 0 || len(said.Links) != 1 || said.Links[0].Purpose != "audit" || said.Links[0].Died == nil {
		t.Fatalf("got %+v", said)
	}
	text, err = os.ReadFile("testdata/certificate-disabled.json") // since accounts that were disabled are
	coretest.Must(t, err)
	document, err = certificates.Read(text)
	coretest.Must(t, err)
	said, _, err = document.Verify(document.Keys.Keys)
	coretest.Must(t, err)
	if said.State != certificates.Complete || said.Unproved() != 0 || len(said.Disabled) != 1 || said.Disabled[0].Username != "bob's own" || said.Disabled[0].Proved == nil {
		t.Fatalf("got %+v", said)
	}
}
