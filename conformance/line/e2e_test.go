package line

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/directory"
	"postern/deploy/local"
	"postern/deploy/local/apps"
	"postern/deploy/local/demo"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
)

// colleague is somebody whose access ends, in the way their IdP says so.
type colleague struct {
	given, family string
	kind          string     // of the connection
	style         push.Style // of its requests
	logout        bool       // all sessions are ended by Universal Logout; nobody is deactivated
	team          string
	logins        []*login // shared with the team
	alone         *login   // shared with the person alone, perhaps

	person devidp.Person
	idp    *idp
	user   core.ID
	guest  *guest
	left   time.Time
	story  core.ID // named in the IdP's answer
}

// all are the logins whose passwords the colleague knows.
func (l *colleague) all() []*login {
	if l.alone == nil {
		return l.logins
	}
	return append(slices.Clone(l.logins), l.alone)
}

// login is a shared account of a real application.
type login struct {
	site     *apps.Site
	username string
	password string // at first
	account  core.ID
	current  string // at last, as the owner was given it
}

// TestTheWholeLine lets five people leave, each in the shape of another kind of IdP, and looks at
// what became of it from outside: at the applications' own forms, at the session's cookie, at the
// API, at the receiver.
func TestTheWholeLine(t *testing.T) {
	s := open(t, worldOptions{RealKafka: true})
	wiki, blog := s.runs(t, "DokuWiki", apps.StartDokuWiki), s.runs(t, "WordPress", apps.StartWordPress)
	finance, ledger := &login{site: blog, username: "finance"}, &login{site: wiki, username: "ledger"}
	mooring, newsroom := &login{site: wiki, username: "mooring"}, &login{site: blog, username: "newsroom"}
	signals, nightwatch := &login{site: wiki, username: "signals"}, &login{site: wiki, username: "nightwatch"}
	s.adds(t, finance, ledger, mooring, newsroom, signals, nightwatch)
	stranger := s.stranger(t)

	leavers := []*colleague{
		{given: "Ana", family: "Lima", kind: "okta", style: push.Okta, team: "Ledger room", logins: []*login{finance}, alone: ledger},
		{given: "Bruno", family: "Sá", kind: "okta", style: push.OktaWizard, team: "Moorings", logins: []*login{mooring}},
		{given: "Chloé", family: "Martin", kind: "entra", style: push.Entra, team: "Newsroom", logins: []*login{newsroom}},
		{given: "Emil", family: "Holm", kind: "entra", style: push.EntraCompliant, team: "Signal tower", logins: []*login{signals}},
		{given: "Fatou", family: "Diop", kind: "okta", style: push.Okta, logout: true, team: "Night watch", logins: []*login{nightwatch}},
	}
	for _, l := range leavers {
		s.join(t, l)
	}
	stranger.join(t, "gil@globex.example")
	for _, l := range leavers {
		s.leave(t, l)
	}
	for _, l := range leavers {
		t.Run(l.given+" by "+string(l.style), func(t *testing.T) {
			s.lockedOut(t, l)
			s.goesOn(t, l)
		})
	}
	stranger.leave(t, "gil@globex.example")

	t.Run("the receiver's copy", func(t *testing.T) {
		records := s.proven(t, s.workspace(t), s.API)
		for _, l := range leavers {
			s.toldOf(t, records, l)
		}
		t.Logf("%d events of one workspace, %d of the other", len(records), len(s.proven(t, stranger.workspace, stranger.API)))
	})
	t.Run("no secret anywhere", func(t *testing.T) {
		if lacks := s.secrets.lacks("the first password of", "a password given to", "the SCIM token of okta", "the SCIM token of entra", "the API token",
			"the secret hec", "the secret key", "the bytes of the secret audit-key", "the secret idp-client-okta", "the database's password", "a session of",
			"an authorization code for", "a logout token", "the placeholder password", "the other workspace's password"); len(lacks) > 0 {
			t.Errorf("none was planted: %v", lacks)
		}
		s.clean(t, finance.username)
	})
	s.stop()
	if left := s.secrets.in([]byte(s.log.String())); len(left) > 0 {
		t.Errorf("the log of the stop holds %v", left)
	}
}

