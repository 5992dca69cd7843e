package line

import (
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/deploy/local"
	"postern/deploy/local/demo"
	"postern/deploy/local/sampleapp"
	"postern/oidc/devidp/push"
)

// trouble is a way an app stands in the way of a rotation.
type trouble struct {
	name      string
	behaviour sampleapp.Behaviour
	outcome   rotation.Outcome // the typed reason, in the evidence
	words     string           // what a person is told
	passes    bool             // tried again by itself; otherwise a person is asked
	leaver    bool             // the rotation is wanted because somebody leaves, not by hand
}

// attempt is a rotation with its steps.
type attempt struct {
	ID          core.ID    `json:"id"`
	State       string     `json:"state"`
	Reason      string     `json:"reason"`
	Detail      string     `json:"detail"`
	Attempts    int        `json:"attempts"`
	NextAttempt *time.Time `json:"next_attempt"`
	Receipt     *struct {
		Received   time.Time `json:"received"`
		OldRefused time.Time `json:"old_refused"`
	} `json:"receipt"`
	Steps []struct {
		State    string `json:"state"`
		Evidence struct {
			Outcome  rotation.Outcome `json:"outcome"`
			Released bool             `json:"released"`
		} `json:"evidence"`
	} `json:"steps"`
}

// appsInTrouble rotates a login while its app is down, hangs, has lost a form, or asks for what only
// a person can answer. The reason is typed, told and stored; nothing is half done; the password that
// works stays the one in the vault; and when the app is well again, so is the login.
func (s *stage) appsInTrouble(t *testing.T) {
	app := tell[struct{ ID core.ID }](t, s.API, "/apps", map[string]any{
		"name": "Harbour, impatiently", "domains": []string{strings.TrimPrefix(s.AppURL, "http://")}, "sign_in_url": s.AppURL + "/sign-in",
		"change_url": s.AppURL + "/account/password", "settings": map[string]any{"timeout_seconds": 5},
	}).ID
	for _, one := range []trouble{
		{name: "down", behaviour: sampleapp.Behaviour{Down: true}, outcome: rotation.Unreachable, words: "cannot be reached", passes: true},
		{name: "hanging", behaviour: sampleapp.Behaviour{Hang: true}, outcome: rotation.TimedOut, words: "did not answer in time", passes: true},
		{name: "without its sign-in form", behaviour: sampleapp.Behaviour{NoSignInForm: true}, outcome: rotation.FormNotFound, words: "form was not found"},
		{name: "without its change form", behaviour: sampleapp.Behaviour{NoChangeForm: true}, outcome: rotation.FormNotFound, words: "form was not found", leaver: true},
		{name: "asking for a captcha", behaviour: sampleapp.Behaviour{Captcha: true}, outcome: rotation.Challenge, words: "only a person can answer", leaver: true},
	} {
		t.Run(one.name, func(t *testing.T) { s.survives(t, app, one) })
	}
}

