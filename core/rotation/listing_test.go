package rotation_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/rotation"
)

// listing is the connector to an app whose administrator lists its accounts.
type listing struct {
	*simulated
	says  rotation.Outcome // instead of telling all
	users []rotation.User
	asked int
}

func (l *listing) Users(_ context.Context, _ rotation.Target, admin rotation.Credential, each func(rotation.User) error) rotation.Report {
	l.asked++
	report := l.report(l.says, true)
	report.Stage = rotation.StageSubmit
	if admin.Password.Reveal() != l.app.admin {
		report.Outcome, report.Stage, report.Released = rotation.AdminRejected, rotation.StageSignIn, false
		return report
	}
	for _, user := range l.users {
		if err := each(user); err != nil {
			report.Outcome = rotation.Unknown
			return report
		}
	}
	return report
}

func (s *subject) list(workspace core.ID) error {
	return s.db.Tx(s.t.Context(), func(tx pgx.Tx) error {
		_, err := s.engine().ListLogins(s.t.Context(), tx, system, workspace, s.accountOf(s.account).App)
		return err
	})
}

func (s *subject) logins(unmanaged bool) (usernames []string) {
	s.t.Helper()
	found, err := s.engine().Logins(s.t.Context(), s.db, s.workspace, s.accountOf(s.account).App, unmanaged, "", 100)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, one := range found {
		usernames = append(usernames, one.Username)
	}
	return usernames
}

// What an app has and Postern does not keep is told apart, and what the app has no more is gone with the next list.
func TestTheAccountsOfAnApp(t *testing.T) {
	h := build(t)
	s, other := h.open(t, 0), h.open(t, 1)
	app := s.accountOf(s.account).App
	if err := s.list(s.workspace); core.KindOf(err) != core.KindConflict {
		t.Fatalf("%v", err)
	}
	s.administered()
	unkept := h.open(t, 0)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.accounts.Learn(ctx, tx, system, s.workspace, unkept.account, accounts.Released, "It was taken out of management.")
		return err
	})
	known, released := strings.ToUpper(s.accountOf(s.account).Username), s.accountOf(unkept.account).Username
	talks := &listing{simulated: s.connector, says: rotation.Applied, users: []rotation.User{
		{Username: known}, {Username: released}, {Username: "backdoor", Name: "Nobody knows"}, {Username: "gone", Disabled: true},
	}}
	s.talks = talks
	if err := s.list(s.workspace); err != nil {
		t.Fatal(err)
	}
	if err := s.list(other.workspace); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace: %v", err)
	}
	if err := s.engine().AdvanceListing(t.Context(), s.workspace, app); err != nil {
		t.Fatal(err)
	}
	if got := s.logins(false); len(got) != 4 {
		t.Errorf("there are %v", got)
	}
	if got := s.logins(true); !slices.Equal(got, []string{"backdoor", "gone", released}) {
		t.Errorf("unmanaged are %v", got)
	}
	if found, err := s.engine().Logins(t.Context(), s.db, s.workspace, app, true, "backdoor", 1); err != nil || len(found) != 1 || !found[0].Disabled || !found[0].Account.IsZero() {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := s.engine().Logins(t.Context(), s.db, other.workspace, app, false, "", 100); err != nil || len(found) > 0 {
		t.Errorf("another workspace sees %v, %v", found, err)
	}
	at, err := s.engine().Listing(t.Context(), s.db, s.workspace, app)
	if err != nil || at.Listed == nil || at.Administrator != s.admin || at.NextAttempt.Sub(*at.Listed) < 23*time.Hour {
		t.Fatalf("%+v, %v", at, err)
	}

	// The next day's is queued by itself; one that fails leaves what is known, and says why.
	h.clock.Pass(25 * time.Hour)
	if _, err := s.engine().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	talks.says, talks.users = rotation.Unreachable, talks.users[:1]
	if _, waits := jobs.SnoozeOf(errors.Join(s.engine().AdvanceListing(t.Context(), s.workspace, app), s.engine().AdvanceListing(t.Context(), s.workspace, app))); !waits {
		t.Error("it is not tried again")
	}
	if at, _ := s.engine().Listing(t.Context(), s.db, s.workspace, app); len(s.logins(false)) != 4 || at.Detail == "" {
		t.Errorf("%+v", at)
	}
	h.clock.Pass(time.Hour)
	talks.says = rotation.Applied
	if err := s.engine().AdvanceListing(t.Context(), s.workspace, app); err != nil || !slices.Equal(s.logins(false), []string{known}) {
		t.Errorf("there are %v, %v", s.logins(false), err)
	}
	s.app.admin, talks.asked = "changed", 0
	if err := s.list(s.workspace); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.engine().AdvanceListing(t.Context(), s.workspace, app); err != nil {
			t.Fatal(err)
		}
	}
	if at, _ := s.engine().Listing(t.Context(), s.db, s.workspace, app); talks.asked != 1 || at.NextAttempt != nil || !strings.Contains(at.Detail, "does not let its administrator") {
		t.Errorf("asked %d times: %+v", talks.asked, at)
	}
}

// An app with more accounts than are kept is told so, once, and what is known stays: a list that is cut off hides what is behind.
func TestAnAppWithTooManyAccounts(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	app := s.accountOf(s.account).App
	s.administered()
	talks := &listing{simulated: s.connector, says: rotation.Applied, users: []rotation.User{{Username: "known"}}}
	s.talks = talks
	ask := func() rotation.Listing {
		t.Helper()
		if err := errors.Join(s.list(s.workspace), s.engine().AdvanceListing(t.Context(), s.workspace, app)); err != nil {
			t.Fatal(err)
		}
		at, err := s.engine().Listing(t.Context(), s.db, s.workspace, app)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := ask(); at.Detail != "" || at.NextAttempt == nil {
		t.Fatalf("%+v", at)
	}
	for i := range 100_001 {
		talks.users = append(talks.users, rotation.User{Username: "one of many " + strconv.Itoa(i)})
	}
	if at := ask(); at.NextAttempt != nil || !strings.Contains(at.Detail, "more than 100000 accounts") || !slices.Equal(s.logins(false), []string{"known"}) {
		t.Errorf("%+v, there are %v", at, s.logins(false))
	}
}
