package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
)

// user finds somebody of acme.
func (w *world) user(t testing.TB, name string) core.ID {
	t.Helper()
	found, _, err := w.directory.Users(t.Context(), w.db, w.acme.ID, directory.UserQuery{UserName: name})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0].ID
}

func TestAnAdministratorDeprovisionsByHand(t *testing.T) {
	w := newWorld(t)
	page := func(who string) string { return "/users/" + w.people[who].ID.String() }
	w.events(t)
	w.expect(t, "zoe", "/users", 200, []string{page("ana")}, nil)
	w.expect(t, "zoe", page("ben"), 200, []string{"Ben &lt;b&gt;Okoye", "Deprovision…", ">Active<", "Okta", "Live sessions", "<dd>1</dd>", "provisioned"}, []string{page("ben") + "/deprovision", "<b>Okoye"})
	w.expect(t, "zoe", page("ben")+"?deprovision=1", 200, []string{"Take everything from Ben &lt;b&gt;Okoye", "Okta is not told", page("ben") + "/deprovision"}, nil)
	w.expect(t, "zoe", page("zoe")+"?deprovision=1", 200, []string{"Zoe Adler"}, []string{"Deprovision…", "/deprovision"})
	for _, path := range []string{page("ben"), page("ana")} {
		w.expect(t, "ana", path, 403, nil, []string{"Live sessions"})
	}
	w.expect(t, "gus", page("ana"), 404, nil, []string{"Ana"})
	w.expect(t, "zoe", page("gus"), 404, nil, []string{"Gus"})
	for _, test := range []struct {
		who, whom string
		headers   []string
		status    int
	}{
		{"ana", "ben", nil, 403}, {"gus", "ben", nil, 404}, {"", "ben", nil, 401}, {"zoe", "ben", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"zoe", "zoe", nil, 403}, {"zoe", "ben", nil, 303}, {"zoe", "ben", nil, 303},
	} {
		if answer, body := w.ask(t, test.who, http.MethodPost, page(test.whom)+"/deprovision", url.Values{}, test.headers...); answer.StatusCode != test.status {
			t.Errorf("%s of %s %v: %d %s", test.who, test.whom, test.headers, answer.StatusCode, body)
		}
	}
	w.settle(t)
	w.expect(t, "zoe", page("ben"), 200, []string{">Deactivated<", "deprovisioned", "<dd>0</dd>", "Is something left to take?"}, nil)
	var grants int
	const live = `select count(*) from grants where workspace_id = $1 and user_id = $2 and revoked is null`
	if err := w.db.QueryRow(t.Context(), live, w.acme.ID, w.people["ben"].ID).Scan(&grants); err != nil || grants != 0 {
		t.Error(grants, err)
	}
	if answer, _ := w.ask(t, "ben", http.MethodGet, "/", nil); answer.StatusCode == http.StatusOK {
		t.Error("who was deprovisioned is still signed in")
	}
}

// After a hold was rejected, somebody in it may have left all the same.
func TestWhoLeftAfterAllIsDeprovisionedByHand(t *testing.T) {
	w := newWorld(t)
	hold := w.depart(t, 4)
	if err := w.lifecycle.RejectHold(t.Context(), core.NewCause(core.System, time.Now()), w.acme.ID, hold.ID); err != nil {
		t.Fatal(err)
	}
	leaver := w.user(t, "leaver-b@acme.example")
	w.expect(t, "zoe", "/holds/"+hold.ID.String(), 200, []string{"/users/" + leaver.String(), ">Kept<"}, []string{">Taken<"})
	if answer, body := w.ask(t, "zoe", http.MethodPost, "/users/"+leaver.String()+"/deprovision", url.Values{}); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, body)
	}
	w.expect(t, "zoe", "/holds/"+hold.ID.String(), 200, []string{">Kept<", ">Taken<"}, nil)
}

func TestAnAdministratorGivesARole(t *testing.T) {
	w := newWorld(t)
	page := func(who string) string { return "/users/" + w.people[who].ID.String() }
	give := func(who, whom, role string, status int) {
		t.Helper()
		w.post(t, who, page(whom)+"/role", url.Values{"role": {role}}, status)
	}
	has := func(whom string, want directory.Role) {
		t.Helper()
		if found, err := w.directory.User(t.Context(), w.db, w.people[whom].Workspace, w.people[whom].ID); err != nil || found.Role != want {
			t.Errorf("%s is %s, %v; want %s", whom, found.Role, err, want)
		}
	}
	w.expect(t, "zoe", page("ben"), 200, []string{"Role in the workspace", `<option value="user" selected>`}, []string{"Give them the role"})
	w.expect(t, "zoe", page("ben")+"?role=login_only", 200, []string{"login only instead of user?", "Give them the role"}, nil)
	w.expect(t, "zoe", page("ben")+"?role=user", 200, nil, []string{"Give them the role"})
	w.expect(t, "zoe", page("ben")+"?role=king", 200, nil, []string{"Give them the role"})
	has("ben", directory.RoleUser)
	give("ana", "ben", "admin", 403)
	give("gus", "ben", "login_only", 404)
	give("zoe", "gus", "login_only", 404)
	has("ben", directory.RoleUser)
	has("gus", w.people["gus"].Role)
	give("zoe", "ben", "login_only", 303)
	has("ben", directory.RoleLoginOnly)
	// Whoever is an admin gives no role above their own, nor any to somebody above them.
	if _, err := w.db.Exec(t.Context(), `update users set role = case id when $1 then 'owner' else 'admin' end where id in ($1, $2)`, w.people["ana"].ID, w.people["zoe"].ID); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", page("ana"), 200, nil, []string{"Role in the workspace"})
	w.expect(t, "zoe", page("ben"), 200, []string{`<option value="admin">`}, []string{`<option value="owner">`})
	give("zoe", "ana", "user", 403)
	give("zoe", "ben", "owner", 403)
	has("ana", directory.RoleOwner)
	has("ben", directory.RoleLoginOnly)
}
