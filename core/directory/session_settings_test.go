package directory_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
)

func (w *world) limit(t *testing.T, workspace core.ID, edit func(*directory.SessionSettings)) {
	t.Helper()
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.ChangeSessionSettings(t.Context(), tx, w.acme.cause, workspace, edit)
		return err
	})
}

// A workspace's limits hold at once for its sessions, and for no others.
func TestSessionLimitsOfAWorkspace(t *testing.T) {
	w := open(t)
	_, token := w.mustSignIn(t)
	live := func() bool {
		_, _, err := w.Authenticate(t.Context(), token)
		return err == nil
	}
	w.clock.Pass(10 * time.Minute)
	w.limit(t, w.other.workspace.ID, func(s *directory.SessionSettings) { s.Idle, s.Life = time.Minute, time.Minute })
	if !live() {
		t.Fatal("the other workspace's limits ended it")
	}
	w.limit(t, w.acme.workspace.ID, func(s *directory.SessionSettings) { s.Life = time.Hour })
	w.clock.Pass(29 * time.Minute)
	if !live() {
		t.Fatal("ended too soon")
	}
	w.clock.Pass(22 * time.Minute)
	if live() {
		t.Fatal("outlived the shorter life")
	}
	session, token2 := w.mustSignIn(t)
	if got := session.Expires.Sub(session.Created); got != time.Hour {
		t.Errorf("expires after %v", got)
	}
	token = token2
	w.limit(t, w.acme.workspace.ID, func(s *directory.SessionSettings) { s.Idle = time.Minute })
	w.clock.Pass(time.Minute)
	if live() {
		t.Error("outlived the shorter idle limit")
	}
	if ended := w.endSessions(t); ended != 0 {
		t.Errorf("%d idle sessions were told as live", ended)
	}
	if n := w.events(t, w.acme.workspace.ID, core.SessionSettingsChanged); n != 2 {
		t.Errorf("%d events", n)
	}
}

// Stepping up replaces the token and keeps the session; not of another user, nor of one that ended.
func TestStepUpSession(t *testing.T) {
	w := open(t)
	session, token := w.mustSignIn(t)
	w.clock.Pass(time.Hour / 4)
	wanted := directory.NewSession{
		Workspace: w.acme.workspace.ID, User: w.acme.ana.ID, Connection: w.acme.connection.ID, Issuer: "iss", Subject: "sub", SID: "s2",
		Authenticated: w.clock.Now(), Begun: w.clock.Now(), ACR: "strong", AMR: []string{"hwk"},
	}
	lacks, err := w.StepUpFor(t.Context(), w.DB, session, directory.ToReveal)
	if err != nil || lacks != nil {
		t.Fatalf("at fifteen minutes: %+v, %v", lacks, err)
	}
	w.clock.Pass(time.Second)
	if lacks, err = w.StepUpFor(t.Context(), w.DB, session, directory.ToReveal); err != nil || lacks == nil || *lacks.MaxAge != 15*time.Minute {
		t.Fatalf("after fifteen minutes: %+v, %v", lacks, err)
	}
	other := wanted
	other.User = w.user(t, w.acme, "ben").ID
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		_, _, err := w.StepUpSession(t.Context(), tx, w.acme.cause, session.ID, other)
		return err
	})
	var now directory.Session
	old := token
	w.tx(t, func(tx pgx.Tx) (err error) {
		now, token, err = w.StepUpSession(t.Context(), tx, w.acme.cause, session.ID, wanted)
		return err
	})
	_, _, err = w.Authenticate(t.Context(), old)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	if now.ID != session.ID || now.ACR != "strong" || now.SID != "s2" || !now.Created.Equal(session.Created) || !now.Expires.Equal(session.Expires) {
		t.Errorf("got %+v", now)
	}
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
	if n := w.events(t, w.acme.workspace.ID, core.SessionSteppedUp); n != 1 {
		t.Errorf("%d events", n)
	}
	w.clock.Pass(time.Second)
	w.endSessions(t)
	w.clock.Pass(time.Second)
	wanted.Authenticated, wanted.Begun = w.clock.Now(), w.clock.Now()
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		_, _, err := w.StepUpSession(t.Context(), tx, w.acme.cause, session.ID, wanted)
		return err
	})
}
