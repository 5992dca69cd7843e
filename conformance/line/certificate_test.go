package line

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/certificates"
	"postern/deploy/local/apps"
	"postern/oidc/devidp/push"
)

// certified is a leaver's certificate as the API tells of it.
type certified struct {
	ID     core.ID                  `json:"id"`
	State  certificates.State       `json:"state"`
	Number int                      `json:"number"`
	Now    certificates.Certificate `json:"now"`
	Issues []struct {
		Number int    `json:"number"`
		Digest string `json:"digest"`
	} `json:"issues"`
}

// TestACertificateTellsTheTruth has somebody leave who saw the password of a real application that is down. What is signed
// at the deadline lists it as open and why; once the application is back the password dies, and what is signed then
// supersedes that. Both are verified from files alone, with everything stopped.
func TestACertificateTellsTheTruth(t *testing.T) {
	partstest.Long(t, "a browser and a web application")
	folder := t.TempDir()
	site, err := apps.StartDokuWiki(t.Context(), folder, apps.Options{})
	partstest.Need(t, "DokuWiki", err)
	address, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = site.Stop() }()
	s := open(t, worldOptions{})
	if err := s.API.Call(t.Context(), http.MethodPut, "/certificate-settings", map[string]any{"deadline_seconds": 60}, nil); err != nil {
		t.Fatal(err)
	}
	first := "First-voyage-" + core.NewID().String()
	s.secrets.plant("the first password of ledger", first)
	if err := site.SetPassword(t.Context(), "ledger", first); err != nil {
		t.Fatal(err)
	}
	app := tell[struct{ ID core.ID }](t, s.API, "/apps", map[string]any{"name": "Logbook", "domains": []string{address.Host}, "sign_in_url": site.SignInURL, "change_url": site.ChangeURL}).ID
	account := tell[struct{ ID core.ID }](t, s.API, "/accounts", map[string]any{"app": app, "username": "ledger", "password": first, "owner": s.owner}).ID
	page := "/accounts/" + account.String()
	validated := func() bool { return ask[struct{ State string }](t, s.API, page).State == "validated" }
	s.eventually(2*time.Minute, "the account to be validated", validated)

	hired, client := newcomer("purser"), s.idp("okta", push.Okta)
	person, err := s.People.AddPerson(hired.GivenName, hired.FamilyName, hired.Email)
	if err != nil {
		t.Fatal(err)
	}
	hired.ID = person.ID
	result, err := client.PushUser(t.Context(), hired)
	id := answered(t, result, err).ID
	tell[any](t, s.API, page+"/grants", map[string]any{"user": id, "role": "collaborator"})
	if seen := s.inside(t, "okta", person.UserName).filled(t, account); seen != first {
		t.Fatal("another password is filled")
	}

	if err := site.Stop(); err != nil {
		t.Fatal(err)
	}
	result, err = client.Deactivate(t.Context(), id)
	answered(t, result, err)
	var got certified
	issued := func(number int) func() bool {
		return func() bool {
			all := ask[listed[certified]](t, s.API, "/users/"+id+"/certificates").Items
			if len(all) != 1 || all[0].Number < number {
				return false
			}
			got = ask[certified](t, s.API, "/certificates/"+all[0].ID.String())
			return true
		}
	}
	s.eventually(3*time.Minute, "the certificate to be signed at its deadline", issued(1))
	if got.State != "incomplete" || len(got.Issues) != 1 {
		t.Errorf("signed: %+v", got)
	}
	if site, err = apps.StartDokuWiki(t.Context(), folder, apps.Options{Port: port}); err != nil {
		t.Fatal(err)
	}
	s.eventually(5*time.Minute, "the certificate to be superseded", issued(2))
	if ok, err := site.Accepts(t.Context(), "ledger", first); err != nil || ok || !validated() {
		t.Errorf("the leaver's password: %v, %v", ok, err)
	}

	files := t.TempDir()
	keep := func(name string, text []byte) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	published, err := http.Get(s.API.URL + "/jwks/" + s.workspace(t).String() + "/all")
	if err != nil {
		t.Fatal(err)
	}
	defer published.Body.Close()
	text, err := io.ReadAll(published.Body)
	if err != nil {
		t.Fatal(err)
	}
	keys := keep("keys.json", text)
	document := "/certificates/" + got.ID.String() + "/document?number="
	incomplete, complete := keep("1.json", ask[json.RawMessage](t, s.API, document+"1")), keep("2.json", ask[json.RawMessage](t, s.API, document+"2"))
	s.stop()
	if err := site.Stop(); err != nil {
		t.Error(err)
	}
	verify := func(file string, exit int) certificates.Certificate {
		t.Helper()
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(path, "certificate", "verify", file, "--keys", keys, "--json")
		command.Env = []string{"HOME=" + files}
		text, _ := command.Output()
		if code := command.ProcessState.ExitCode(); code != exit {
			t.Errorf("%s: exit code %d, %s", filepath.Base(file), code, text)
		}
		var said struct {
			Open        int
			Certificate certificates.Certificate
		}
		if err := json.Unmarshal(text, &said); err != nil || len(said.Certificate.Credentials) != 1 || said.Certificate.Credentials[0].Account != account || said.Certificate.Credentials[0].Seen == nil {
			t.Fatalf("%s: %v, %s", filepath.Base(file), err, text)
		}
		if said.Open != said.Certificate.Count(certificates.Open) {
			t.Errorf("%d are open of %+v", said.Open, said.Certificate.Credentials)
		}
		return said.Certificate
	}
	before, after := verify(incomplete, 7), verify(complete, 0)
	if one := before.Credentials[0]; one.Fate != certificates.Open || !strings.Contains(one.Why, "cannot be reached") || one.NextStep == "" || one.Died != nil || before.Safe != nil || before.Supersedes != "" {
		t.Errorf("while it was down: %+v", before)
	}
	one := after.Credentials[0]
	if one.Fate == certificates.Open || one.Died == nil || one.Proof == nil || !one.Proof.OldRefused.After(before.Issued) || after.Safe == nil || after.State != "complete" {
		t.Errorf("once it was back: %+v", after)
	}
	if after.Number != 2 || before.Number != 1 || after.ID != before.ID || after.Supersedes == "" || after.Supersedes != got.Issues[0].Digest {
		t.Errorf("issue %d of %s supersedes %q, which is not %+v", after.Number, after.ID, after.Supersedes, got.Issues)
	}
}
