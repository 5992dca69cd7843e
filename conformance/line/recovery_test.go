package line

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/deploy/local"
	"postern/deploy/local/apps"
)

// TestRecoveryFromDesynchronization has a real application's password changed behind Postern's back, twice, and recovers
// without anybody typing it: found again among the stored ones when somebody set an older one back, and replaced behind the
// link of the application's own mail. Access returns with an accepted sign-in and not before.
func TestRecoveryFromDesynchronization(t *testing.T) {
	partstest.Long(t, "a browser and a web application")
	port := freePort(t)
	site, err := apps.StartDokuWiki(t.Context(), t.TempDir(), apps.Options{MailPort: port})
	partstest.Need(t, "DokuWiki", err)
	defer func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, worldOptions{Arguments: []string{"--mailbox-domain", "in.acme.example", "--mailbox-listen", fmt.Sprintf("127.0.0.1:%d", port)}})
	app := tell[struct{ ID core.ID }](t, s.API, "/apps", map[string]any{
		"name": "Pilot station", "domains": []string{strings.TrimPrefix(site.URL, "http://")}, "sign_in_url": site.SignInURL, "change_url": site.ChangeURL,
	}).ID
	d := &drift{stage: s, t: t, site: site, name: "pilot", first: "First-voyage-" + core.NewID().String(), owner: s.inside(t, "okta", local.OwnerName)}
	s.secrets.plant("the first password of "+d.name, d.first)
	set := func(password string) {
		t.Helper()
		if err := site.SetPassword(t.Context(), d.name, password); err != nil {
			t.Fatal(err)
		}
	}
	set(d.first)
	d.id = tell[struct{ ID core.ID }](t, s.API, "/accounts", map[string]any{"app": app, "username": d.name, "password": d.first, "owner": s.owner}).ID
	d.page = "/accounts/" + d.id.String()
	d.becomes("validated", "accepted")
	parts := func(password string) {
		t.Helper()
		set(password)
		tell[any](t, s.API, d.page+"/check", nil)
		d.becomes("desynced", "refused")
		d.closed("desynced")
	}
	offers := func(step string) {
		t.Helper()
		if now := d.now(); !strings.Contains(strings.Join(now.Steps, " "), step) {
			t.Errorf("not offered: %s, of %v", step, now.Steps)
		}
	}
	refused := func(passwords ...string) {
		t.Helper()
		for _, password := range passwords {
			if ok, err := site.Accepts(t.Context(), d.name, password); err != nil || ok {
				t.Errorf("an older password: %v, %v", ok, err)
			}
		}
	}

	t.Run("set back to an older one", func(t *testing.T) {
		d.t = t
		tell[any](t, s.API, d.page+"/rotations", nil)
		d.becomes("validated", "replaced")
		second := d.opened()
		parts("Changed-by-somebody-7")
		offers("resync")
		set(d.first)
		d.closed("desynced") // nobody has signed in with it
		tell[any](t, s.API, d.page+"/resync", nil)
		s.eventually(3*time.Minute, "the older one to be found", func() bool { return d.now().State == "validated" })
		if given := d.opened(); given != d.first {
			t.Error("another password than the one set back is filled")
		}
		refused(second)
	})

	t.Run("replaced by the application's mail", func(t *testing.T) {
		d.t = t
		var box struct{ Address string }
		if err := s.API.Call(t.Context(), http.MethodPut, d.page+"/mailbox/address", nil, &box); err != nil {
			t.Fatal(err)
		}
		if err := site.SetAddress(t.Context(), d.name, box.Address); err != nil {
			t.Fatal(err)
		}
		parts("Changed-by-somebody-8")
		offers("reset")
		id := tell[attempt](t, s.API, d.page+"/reset", nil).ID
		var done attempt
		s.eventually(3*time.Minute, "the password to be replaced", func() bool {
			done = ask[attempt](t, s.API, "/rotations/"+id.String())
			if done.Receipt == nil && done.State != "blocked" && d.now().State != "desynced" {
				t.Fatalf("access is back while the rotation is %s", done.State)
			}
			return done.Receipt != nil || done.State == "blocked"
		})
		if done.State != "done" {
			t.Fatalf("%s: %s", done.State, done.Detail)
		}
		d.becomes("validated", "replaced")
		if given := d.opened(); given == d.first {
			t.Error("the older password is filled")
		}
		refused(d.first, "Changed-by-somebody-8")
	})
}
