package directory_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

// signIn starts a session of Ana's that the IdP vouched for at a time.
func (w *world) signIn(t testing.TB, authenticated time.Time) (directory.Session, seal.Secret, error) {
	var session directory.Session
	var token seal.Secret
	err := w.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		session, token, err = w.StartSession(t.Context(), tx, w.acme.cause, directory.NewSession{
			Workspace: w.acme.workspace.ID, User: w.acme.ana.ID, Connection: w.acme.connection.ID, Issuer: "iss", Subject: "sub", SID: "s1",
			Authenticated: authenticated,
		})
		return err
	})
	return session, token, err
}

func (w *world) mustSignIn(t testing.TB) (directory.Session, seal.Secret) {
	t.Helper()
	session, token, err := w.signIn(t, w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return session, token
}

func (w *world) endSessions(t testing.TB) int {
	t.Helper()
	var count int
	w.tx(t, func(tx pgx.Tx) (err error) {
		count, err = w.EndSessions(t.Context(), tx, w.acme.cause, w.acme.workspace.ID, w.acme.ana.ID, "logged out")
		return err
	})
	return count
}

func TestSession(t *testing.T) {
	w := open(t)
	session, token := w.mustSignIn(t)
	got, user, err := w.Authenticate(t.Context(), token)
	if err != nil || !cmp.Equal(got, session) || user.ID != w.acme.ana.ID {
		t.Fatal(err, cmp.Diff(session, got))
	}
	for _, bad := range []string{"", session.ID.String(), token.Reveal() + "x"} {
		_, _, err := w.Authenticate(t.Context(), seal.NewSecret(bad))
		coretest.Wants(t, err, core.KindUnauthenticated, "")
	}
	end := func(workspace core.ID) func(tx pgx.Tx) error {
		return func(tx pgx.Tx) error {
			return w.EndSession(t.Context(), tx, w.acme.cause, workspace, session.ID, "signed out")
		}
	}
	w.refused(t, core.KindNotFound, "", end(w.other.workspace.ID))
	w.tx(t, end(w.acme.workspace.ID))
	w.tx(t, end(w.acme.workspace.ID))
	_, _, err = w.Authenticate(t.Context(), token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	if began, ended := w.events(t, w.acme.workspace.ID, core.SessionStarted), w.events(t, w.acme.workspace.ID, core.SessionEnded); began != 1 || ended != 1 {
		t.Fatalf("%d started, %d ended", began, ended)
	}
}

func TestSessionLimits(t *testing.T) {
	w := open(t)
	_, token := w.mustSignIn(t)
	live := func() bool {
		_, _, err := w.Authenticate(t.Context(), token)
		if err != nil && core.KindOf(err) != core.KindUnauthenticated {
			t.Fatal(err)
		}
		return err == nil
	}
	for range 24 { // used often enough, it lives for almost twelve hours
		w.clock.Pass(29 * time.Minute)
		if !live() {
			t.Fatal("a session in use was idle")
		}
	}
	w.clock.Pass(23*time.Minute + 59*time.Second)
	if !live() {
		t.Fatal("ended before twelve hours")
	}
	w.clock.Pass(time.Second)
	if live() {
		t.Fatal("outlived twelve hours")
	}

	_, token = w.mustSignIn(t)
	w.clock.Pass(30*time.Minute - time.Microsecond)
	if !live() {
		t.Fatal("idle before thirty minutes")
	}
	w.clock.Pass(30 * time.Minute)
	if live() {
		t.Fatal("outlived thirty idle minutes")
	}

	w.SessionIdle, w.SessionLife = time.Minute, 2*time.Minute
	_, token = w.mustSignIn(t)
	w.clock.Pass(time.Minute)
	if live() {
		t.Fatal("the configured limit does not count")
	}
}

func TestLastSeenIsWrittenAtMostOnceAMinute(t *testing.T) {
	w := open(t)
	session, token := w.mustSignIn(t)
	seen := func() time.Time {
		t.Helper()
		if _, _, err := w.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		list, err := w.Sessions(t.Context(), w.DB, session.Workspace, session.User)
		if err != nil || len(list) != 1 {
			t.Fatalf("got %v, %v", list, err)
		}
		return list[0].LastSeen
	}
	w.clock.Pass(59 * time.Second)
	if at := seen(); !at.Equal(session.LastSeen) {
		t.Fatalf("written within the minute: %v", at)
	}
	if now := w.clock.Pass(time.Second); !seen().Equal(now) {
		t.Fatal("not written after the minute")
	}
}

func TestAnInactiveUserHasNoSession(t *testing.T) {
	w := open(t)
	_, token := w.mustSignIn(t)
	w.tx(t, func(tx pgx.Tx) error {
		user := w.acme.ana
		user.Active = false
		_, err := w.UpdateUser(t.Context(), tx, user)
		return err
	})
	_, _, err := w.Authenticate(t.Context(), token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	_, _, err = w.signIn(t, w.clock.Now())
	coretest.Wants(t, err, core.KindDenied, "")
}

func TestLogoutKillsWhatBeganBefore(t *testing.T) {
	w := open(t)
	_, first := w.mustSignIn(t)
	_, second := w.mustSignIn(t)
	before := w.clock.Now()
	w.clock.Pass(time.Second)
	if ended := w.endSessions(t); ended != 2 {
		t.Fatalf("%d ended", ended)
	}
	if ended := w.endSessions(t); ended != 0 {
		t.Fatalf("%d ended twice", ended)
	}
	for _, token := range []seal.Secret{first, second} {
		_, _, err := w.Authenticate(t.Context(), token)
		coretest.Wants(t, err, core.KindUnauthenticated, "")
	}
	if n := w.events(t, w.acme.workspace.ID, core.SessionEnded); n != 2 {
		t.Fatalf("%d events", n)
	}
	epoch := w.clock.Now()
	for _, authenticated := range []time.Time{before, epoch} {
		_, _, err := w.signIn(t, authenticated)
		if core.AsError(err).Code != "signed_out_meanwhile" {
			t.Fatalf("a sign-in of before the logout: %v", err)
		}
	}
	w.clock.Pass(time.Second)
	// An IdP whose clock runs ahead does not help a sign-in that began before the logout.
	w.refused(t, core.KindDenied, "", func(tx pgx.Tx) error {
		_, _, err := w.StartSession(t.Context(), tx, w.acme.cause, directory.NewSession{
			Workspace: w.acme.workspace.ID, User: w.acme.ana.ID, Connection: w.acme.connection.ID,
			Authenticated: w.clock.Now().Add(time.Minute), Begun: before,
		})
		return err
	})
	_, token := w.mustSignIn(t)
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	// A clock that runs behind does not lower the epoch.
	w.clock.Pass(-time.Hour)
	w.endSessions(t)
	w.clock.Pass(time.Hour)
	user, err := w.User(t.Context(), w.DB, w.acme.workspace.ID, w.acme.ana.ID)
	if err != nil || !user.Epoch.Equal(epoch) {
		t.Fatalf("the epoch went from %v to %v, %v", epoch, user.Epoch, err)
	}
	if _, err := w.User(t.Context(), w.DB, w.other.workspace.ID, w.other.ana.ID); err != nil {
		t.Fatal(err)
	}
	var touched int
	if err := w.DB.QueryRow(t.Context(), `select count(*) from users where epoch is not null`).Scan(&touched); err != nil || touched != 1 {
		t.Fatalf("%d users were logged out, %v", touched, err)
	}
}

// A sign-in that the IdP vouched for before the logout, racing with it, never leaves a live session,
// whichever of the two commits first.
func TestALoginRacingALogoutNeverSurvives(t *testing.T) {
	w := open(t)
	w.Now = time.Now
	var started atomic.Int64
	for round := range 300 {
		authenticated := time.Now()
		tokens := make([]seal.Secret, 3)
		logins := make([]func(), 0, 4)
		for i := range tokens {
			logins = append(logins, func() {
				time.Sleep(time.Duration(round%7*i) * 150 * time.Microsecond)
				_, token, err := w.signIn(t, authenticated)
				switch {
				case err == nil:
					tokens[i] = token
					started.Add(1)
				case core.AsError(err).Code != "signed_out_meanwhile":
					t.Error(err)
				}
			})
		}
		together(append(logins, func() {
			time.Sleep(time.Duration(round%5) * 200 * time.Microsecond)
			w.endSessions(t)
		})...)
		for i, token := range tokens {
			if _, _, err := w.Authenticate(t.Context(), token); core.KindOf(err) != core.KindUnauthenticated {
				t.Fatalf("round %d: login %d survived the logout: %v", round, i, err)
			}
		}
		var live int
		if err := w.DB.QueryRow(t.Context(), `select count(*) from sessions where ended is null`).Scan(&live); err != nil || live != 0 {
			t.Fatalf("round %d: %d sessions are not ended, %v", round, live, err)
		}
	}
	if n := started.Load(); n == 0 || n == 900 {
		t.Fatalf("%d of 900 logins came before the logout: this was no race", n)
	}
}

func TestFlows(t *testing.T) {
	w := open(t)
	ctx, acme, connection := t.Context(), w.acme.workspace.ID, w.acme.connection.ID
	flow := directory.Flow{Workspace: acme, Connection: connection, Nonce: "n", Verifier: "v", ReturnTo: "/accounts?x=1"}
	save := func(state string) {
		t.Helper()
		if err := w.SaveFlow(ctx, w.DB, state, flow); err != nil {
			t.Fatal(err)
		}
	}
	take := func(state string) error {
		got, err := w.TakeFlow(ctx, w.DB, acme, connection, state)
		if err == nil && (got.Nonce != "n" || got.Verifier != "v" || got.ReturnTo != "/accounts?x=1" || !got.Created.Equal(w.clock.Now())) {
			t.Errorf("got %+v", got)
		}
		return err
	}
	save("one")
	if _, err := w.TakeFlow(ctx, w.DB, w.other.workspace.ID, w.other.connection.ID, "one"); core.KindOf(err) != core.KindUnauthenticated {
		t.Fatalf("taken by another connection: %v", err)
	}
	if err := take("one"); err != nil {
		t.Fatal(err)
	}
	coretest.Wants(t, take("one"), core.KindUnauthenticated, "")
	coretest.Wants(t, take(""), core.KindUnauthenticated, "")

	save("two")
	var taken atomic.Int64
	all := make([]func(), 8)
	for i := range all {
		all[i] = func() {
			if take("two") == nil {
				taken.Add(1)
			}
		}
	}
	together(all...)
	if taken.Load() != 1 {
		t.Fatalf("taken %d times", taken.Load())
	}

	save("late")
	w.clock.Pass(directory.DefaultFlowLife)
	coretest.Wants(t, take("late"), core.KindUnauthenticated, "")

	for i := range 20 {
		save(fmt.Sprint("abandoned ", i))
	}
	w.clock.Pass(directory.DefaultFlowLife + time.Second)
	for i := range 5 {
		save(fmt.Sprint("new ", i))
	}
	var rows int
	if err := w.DB.QueryRow(ctx, `select count(*) from sign_in_flows`).Scan(&rows); err != nil || rows != 5 {
		t.Fatalf("%d flows are kept, %v", rows, err)
	}
	for _, path := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/a\nb", "evil"} {
		flow.ReturnTo = path
		coretest.Wants(t, w.SaveFlow(ctx, w.DB, "x", flow), core.KindInvalid, "return_to")
	}
}

func TestATokenIDIsUsedOnce(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	body, other := seal.HashToken("body"), seal.HashToken("other body")
	expires := w.clock.Now().Add(10 * time.Minute)
	use := func(connection core.ID, body []byte, status int) (got int, replay bool, err error) {
		err = w.DB.Tx(ctx, func(tx pgx.Tx) error {
			got, replay, err = w.UseTokenID(ctx, tx, connection, "jti-1", body, status, expires)
			return err
		})
		return got, replay, err
	}
	if status, replay, err := use(w.acme.connection.ID, body, 204); err != nil || replay || status != 204 {
		t.Fatal(status, replay, err)
	}
	if status, replay, err := use(w.acme.connection.ID, body, 500); err != nil || !replay || status != 204 {
		t.Fatal(status, replay, err)
	}
	_, _, err := use(w.acme.connection.ID, other, 204)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	if _, replay, err := use(w.other.connection.ID, other, 204); err != nil || replay {
		t.Fatal("another connection's ids are its own", replay, err)
	}
	w.refused(t, core.KindInvalid, "jti", func(tx pgx.Tx) error {
		_, _, err := w.UseTokenID(ctx, tx, w.acme.connection.ID, "", body, 204, expires)
		return err
	})

	var first, replays atomic.Int64
	all := make([]func(), 8)
	for i := range all {
		all[i] = func() {
			err := w.DB.Tx(ctx, func(tx pgx.Tx) error {
				_, replay, err := w.UseTokenID(ctx, tx, w.acme.connection.ID, "jti-2", body, 204, expires)
				if err == nil && replay {
					replays.Add(1)
				} else if err == nil {
					first.Add(1)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	together(all...)
	if first.Load() != 1 || replays.Load() != 7 {
		t.Fatalf("%d first, %d replays", first.Load(), replays.Load())
	}
}
