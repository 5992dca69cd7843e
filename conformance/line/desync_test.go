package line

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/deploy/local"
	"postern/deploy/local/apps"
	"postern/oidc/devidp/push"
)

// wellbeing is how an account is, as the API tells it.
type wellbeing struct {
	State     string   `json:"state"`
	Finding   string   `json:"finding"`
	Why       string   `json:"why"`
	Closed    string   `json:"closed"`
	Next      string   `json:"next"`
	Steps     []string `json:"steps"`
	LastCheck *struct {
		Reason  string `json:"reason"`
		Outcome string `json:"outcome"`
	} `json:"last_check"`
	OpenCheck *struct{} `json:"open_check"`
}

// drift is a login of a real application that goes its own way.
type drift struct {
	*stage
	t     *testing.T
	site  *apps.Site
	name  string
	first string
	page  string
	id    core.ID
	owner *guest
}

func (d *drift) now() wellbeing { return ask[wellbeing](d.t, d.API, d.page+"/health") }

// becomes waits for a state and what put the account there.
func (d *drift) becomes(state, finding string) wellbeing {
	d.t.Helper()
	var got wellbeing
	d.eventually(time.Minute, d.name+" to be "+state+" because it is "+finding, func() bool {
		got = d.now()
		return got.State == state && got.Finding == finding && got.OpenCheck == nil
	})
	return got
}

// closed checks that the owner is given nothing, with the code that says why, and is told what to do.
func (d *drift) closed(code string) {
	d.t.Helper()
	header := map[string]string{"X-Postern-Console": "1", "Sec-Fetch-Site": "same-origin"}
	status, text := d.owner.with(d.t, http.MethodPost, "/accounts/"+d.id.String()+"/fill", header)
	if status != http.StatusForbidden || !strings.Contains(text, `"code":"`+code+`"`) {
		d.t.Errorf("%s is filled with %d %s, want %s", d.name, status, text, code)
	}
	if now := d.now(); now.Closed != code || now.Next == "" || len(now.Steps) == 0 || now.Why == "" {
		d.t.Errorf("%s: told %+v", d.name, now)
	}
}

// opened checks that what the owner is given now is what the application takes.
func (d *drift) opened() string {
	d.t.Helper()
	given := d.owner.filled(d.t, d.id)
	if ok, err := d.site.Accepts(d.t.Context(), d.name, given); err != nil || !ok {
		d.t.Errorf("%s: what is filled is refused: %v", d.name, err)
	}
	return given
}

