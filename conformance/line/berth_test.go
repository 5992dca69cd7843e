package line

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local/visitor"
	"postern/oidc/devidp/push"
)

// berth is a login of the sample app that one person may use, until the IdP takes them away.
type berth struct {
	*stage
	t        *testing.T
	username string // of the login
	password string // that the person may have seen
	account  core.ID
	idp      *push.Client
	id       string // of the person, as the IdP was told
}

// berths makes a login for each name, and a person who may use it. Every login is proven by a
// sign-in when it returns.
func (s *stage) berths(t *testing.T, usernames ...string) []*berth {
	t.Helper()
	type made struct {
		ID core.ID `json:"id"`
	}
	apps := ask[listed[made]](t, s.API, "/apps").Items
	if len(apps) != 1 {
		t.Fatalf("there are %d apps", len(apps))
	}
	all := make([]*berth, len(usernames))
	for i, username := range usernames {
		b := &berth{stage: s, t: t, username: username, password: "First-voyage-1912-" + username, idp: s.scim("okta", push.Okta)}
		if err := s.Harbour.SetPassword(b.username, b.password); err != nil {
			t.Fatal(err)
		}
		b.account = tell[made](t, s.API, "/accounts", map[string]any{"app": apps[0].ID, "username": username, "password": b.password, "owner": s.owner}).ID
		hired := newcomer(username)
		person, err := s.People.AddPerson(hired.GivenName, hired.FamilyName, hired.Email)
		if err != nil {
			t.Fatal(err)
		}
		hired.ID = person.ID // they can sign in
		pushed, err := b.idp.PushUser(t.Context(), hired)
		b.id = answered(t, pushed, err).ID
		tell[made](t, s.API, "/accounts/"+b.account.String()+"/grants", map[string]any{"user": b.id, "role": "collaborator"})
		all[i] = b
	}
	for _, b := range all {
		s.eventually(3*time.Minute, b.username+" is validated", func() bool { return b.state() == "validated" })
	}
	return all
}

// newcomer is somebody the IdP has just hired.
func newcomer(name string) push.User {
	return push.User{
		ID: core.NewID().String(), UserName: name + "@acme.example", GivenName: name, FamilyName: "Docker",
		DisplayName: name + " Docker", Email: name + "@acme.example",
	}
}

// leaves has the IdP deactivate the person, and returns how long the answer took.
func (b *berth) leaves() time.Duration {
	b.t.Helper()
	pushed, err := b.idp.Deactivate(b.t.Context(), b.id)
	return answered(b.t, pushed, err).Exchanges[0].Duration
}

// state is the account's.
func (b *berth) state() string {
	b.t.Helper()
	return ask[struct {
		State string `json:"state"`
	}](b.t, b.API, "/accounts/"+b.account.String()).State
}

// turn is a rotation as the API tells of it.
type turn struct {
	ID       core.ID    `json:"id"`
	Reason   string     `json:"reason"`
	State    string     `json:"state"`
	Detail   string     `json:"detail"`
	Created  time.Time  `json:"created"`
	Finished *time.Time `json:"finished"`
	Receipt  *struct {
		NewAccepted   time.Time `json:"new_accepted"`
		OldRefused    time.Time `json:"old_refused"`
		Received      time.Time `json:"received"`
		TimeToLockout float64   `json:"time_to_lockout"`
		Candidate     int       `json:"candidate"`
		Agent         string    `json:"agent"`
		Events        []core.ID `json:"events"`
	} `json:"receipt"`
}

// turns are the account's rotations and verifications, newest first.
func (b *berth) turns() []turn {
	b.t.Helper()
	return ask[listed[turn]](b.t, b.API, "/accounts/"+b.account.String()+"/rotations").Items
}

// taken reports whether nothing waits to be taken from the person, read where a dead process cannot
// hide it. While the database is away nobody knows.
func (b *berth) taken() bool {
	var waiting int
	err := b.DB.QueryRow(b.t.Context(), `select count(*) from leavers where user_id = $1`, b.id).Scan(&waiting)
	return err == nil && waiting == 0
}