// runs starts an application of the machine's own packages.
func (s *stage) runs(t *testing.T, name string, start func(context.Context, string, apps.Options) (*apps.Site, error)) *apps.Site {
	t.Helper()
	site, err := start(context.WithoutCancel(t.Context()), s.Folder.In("sites"), apps.Options{})
	partstest.Need(t, name, err)
	t.Cleanup(func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	})
	return site
}

// adds makes logins in the applications, with passwords that are awkward to handle, and tells
// Postern of the applications and the logins. It waits until a sign-in has proven each.
func (s *stage) adds(t *testing.T, logins ...*login) {
	t.Helper()
	made := map[*apps.Site]core.ID{}
	for _, l := range logins {
		l.password = `Tide&"` + rand.Text()[:10] + `"<é>100%+` + l.username
		if l.site.Name == "WordPress" { // which hashes its form's quotes with a backslash before them
			l.password = strings.ReplaceAll(l.password, `"`, "")
		}
		s.secrets.plant("the first password of "+l.username, l.password)
		if err := l.site.SetPassword(t.Context(), l.username, l.password); err != nil {
			t.Fatal(err)
		}
		l.opens(t, l.password, true)
		if made[l.site].IsZero() {
			address, err := url.Parse(l.site.URL)
			if err != nil {
				t.Fatal(err)
			}
			made[l.site] = tell[struct{ ID core.ID }](t, s.API, "/apps", map[string]any{
				"name": l.site.Name, "domains": []string{address.Host}, "sign_in_url": l.site.SignInURL, "change_url": l.site.ChangeURL,
				"settings": map[string]any{"screenshot": true}, // more pictures than anybody needs, to look for secrets in
			}).ID
		}
		l.account = tell[demo.Account](t, s.API, "/accounts", map[string]any{
			"app": made[l.site], "username": l.username, "password": l.password, "owner": s.owner,
		}).ID
	}
	for _, l := range logins {
		s.eventually(3*time.Minute, l.username+" to be validated", func() bool {
			found := ask[demo.Account](t, s.API, "/accounts/"+l.account.String())
			if found.State == "desynced" {
				t.Fatalf("%s is %s: %s", l.username, found.State, found.Reason)
			}
			return found.State == "validated"
		})
	}
}

// opens checks at the application's own form whether it lets the login in.
func (l *login) opens(t testing.TB, password string, want bool) {
	t.Helper()
	got, err := l.site.Accepts(t.Context(), l.username, password)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("%s lets %s in: %v, want %v", l.site.Name, l.username, got, want)
	}
}

// join pushes a person and their team, shares the logins, and has the person sign in and use them.
func (s *stage) join(t *testing.T, l *colleague) {
	t.Helper()
	email := strings.ToLower(l.given) + "@acme.example"
	var err error
	if l.person, err = s.People.AddPerson(l.given, l.family, strings.ReplaceAll(email, "é", "e")); err != nil {
		t.Fatal(err)
	}
	l.idp = s.idp(l.kind, l.style)
	sent := push.User{
		ID: l.person.ID, UserName: l.person.UserName, GivenName: l.given, FamilyName: l.family, DisplayName: l.person.DisplayName, Email: l.person.Email,
	}
	if l.style.IsEntra() {
		sent.ID = l.person.ObjectID
	}
	result, err := l.idp.PushUser(t.Context(), sent)
	id := answered(t, result, err).ID
	// A second push finds the first: IdPs repeat themselves.
	result, err = l.idp.PushUser(t.Context(), sent)
	if again := answered(t, result, err).ID; again != id {
		t.Fatalf("%s was pushed twice and has two ids: %s, %s", l.given, id, again)
	}
	if l.user, err = core.ParseID(id); err != nil {
		t.Fatal(err)
	}
	result, err = l.idp.PushTeam(t.Context(), push.Team{ID: rand.Text(), DisplayName: l.team}, []push.Member{{ID: id, UserName: l.person.UserName}})
	team := answered(t, result, err).ID
	for _, shared := range l.logins {
		tell[any](t, s.API, "/accounts/"+shared.account.String()+"/grants", map[string]any{"team": team, "role": "collaborator"})
	}
	if l.alone != nil {
		tell[any](t, s.API, "/accounts/"+l.alone.account.String()+"/grants", map[string]any{"user": id, "role": "collaborator"})
	}
	l.guest = s.inside(t, l.kind, l.person.UserName)
	for _, shared := range l.all() {
		if seen := l.guest.filled(t, shared.account); seen != shared.password {
			t.Fatalf("%s was given another password for %s than the application has", l.given, shared.username)
		}
		if !l.guest.alive(t, shared.account) {
			t.Fatalf("the session of %s is dead before anything happened", l.given)
		}
	}
}