func (s *stage) survives(t *testing.T, app core.ID, trouble trouble) {
	defer s.Harbour.Behave(sampleapp.Behaviour{})
	username := "berth-" + core.NewID().String()[30:]
	password := "First-voyage-" + core.NewID().String()
	s.secrets.plant("the first password of "+username, password)
	if err := s.Harbour.SetPassword(username, password); err != nil {
		t.Fatal(err)
	}
	account := tell[demo.Account](t, s.API, "/accounts", map[string]any{"app": app, "username": username, "password": password, "owner": s.owner}).ID
	page := "/accounts/" + account.String()
	state := func() demo.Account { return ask[demo.Account](t, s.API, page) }
	s.eventually(2*time.Minute, username+" to be validated", func() bool { return state().State == "validated" })
	changes, since := s.Harbour.Changes(), last(t, s.API)

	// The trouble begins, and with it the rotation.
	var leaving func()
	if trouble.leaver {
		client := s.idp("okta", push.Okta)
		result, err := client.PushUser(t.Context(), push.User{ID: username, UserName: username + "@acme.example", DisplayName: username, Email: username + "@acme.example"})
		id := answered(t, result, err).ID
		tell[any](t, s.API, page+"/grants", map[string]any{"user": id, "role": "collaborator"})
		leaving = func() {
			result, err := client.Deactivate(t.Context(), id)
			answered(t, result, err)
		}
	}
	s.Harbour.Behave(trouble.behaviour)
	asked := time.Now()
	if leaving != nil {
		leaving() // the IdP gets its 2xx, whatever the app is like
	} else {
		tell[attempt](t, s.API, page+"/rotations", nil)
	}
	var stuck attempt
	s.eventually(2*time.Minute, "the rotation to meet the trouble", func() bool {
		stuck = ask[attempt](t, s.API, "/rotations/"+s.rotations(t, account)[0].ID.String())
		if trouble.passes {
			return stuck.Attempts >= 2 && stuck.NextAttempt != nil
		}
		return stuck.State == string(rotation.StateBlocked)
	})
	met := false
	for _, step := range stuck.Steps {
		met = met || step.Evidence.Outcome == trouble.outcome
		if step.Evidence.Released || step.State == string(rotation.StateSubmitted) {
			t.Errorf("a change request left: %+v", step)
		}
	}
	if !met || !strings.Contains(stuck.Detail, trouble.words) {
		t.Errorf("the reason is %q, the steps are %+v; want %s", stuck.Detail, stuck.Steps, trouble.outcome)
	}
	kind := core.RotationBlocked
	if trouble.passes {
		kind = core.RotationDelayed
	}
	for _, one := range s.toldSince(t, s.API, kind, since, 1) {
		if one.Outcome != core.Failure || !strings.Contains(one.Reason, trouble.words) || one.Targets[0].ID != account || one.Data["rotation"] != stuck.ID.String() {
			t.Errorf("the event is %+v", one)
		}
	}
	want := "validated"
	if trouble.leaver {
		want = "at_risk" // somebody who left knows the password, and it still opens the app
	}
	if got := state(); got.State != want || trouble.leaver && !strings.Contains(got.Reason, trouble.words) {
		t.Errorf("the account is %s (%s), want %s", got.State, got.Reason, want)
	}

	// Nothing is half done, and what the vault gives out is what the app takes.
	owner := s.inside(t, "okta", local.OwnerName)
	if given := owner.filled(t, account); given != password || !s.Harbour.Works(username, given) || s.Harbour.Changes() != changes {
		t.Errorf("the vault's password is the first: %v, works: %v, after %d changes", given == password, s.Harbour.Works(username, given), s.Harbour.Changes()-changes)
	}

	// The app is well again.
	s.Harbour.Behave(sampleapp.Behaviour{})
	if !trouble.passes {
		if again := tell[attempt](t, s.API, page+"/rotations", nil); again.ID != stuck.ID {
			t.Errorf("asked again, another rotation %s goes on than %s", again.ID, stuck.ID)
		}
	}
	var done attempt
	s.eventually(3*time.Minute, "the rotation to recover", func() bool {
		done = ask[attempt](t, s.API, "/rotations/"+stuck.ID.String())
		return done.Receipt != nil
	})
	if trouble.leaver && (done.Reason != "deprovision" || done.Receipt.Received.After(asked.Add(time.Minute)) || done.Receipt.Received.Before(asked)) {
		t.Errorf("the receipt does not count from the IdP's request: %+v", done.Receipt)
	}
	current := owner.filled(t, account)
	if current == password || s.Harbour.Works(username, password) || !s.Harbour.Works(username, current) || s.Harbour.Changes() != changes+1 {
		t.Errorf("after %d changes the app takes the first password: %v, the vault's: %v", s.Harbour.Changes()-changes, s.Harbour.Works(username, password), s.Harbour.Works(username, current))
	}
	if got := state(); got.State != "validated" {
		t.Errorf("the account is %s: %s", got.State, got.Reason)
	}
	rotated := s.toldSince(t, s.API, core.AccountPasswordRotated, since, 1)
	if len(rotated) != 1 || rotated[0].Targets[0].ID != account || rotated[0].Data["rotation"] != stuck.ID.String() {
		t.Errorf("rotations told are %+v", rotated)
	}
	told := 0
	for _, one := range s.toldSince(t, s.API, kind, since, 1) {
		if strings.Contains(one.Reason, trouble.words) {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the trouble was told %d times", told)
	}
}
