package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"postern/deploy/local"
	"postern/deploy/local/visitor"
)

// Step is one thing that happened and what was seen of it from outside.
type Step struct {
	At     time.Duration // since the play began
	What   string
	Seen   string
	Failed bool
}

// Scene is the main job with one person, through one kind of IdP.
type Scene struct {
	Title  string
	Name   string // what people call the person
	Kind   string // of the connection: okta or entra
	Person string // user name at the IdP
	Team   string
	Login  string // the shared login of the sample app
}

// Scenes are the main job in Okta's shapes and in Entra's.
func Scenes() []Scene {
	return []Scene{
		{"Ana leaves: Okta deactivates her", "Ana", "okta", "ana.lima@acme.example", "Finance", "billing"},
		{"Ben leaves: Entra ID disables him", "Ben", "entra", "ben.okoro@acme.example", "Support", "operations"},
	}
}

// run is one play under way.
type run struct {
	Scene
	stack local.Descriptor
	api   API
	began time.Time
	tell  func(Step)

	person   person
	account  Account
	guest    *visitor.Visitor
	password string // what the person was given
	left     time.Time
	rotation Rotation
}

// Play plays the scene and returns the time to lockout: from the IdP's request to the moment the
// app refused the old password, as the receipt has it and the app confirmed. Every step is told as
// it was verified; the first that could not be is told as failed and ends the play.
func (s Scene) Play(ctx context.Context, stack local.Descriptor, tell func(Step)) (time.Duration, error) {
	r := &run{Scene: s, stack: stack, api: API{URL: stack.Gateway, Token: stack.APIToken}, began: time.Now(), tell: tell, guest: visitor.New()}
	for _, step := range []struct {
		what string
		do   func(context.Context) (string, error)
	}{
		{"the IdP pushes " + s.Name, r.pushPerson},
		{"the IdP pushes the team " + s.Team, r.pushTeam},
		{"an admin shares a login with the team", r.share},
		{s.Name + " signs in at Postern through the IdP", r.signIn},
		{s.Name + " uses the login and is in the app", r.use},
		{"the IdP deactivates " + s.Name, r.leave},
		{s.Name + "'s session at Postern is dead", r.sessionIsDead},
		{"nothing is left for " + s.Name + " to use", r.grantIsGone},
		{"a browser replaces the password in the app", r.rotated},
		{"the app refuses the password " + s.Name + " knew", r.oldIsRefused},
		{"the app accepts the new one", r.newIsAccepted},
		{"the SIEM holds the story, without a gap", r.told},
	} {
		seen, err := step.do(ctx)
		tell(Step{At: time.Since(r.began), What: step.what, Seen: seen, Failed: err != nil})
		if err != nil {
			return 0, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return time.Duration(r.rotation.Receipt.TimeToLockout * float64(time.Second)), nil
}

// pushPerson assigns the person at the IdP. Somebody who left in an earlier play is taken back
// first: a new access event, which brings nothing back by itself.
func (r *run) pushPerson(ctx context.Context) (string, error) {
	if err := press(ctx, r.stack.IdP, "reactivate", map[string]string{"name": r.Person}); err != nil {
		return "", err
	}
	if err := press(ctx, r.stack.IdP, "push", map[string]string{"target": r.Kind, "name": r.Person}); err != nil {
		return "", err
	}
	found, err := user(ctx, r.api, r.Kind, r.Person)
	if err != nil {
		return "", err
	}
	r.person = found
	if !found.Active {
		return "", fmt.Errorf("the user is there but not active")
	}
	return r.Person + ", by SCIM as " + map[string]string{"okta": "Okta", "entra": "Entra ID"}[r.Kind] + " sends it", nil
}

func (r *run) pushTeam(ctx context.Context) (string, error) {
	if err := press(ctx, r.stack.IdP, "push-team", map[string]string{"target": r.Kind, "name": r.Team}); err != nil {
		return "", err
	}
	if _, err := r.team(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is in it", r.Name), nil
}

// team finds the person's own team.
func (r *run) team(ctx context.Context) (named, error) {
	return first(ctx, r.api, "/teams?member="+r.person.ID.String(), "team with this member", func(t named) bool { return t.DisplayName == r.Team })
}

func (r *run) share(ctx context.Context) (string, error) {
	team, err := r.team(ctx)
	if err != nil {
		return "", err
	}
	if r.account, err = account(ctx, r.api, r.Login); err != nil {
		return "", err
	}
	if err := validated(ctx, r.api, r.account); err != nil {
		return "", err
	}
	err = r.api.Call(ctx, http.MethodPost, "/accounts/"+r.account.ID.String()+"/grants", map[string]any{"team": team.ID, "role": "collaborator"}, nil)
	return AppName + ": " + r.Login + ", as collaborators", err
}

func (r *run) signIn(ctx context.Context) (string, error) {
	page, err := signIn(ctx, r.guest, r.stack.SignIn[r.Kind], "/", r.Person)
	if err != nil {
		return "", err
	}
	if page.Status != http.StatusOK || page.URL.Host != host(r.stack.Gateway) {
		return "", fmt.Errorf("ended at %s with status %d", page.URL, page.Status)
	}
	return "OpenID Connect: code, PKCE, nonce", nil
}

func (r *run) use(ctx context.Context) (string, error) {
	password, err := fill(ctx, r.guest, r.stack.Gateway, r.account.ID)
	if err != nil {
		return "", err
	}
	r.password = password
	in, err := opens(ctx, r.stack.App, r.Login, password)
	if err == nil && !in {
		err = fmt.Errorf("the app refused the password Postern gave")
	}
	return "the app let " + r.Login + " in", err
}

func (r *run) leave(ctx context.Context) (string, error) {
	r.left = time.Now()
	if err := press(ctx, r.stack.IdP, "deactivate", map[string]string{"name": r.Person}); err != nil {
		return "", err
	}
	answered := time.Since(r.left)
	found, err := user(ctx, r.api, r.Kind, r.Person)
	if err == nil && found.Active {
		err = fmt.Errorf("Postern still has the user active")
	}
	return fmt.Sprintf("the IdP had its answer after %d ms", answered.Milliseconds()), err
}

func (r *run) sessionIsDead(ctx context.Context) (string, error) {
	page, err := r.guest.Get(ctx, r.stack.Gateway+"/accounts/"+r.account.ID.String())
	if err != nil {
		return "", err
	}
	if page.URL.Host == host(r.stack.Gateway) && page.URL.Path == "/accounts/"+r.account.ID.String() && page.Status == http.StatusOK {
		return "", fmt.Errorf("the session still opens the account")
	}
	return "the same cookie no longer opens the page", nil
}

func (r *run) grantIsGone(ctx context.Context) (string, error) {
	var usable page[Account]
	if err := r.api.Call(ctx, http.MethodGet, "/users/"+r.person.ID.String()+"/accounts", nil, &usable); err != nil {
		return "", err
	}
	if len(usable.Items) > 0 {
		return "", fmt.Errorf("%d accounts are still open to the leaver", len(usable.Items))
	}
	return "grants and memberships give nothing any more", nil
}

// rotated waits for the rotation the leaver's request set off.
func (r *run) rotated(ctx context.Context) (string, error) {
	err := until(ctx, 3*time.Minute, "the rotation to be done", func(ctx context.Context) (bool, error) {
		var found page[Rotation]
		if err := r.api.Call(ctx, http.MethodGet, "/accounts/"+r.account.ID.String()+"/rotations", nil, &found); err != nil {
			return false, err
		}
		for _, one := range found.Items {
			if one.Receipt != nil && !one.Receipt.Received.Before(r.left) {
				r.rotation = one
				return true, nil
			}
			if one.State == "blocked" {
				return false, fmt.Errorf("it is blocked: %s", one.Detail)
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, which reached %s alone", r.rotation.Receipt.Agent, strings.Join(r.rotation.Receipt.Hosts, ", ")), nil
}

func (r *run) oldIsRefused(ctx context.Context) (string, error) {
	in, err := opens(ctx, r.stack.App, r.Login, r.password)
	if err == nil && in {
		err = fmt.Errorf("the app still lets the old password in")
	}
	return "tried at the app's own form", err
}

// newIsAccepted has the account's owner look at the new password and try it.
func (r *run) newIsAccepted(ctx context.Context) (string, error) {
	owner := visitor.New()
	if _, err := signIn(ctx, owner, r.stack.SignIn["okta"], "/", r.stack.Owner); err != nil {
		return "", err
	}
	password, err := fill(ctx, owner, r.stack.Gateway, r.account.ID)
	if err != nil {
		return "", err
	}
	if password == r.password {
		return "", fmt.Errorf("the password is still the old one")
	}
	in, err := opens(ctx, r.stack.App, r.Login, password)
	if err == nil && !in {
		err = fmt.Errorf("the app refuses the new password")
	}
	return "its owner signed in with it", err
}