// leave has the IdP end the person's access, and looks at once at what the answer promises.
func (s *stage) leave(t *testing.T, l *colleague) {
	t.Helper()
	since := last(t, s.API)
	l.left = time.Now()
	if l.logout {
		token, err := s.People.LogoutToken(s.Stack.Logout[l.kind], local.ClientID(directory.ConnectionKind(l.kind)))
		if err != nil {
			t.Fatal(err)
		}
		s.secrets.plant("a logout token", token.Reveal())
		answer := s.send(t, sent{
			Path: s.Stack.Logout[l.kind], Token: token.Reveal(), Type: "application/json",
			Body: `{"sub_id":{"format":"email","email":"` + l.person.Email + `"}}`,
		})
		if answer.status != http.StatusNoContent {
			t.Fatalf("the logout was answered %d %s", answer.status, answer.text)
		}
		t.Logf("%s: answered after %s", l.given, time.Since(l.left).Round(time.Millisecond))
	} else {
		result, err := l.idp.Deactivate(t.Context(), l.user.String())
		answered(t, result, err)
		l.story = l.idp.story(t)
	}

	for _, shared := range l.all() {
		if l.guest.alive(t, shared.account) {
			t.Errorf("the session of %s opens %s after the IdP was answered", l.given, shared.username)
		}
	}
	usable := ask[listed[demo.Account]](t, s.API, "/users/"+l.user.String()+"/accounts").Items
	known := ask[person](t, s.API, "/users/"+l.user.String())
	if known.Active != l.logout || l.logout && known.Sessions != 0 {
		t.Errorf("%s is active: %v, with %d sessions", l.given, known.Active, known.Sessions)
	}
	s.eventually(time.Minute, "the sessions of "+l.given+" to be ended", func() bool { return ask[person](t, s.API, "/users/"+l.user.String()).Sessions == 0 })
	if l.logout {
		l.story = s.toldSince(t, s.API, core.SignalAccepted, since, 1)[0].Correlation
		if len(usable) != len(l.all()) {
			t.Errorf("a logout took grants: %s may use %d accounts", l.given, len(usable))
		}
		return
	}
	if len(usable) != 0 {
		t.Errorf("%s may still use %d accounts", l.given, len(usable))
	}
	if l.alone != nil {
		s.eventually(time.Minute, "the grant of "+l.given+" to be taken", func() bool {
			grants := ask[listed[struct{ User core.ID }]](t, s.API, "/accounts/"+l.alone.account.String()+"/grants").Items
			return !slices.ContainsFunc(grants, func(grant struct{ User core.ID }) bool { return grant.User == l.user })
		})
	}
	if again := s.enter(t, l.kind, l.person.UserName); again.cookie != "" || again.landed.Status != http.StatusForbidden {
		t.Errorf("%s signs in again: status %d", l.given, again.landed.Status)
	}
}