// rests waits until everything is taken from the person, if they left, and no rotation of the account
// goes on by itself, and returns the newest.
func (b *berth) rests(patience time.Duration) turn {
	b.t.Helper()
	var newest turn
	b.eventually(patience, "everything is taken from the person of "+b.username, b.taken)
	b.eventually(patience, "the rotation of "+b.username+" rests", func() bool {
		newest = b.turns()[0]
		return newest.Finished != nil || newest.State == "blocked"
	})
	return newest
}

// walked are the states of the account's newest rotation, in the order they were committed, read
// where a dead process cannot hide them.
func (b *berth) walked() []string {
	b.t.Helper()
	var states []string
	err := b.DB.QueryRow(b.t.Context(), `
select coalesce(array_agg(s.state order by s.number), '{}') from rotation_steps s
where s.rotation_id = (select id from rotations where account_id = $1 order by created desc, id desc limit 1)`, b.account).Scan(&states)
	if err != nil {
		b.t.Fatal(err)
	}
	return states
}

// stored opens every password the vault holds for the account, by version, and tells the current one.
func (b *berth) stored() (passwords map[int]string, current int) {
	b.t.Helper()
	ctx := b.t.Context()
	key, err := os.ReadFile(b.Folder.In("secrets", "key"))
	if err != nil {
		b.t.Fatal(err)
	}
	keys, err := seal.NewLocalKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	people := &directory.Directory{DB: b.DB}
	slice := &accounts.Accounts{DB: b.DB, Vault: &vault.Vault{DB: b.DB, Keys: keys}, Directory: people}
	workspace, err := people.WorkspaceBySlug(ctx, b.DB, "acme")
	if err != nil {
		b.t.Fatal(err)
	}
	versions, err := slice.Versions(ctx, b.DB, workspace.ID, b.account)
	if err != nil {
		b.t.Fatal(err)
	}
	passwords = map[int]string{}
	for _, version := range versions {
		opened, err := slice.Password(ctx, b.DB, workspace.ID, b.account, version.Version)
		if err != nil {
			b.t.Fatal(err)
		}
		passwords[version.Version] = opened.Reveal()
		if version.Label == accounts.LabelCurrent {
			current = version.Version
		}
	}
	return passwords, current
}

// working are the stored versions that the app takes, asked without a sign-in.
func (b *berth) working() []int {
	b.t.Helper()
	var found []int
	passwords, _ := b.stored()
	for version, password := range passwords {
		if b.Harbour.Works(b.username, password) {
			found = append(found, version)
		}
	}
	return found
}

// isLockedOut checks from outside that the password the person knew is dead and the vault's one opens the app.
func (b *berth) isLockedOut(owner *guest) {
	b.t.Helper()
	given := owner.filled(b.t, b.account)
	if given == b.password {
		b.t.Fatalf("%s: the password is still the one the person knew", b.username)
	}
	for password, want := range map[string]bool{given: true, b.password: false} {
		in, err := letsIn(b.t.Context(), b.AppURL, b.username, password)
		if err != nil || in != want {
			b.t.Fatalf("%s: the app lets in: %t, want %t (%v)", b.username, in, want, err)
		}
	}
	passwords, current := b.stored()
	if working := b.working(); len(working) != 1 || working[0] != current || passwords[current] != given {
		b.t.Fatalf("%s: the app takes versions %v, the current one is %d of %d", b.username, working, current, len(passwords))
	}
	if state := b.state(); state != "validated" {
		b.t.Fatalf("%s: the account is %s", b.username, state)
	}
}

// letsIn tries a login at the app's own form.
func letsIn(ctx context.Context, app, username, password string) (bool, error) {
	someone := visitor.New()
	page, err := someone.Get(ctx, app+"/sign-in")
	if err != nil {
		return false, err
	}
	form, found := page.Form("username", "password")
	if !found {
		return false, fmt.Errorf("the app shows no sign-in form (status %d)", page.Status)
	}
	if page, err = someone.Submit(ctx, page, form, map[string]string{"username": username, "password": password}); err != nil {
		return false, err
	}
	_, again := page.Form("username", "password")
	return page.Status == http.StatusOK && !again, nil
}