// TestDesynchronization has a real application part from Postern in the three ways it can: a password changed behind our
// back, an account disabled in the app when somebody leaves, a password the app has let expire after access was taken.
// Each is found, explained, kept closed, and open again after an accepted sign-in alone.
func TestDesynchronization(t *testing.T) {
	partstest.Long(t, "a browser and a web application")
	site, err := apps.StartMediaWiki(t.Context(), t.TempDir(), apps.Options{})
	partstest.Need(t, "MediaWiki", err)
	defer func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, worldOptions{})
	app := tell[struct{ ID core.ID }](t, s.API, "/apps", map[string]any{
		"name": "Pilot station", "domains": []string{strings.TrimPrefix(site.URL, "http://")}, "sign_in_url": site.SignInURL, "change_url": site.ChangeURL,
	}).ID
	owner := s.inside(t, "okta", local.OwnerName)
	login := func(t *testing.T, name string, of core.ID) *drift {
		d := &drift{stage: s, t: t, site: site, name: name, first: "First-voyage-" + core.NewID().String(), owner: owner}
		s.secrets.plant("the first password of "+name, d.first)
		if err := site.SetPassword(t.Context(), name, d.first); err != nil {
			t.Fatal(err)
		}
		d.id = tell[struct{ ID core.ID }](t, s.API, "/accounts", map[string]any{"app": app, "username": name, "password": d.first, "owner": of}).ID
		d.page = "/accounts/" + d.id.String()
		d.becomes("validated", "accepted")
		return d
	}
	client := s.idp("okta", push.Okta)
	employ := func(t *testing.T, name string) string {
		result, err := client.PushUser(t.Context(), push.User{ID: name, UserName: name + "@acme.example", DisplayName: name, Email: name + "@acme.example"})
		return answered(t, result, err).ID
	}
	parse := func(t *testing.T, text string) core.ID {
		id, err := core.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}

	t.Run("changed behind our back", func(t *testing.T) {
		d := login(t, "Outside", s.owner)
		if err := site.SetPassword(t.Context(), d.name, "Changed-by-somebody-7"); err != nil {
			t.Fatal(err)
		}
		tell[any](t, s.API, d.page+"/check", nil)
		if got := d.becomes("desynced", "refused"); got.LastCheck.Outcome != "rejected" || got.LastCheck.Reason != "confirm" {
			t.Errorf("the evidence: %+v", got.LastCheck)
		}
		d.closed("desynced")
		if err := s.API.Call(t.Context(), http.MethodPost, d.page+"/rotations", nil, nil); err == nil || !strings.Contains(err.Error(), "refuses the stored password") {
			t.Errorf("it may be rotated: %v", err)
		}
		tell[any](t, s.API, d.page+"/password", map[string]string{"password": "A-guess-of-somebody-1"})
		s.eventually(time.Minute, "the guess to be refused", func() bool {
			now := d.now()
			return now.OpenCheck == nil && now.LastCheck.Reason == "given" && now.LastCheck.Outcome == "rejected"
		})
		d.closed("desynced")
		tell[any](t, s.API, d.page+"/password", map[string]string{"password": "Changed-by-somebody-7"})
		d.becomes("validated", "accepted")
		if given := d.opened(); given != "Changed-by-somebody-7" {
			t.Error("another password is filled")
		}
	})

	t.Run("disabled in the app", func(t *testing.T) {
		d := login(t, "Leaving", s.owner)
		leaver := employ(t, "leaver")
		tell[any](t, s.API, d.page+"/grants", map[string]any{"user": leaver, "role": "collaborator"})
		if err := site.Enable(t.Context(), d.name, false); err != nil {
			t.Fatal(err)
		}
		result, err := client.Deactivate(t.Context(), leaver)
		answered(t, result, err)
		d.becomes("app_disabled", "disabled")
		d.closed("app_disabled")
		if err := site.Enable(t.Context(), d.name, true); err != nil {
			t.Fatal(err)
		}
		result, err = client.Reactivate(t.Context(), leaver)
		answered(t, result, err)
		// That somebody is back has it looked at; then the leaver's rotation goes on.
		d.becomes("validated", "replaced")
		d.opened()
		if ok, err := site.Accepts(t.Context(), d.name, d.first); err != nil || ok {
			t.Errorf("the leaver's password: %v, %v", ok, err)
		}
		if grants := ask[listed[struct{ User core.ID }]](t, s.API, d.page+"/grants").Items; len(grants) != 1 {
			t.Errorf("access came back by itself: %+v", grants)
		}
	})

	t.Run("expired after access was taken", func(t *testing.T) {
		keeper := employ(t, "keeper")
		d := login(t, "Expiring", parse(t, keeper))
		// What is taken from people is not followed by a rotation, of this account.
		tell[any](t, s.API, "/policies", map[string]any{"name": "Leavers, but not of the station", "trigger": "deprovision", "scope": map[string]any{"excluded": []core.ID{d.id}}})
		result, err := client.Deactivate(t.Context(), keeper)
		answered(t, result, err)
		d.becomes("unmanaged", "abandoned")
		if err := site.Expire(t.Context(), d.name); err != nil {
			t.Fatal(err)
		}
		tell[any](t, s.API, d.page+"/grants", map[string]any{"user": s.owner, "role": "owner"})
		d.closed("unmanaged")
		tell[any](t, s.API, d.page+"/manage", nil)
		if got := d.becomes("desynced", "expired"); got.LastCheck.Outcome != "must_change" {
			t.Errorf("the evidence: %+v", got.LastCheck)
		}
		d.closed("desynced")
		tell[any](t, s.API, d.page+"/rotations", nil) // on the page where the app asks for it
		d.becomes("validated", "replaced")
		d.opened()
		if ok, err := site.Accepts(t.Context(), d.name, d.first); err != nil || ok {
			t.Errorf("the expired password: %v, %v", ok, err)
		}
	})
}