// lockedOut waits for the rotations and checks their receipts and, at the application's own form,
// what they say: the old password is refused and the new one accepted.
func (s *stage) lockedOut(t *testing.T, l *colleague) {
	reason := "deprovision"
	if l.logout {
		reason = "logout"
	}
	for _, shared := range l.all() {
		var done demo.Rotation
		s.eventually(4*time.Minute, shared.username+" to be rotated", func() bool {
			for _, one := range s.rotations(t, shared.account) {
				if one.State == "blocked" {
					t.Fatalf("the rotation of %s is blocked: %s", shared.username, one.Detail)
				}
				if one.Receipt != nil {
					done = one
					return true
				}
			}
			return false
		})
		receipt := done.Receipt
		switch site, _ := url.Parse(shared.site.URL); {
		case done.Correlation != l.story:
			t.Errorf("%s: the rotation belongs to the story %s, the IdP was told %s", shared.username, done.Correlation, l.story)
		case receipt.Received.Before(l.left) || !receipt.NewAccepted.After(receipt.Received) || !receipt.OldRefused.After(receipt.NewAccepted):
			t.Errorf("%s: received %s, new accepted %s, old refused %s", shared.username, receipt.Received, receipt.NewAccepted, receipt.OldRefused)
		case len(receipt.Hosts) != 1 || receipt.Hosts[0] != site.Hostname() || !strings.Contains(receipt.Agent, "Chrome"):
			t.Errorf("%s: %s reached %v", shared.username, receipt.Agent, receipt.Hosts)
		}
		if why := ask[struct{ Reason string }](t, s.API, "/rotations/"+done.ID.String()).Reason; why != reason {
			t.Errorf("%s was rotated because of %s, want %s", shared.username, why, reason)
		}
		shared.opens(t, shared.password, false)
		shared.current = s.inside(t, "okta", local.OwnerName).filled(t, shared.account)
		if shared.current == shared.password {
			t.Errorf("%s has the same password as before", shared.username)
		}
		shared.opens(t, shared.current, true)
		t.Logf("%s at %s: locked out %.1f s after the IdP's request", shared.username, shared.site.Name, receipt.TimeToLockout)
	}
}

// goesOn checks what the person can do from here: nothing, or, after a mere logout, sign in anew.
func (s *stage) goesOn(t *testing.T, l *colleague) {
	again := s.enter(t, l.kind, l.person.UserName)
	if !l.logout {
		if again.cookie != "" {
			t.Errorf("%s signs in again", l.given)
		}
		return
	}
	if again.cookie == "" {
		t.Fatalf("%s cannot sign in anew: status %d", l.given, again.landed.Status)
	}
	for _, shared := range l.all() {
		if again.filled(t, shared.account) != shared.current {
			t.Errorf("%s is given another password than the owner", l.given)
		}
		if l.guest.alive(t, shared.account) {
			t.Errorf("the old session of %s is alive again", l.given)
		}
	}
}

func (s *stage) workspace(t testing.TB) core.ID {
	t.Helper()
	return events(t, s.API, url.Values{"type": {string(core.WorkspaceCreated)}})[0].Event.Workspace
}

// toldOf checks that one correlation id leads, in the receiver's copy, from the IdP's request to the
// last rotation.
func (s *stage) toldOf(t *testing.T, records held, l *colleague) {
	t.Helper()
	story := records.story(l.story)
	if len(story) == 0 {
		t.Fatalf("%s: nothing is told of the story %s", l.given, l.story)
	}
	times := map[core.EventType]int{}
	rotated := map[core.ID]bool{}
	for _, event := range story {
		times[event.Type]++
		if event.Actor.Kind != core.ActorConnection || event.Actor.ID != s.connection(t, l.kind) {
			t.Errorf("%s: %s was done by %+v", l.given, event.Type, event.Actor)
		}
		if event.Type == core.AccountPasswordRotated {
			for _, target := range event.Targets {
				rotated[target.ID] = true
			}
			if event.Outcome != core.Success || event.Data["new_accepted"] == "" || event.Data["old_refused"] == "" {
				t.Errorf("%s: %+v", l.given, event)
			}
		}
	}
	first, last := core.UserDeprovisioned, core.AccountPasswordRotated
	if l.logout {
		first = core.UserLoggedOut
	}
	count := len(l.all())
	if times[first] != 1 || times[core.SessionEnded] != 1 || times[core.RotationPlanned] != count || times[core.RotationStarted] != count || times[last] != count {
		t.Errorf("%s: the story %s has %v", l.given, l.story, times)
	}
	if unshared := times[core.AccountUnshared]; (l.alone != nil) != (unshared == 1) {
		t.Errorf("%s: %d grants were revoked", l.given, unshared)
	}
	end := story[len(story)-1].Type
	if end == core.CertificateIssued { // it follows as soon as all is dead
		end = story[len(story)-2].Type
	}
	if end != last {
		t.Errorf("%s: the story ends with %s", l.given, end)
	}
	for _, shared := range l.all() {
		if !rotated[shared.account] {
			t.Errorf("%s: the rotation of %s is not told", l.given, shared.username)
		}
	}
}
