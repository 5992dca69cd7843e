package api_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/core/seal"
)

// walk reads a list to its end, a page at a time.
func (w *world) walk(t *testing.T, path string, limit int) (found []map[string]any, pages int) {
	t.Helper()
	for cursor := ""; ; pages++ {
		address := fmt.Sprintf("%s?limit=%d", path, limit)
		if cursor != "" {
			address += "&cursor=" + url.QueryEscape(cursor)
		}
		got := w.must(t, 200, "GET", address, "")
		if len(items(got)) > limit {
			t.Fatalf("%s: %d items on a page of %d", path, len(items(got)), limit)
		}
		found = append(found, items(got)...)
		next, more := got["next"].(string)
		if !more {
			return found, pages + 1
		}
		cursor = next
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	id := w.must(t, 201, "POST", "/apps", newApp)["id"].(string)
	const count = 7
	for i := range count {
		if i > 0 {
			w.must(t, 201, "POST", "/apps", strings.Replace(newApp, "Wiki", []string{"Wiki", "wiki"}[i%2]+strconv.Itoa(i/2), 1))
		}
		w.must(t, 201, "POST", "/accounts", fmt.Sprintf(`{"app":"%s","username":"login-%d","password":"p","owner":"%s"}`, id, i, w.ana.ID))
		err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
			name := fmt.Sprintf("n%d", i)
			if _, err := w.directory.InsertTeam(t.Context(), tx, directory.Team{Workspace: w.acme.ID, DisplayName: name}); err != nil {
				return err
			}
			_, err := w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.ID, UserName: name, Active: i%2 == 0})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		path, name string
		all        int
	}{{"/accounts", "username", count}, {"/teams", "display_name", count}, {"/users", "user_name", count + 2}, {"/apps", "name", count}} {
		whole, pages := w.walk(t, test.path, 100)
		if len(whole) != test.all || pages != 1 {
			t.Errorf("%s: %d items on %d pages", test.path, len(whole), pages)
		}
		for _, limit := range []int{1, 2, 3, test.all - 1, test.all} {
			found, _ := w.walk(t, test.path, limit)
			if !slices.EqualFunc(found, whole, func(one, other map[string]any) bool {
				return one["id"] == other["id"] && one[test.name] == other[test.name]
			}) {
				t.Errorf("%s, %d at a time: %d items, not the %d of the whole in their order", test.path, limit, len(found), len(whole))
			}
		}
	}
	if got := items(w.must(t, 200, "GET", "/users?cursor=1000", "")); len(got) != 0 {
		t.Errorf("behind the end: %v", got)
	}
	if got := items(w.must(t, 200, "GET", "/users?active=false", "")); len(got) != 3 {
		t.Errorf("%d inactive users", len(got))
	}
	if got := items(w.must(t, 200, "GET", "/users?user_name=ANA", "")); len(got) != 1 || got[0]["id"] != w.ana.ID.String() {
		t.Errorf("ana in capitals: %v", got)
	}
	if got := items(w.must(t, 200, "GET", "/teams?display_name=N3", "")); len(got) != 1 {
		t.Errorf("a team in capitals: %v", got)
	}
}

// login is the app's side of one account.
type login struct {
	lock     sync.Mutex
	password string
}

// Verify implements rotation.Connector.
func (l *login) Verify(_ context.Context, _ rotation.Target, credential rotation.Credential) rotation.Report {
	l.lock.Lock()
	defer l.lock.Unlock()
	report := rotation.Report{Outcome: rotation.Rejected, Stage: rotation.StageVerify, Started: time.Now(), Finished: time.Now(), Hosts: []string{"wiki.example.com"}, Agent: "test/1"}
	if credential.Password.Reveal() == l.password {
		report.Outcome = rotation.Accepted
	}
	return report
}

// Change implements rotation.Changer.
func (l *login) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(context.Context) error) rotation.Report {
	report := l.Verify(ctx, target, current)
	if report.Outcome != rotation.Accepted {
		return report
	}
	if err := release(ctx); err != nil {
		report.Outcome = rotation.NotSent
		return report
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.password, report.Outcome, report.Released, report.Stage = next.Reveal(), rotation.Applied, true, rotation.StageSubmit
	return report
}

// Enrol implements rotation.Enroller.
func (l *login) Enrol(ctx context.Context, target rotation.Target, given rotation.Credential, _ func(context.Context, seal.Secret) (seal.Secret, error)) rotation.Report {
	return l.Verify(ctx, target, given)
}

func TestReceiptAndExposures(t *testing.T) {
	w := newWorld(t)
	_, account, created := w.account(t)
	id, err := core.ParseID(account)
	if err != nil {
		t.Fatal(err)
	}
	app := &login{password: canary}
	w.rotations.Connectors = rotation.Connectors{"browser": app}
	advance := func(text string) {
		t.Helper()
		rotation, err := core.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.rotations.Advance(t.Context(), w.acme.ID, rotation); err != nil {
			t.Fatal(err)
		}
	}
	advance(created["verification"].(string))
	if got := w.must(t, 200, "GET", "/accounts/"+account, ""); got["state"] != "validated" || got["validated"] == nil {
		t.Fatalf("after the verification: %v", got)
	}
	if _, _, err := w.accounts.Fill(t.Context(), core.NewCause(w.ana.Actor(), time.Now()), w.acme.ID, w.ana.ID, id); err != nil {
		t.Fatal(err)
	}
	seen := items(w.must(t, 200, "GET", "/accounts/"+account+"/exposures", ""))
	if len(seen) != 1 || seen[0]["user"] != w.ana.ID.String() || seen[0]["level"] != "filled" || seen[0]["version"] != 1.0 {
		t.Errorf("exposures %v", seen)
	}
	planned := w.must(t, 202, "POST", "/accounts/"+account+"/rotations", "")
	if planned["state"] != "planned" || planned["receipt"] != nil || planned["id"] == created["verification"] {
		t.Errorf("planned %v", planned)
	}
	advance(planned["id"].(string))
	done := w.must(t, 200, "GET", "/rotations/"+planned["id"].(string), "")
	receipt, _ := done["receipt"].(map[string]any)
	if done["state"] != "done" || done["finished"] == nil || receipt["candidate"] != 2.0 || receipt["agent"] != "test/1" ||
		receipt["time_to_lockout"].(float64) <= 0 || len(receipt["events"].([]any)) == 0 {
		t.Errorf("done %v", done)
	}
	var states []string
	for _, step := range done["steps"].([]any) {
		states = append(states, step.(map[string]any)["state"].(string))
	}
	if want := []string{"planned", "stored", "armed", "submitted", "probing", "new_proven", "old_dead", "done"}; !slices.Equal(slices.Compact(states), want) {
		t.Errorf("steps %v", states)
	}
	if app.password == canary {
		t.Error("the password is the old one")
	}
	w.hidden = append(w.hidden, app.password)
	for _, path := range []string{"/rotations/" + planned["id"].(string), "/accounts/" + account, "/accounts/" + account + "/rotations", "/accounts/" + account + "/exposures"} {
		w.must(t, 200, "GET", path, "")
	}
}
