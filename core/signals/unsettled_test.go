package signals_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/signals"
)

// judged is a logout by a token that was judged by the connection as it is, and the token's single use.
func (h house) judged(t testing.TB, user directory.User) (signals.Signal, *signals.Once) {
	t.Helper()
	signal := h.about(user)
	var err error
	_, signal.Judged, err = h.Directory.VersionedConnection(t.Context(), h.DB, h.connection.ID)
	coretest.Must(t, err)
	return signal, &signals.Once{
		TokenID: signal.Evidence.TokenID, BodyHash: []byte("body"), Status: 204, Nobody: 404, Expires: h.Now().Add(time.Hour),
	}
}

func (h house) unsettled(t testing.TB) int {
	t.Helper()
	return h.count(t, `select count(*) from signals_unsettled where workspace_id = @workspace`, nil)
}

// What nobody has to wait for is left, survives the process, and is done once.
func TestTheRestOfALogoutIsLeft(t *testing.T) {
	h, other := pair(t)
	h.Later = true
	for name, subject := range map[string]signals.Subject{
		"e-mail": signals.EmailSubject("BOB@example.com"), "link": signals.IssSubSubject(issuer+"/", "sub-bob"),
		"account": {Format: signals.FormatAccount, URI: "acct:bob@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			h.ahead += time.Hour // another incident each time
			untouched := other.snapshot(t)
			token := h.signIn(t, h.bob, "sid-1")
			begun, planned, ended := h.Now(), h.planned(t), h.events(t, core.SessionEnded)
			signal, once := h.judged(t, h.bob)
			signal.Subject = subject
			answer, err := h.Receive(t.Context(), h.cause, signal, once)
			coretest.Must(t, err)
			if h.alive(t, token) || answer.Status != 204 || answer.Replayed || len(answer.Users) != 1 || answer.Users[0] != h.bob.ID || h.unsettled(t) != 1 {
				t.Fatalf("%+v", answer)
			}
			if _, err := h.trySignIn(t, h.bob, "sid-1", begun); core.AsError(err).Code != "signed_out_meanwhile" {
				t.Fatalf("a sign-in that was under way: %v", err)
			}
			again, err := h.Receive(t.Context(), h.cause, signal, once)
			coretest.Must(t, err)
			if !again.Replayed || again.Status != 204 {
				t.Fatalf("%+v", again)
			}
			h.ahead += time.Second
			anew := h.signIn(t, h.bob, "sid-2")
			second := h.second(t)
			second.ahead = h.ahead
			var group sync.WaitGroup
			for _, at := range []house{h, second} {
				group.Go(func() {
					_, err := at.Settle(t.Context())
					coretest.Must(t, err)
				})
			}
			group.Wait()
			kept, err := h.Read(t.Context(), h.DB, h.workspace, answer.ID)
			coretest.Must(t, err)
			if kept.Outcome != signals.Done || kept.Sessions != 1 || kept.Open != 2 || len(kept.Users) != 1 || kept.Users[0] != h.bob.ID ||
				!kept.Committed.Equal(answer.Committed) || string(kept.Evidence.Digest) != "digest" || kept.Correlation != h.cause.Correlation {
				t.Fatalf("%+v", kept)
			}
			if diff := cmp.Diff([]signals.Command{signals.EndSessions, signals.Rotate}, kept.Commands); diff != "" {
				t.Fatal(diff)
			}
			if h.planned(t) != planned+2 || h.events(t, core.SessionEnded) != ended+1 || h.unsettled(t) != 0 {
				t.Fatal("it was not done once")
			}
			if !h.alive(t, anew) || h.count(t, `select count(*) from sessions where workspace_id = @workspace and ended is null`, nil) != 1 {
				t.Fatal("the sign-in after it ended, or the one before did not")
			}
			if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
				t.Fatal(diff)
			}
			h.receive(t, h.about(h.bob))
		})
	}
}

// Another door tells of an incident the rest of which is still to be done: it is one incident.
func TestALogoutThatIsLeftAndAnotherDoorRotateOnce(t *testing.T) {
	h, _ := pair(t)
	h.Later = true
	signal, once := h.judged(t, h.bob)
	left, err := h.Receive(t.Context(), h.cause, signal, once)
	coretest.Must(t, err)
	told := h.about(h.bob)
	told.Door = signals.SSFPush
	if receipt := h.receive(t, told); receipt.Outcome != signals.Done || len(receipt.Rotations) != 2 {
		t.Fatalf("%+v", receipt)
	}
	_, err = h.Settle(t.Context())
	coretest.Must(t, err)
	kept, err := h.Read(t.Context(), h.DB, h.workspace, left.ID)
	coretest.Must(t, err)
	if kept.Outcome != signals.Duplicate || h.planned(t) != 2 {
		t.Fatalf("%+v, %d planned", kept, h.planned(t))
	}
}

// A policy that shuts out otherwise too, a stranger, a connection that changed, and a token that is used up.
func TestNothingIsLeftThatCannotWait(t *testing.T) {
	h, _ := pair(t)
	h.Later = true
	signal, once := h.judged(t, h.bob)
	signal.Subject = signals.EmailSubject("nobody@example.com")
	if _, err := h.Receive(t.Context(), h.cause, signal, once); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	signal.Subject = signals.EmailSubject("bob@example.com")
	if again, err := h.Receive(t.Context(), h.cause, signal, once); err != nil || again.Status != 404 {
		t.Fatal(again, err) // the token was for nobody
	}
	once.BodyHash = []byte("another body")
	_, err := h.Receive(t.Context(), h.cause, signal, once)
	coretest.Wants(t, err, core.KindUnauthenticated, "replayed")
	signal, once = h.judged(t, h.bob)
	signal.Judged++
	_, err = h.Receive(t.Context(), h.cause, signal, once)
	coretest.Wants(t, err, core.KindConflict, signals.JudgedByOld)
	coretest.Must(t, h.SetPolicy(t.Context(), h.system, h.workspace, core.ID{}, "logout", []signals.Command{signals.EndSessions, signals.Restrict}))
	signal, once = h.judged(t, h.bob)
	_, err = h.Receive(t.Context(), h.cause, signal, once)
	coretest.Must(t, err)
	standing, err := h.Directory.Standing(t.Context(), h.DB, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	if standing.Restricted == nil || h.unsettled(t) != 0 {
		t.Fatal("the restriction waits")
	}
}

// A session of a clock that is ahead, and one that begins while its user is logged out.
func TestNoSessionOutlivesALogoutThatIsLeft(t *testing.T) {
	h, _ := pair(t)
	h.Later = true
	other := h.second(t)
	other.ahead = time.Minute
	token := other.signIn(t, h.bob, "sid-1")
	signal, once := h.judged(t, h.bob)
	_, err := h.Receive(t.Context(), h.cause, signal, once)
	coretest.Must(t, err)
	if h.alive(t, token) || other.alive(t, token) {
		t.Fatal("a session that began later by its own clock lives on")
	}
	ctx := t.Context()
	tx, err := h.DB.Begin(ctx)
	coretest.Must(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	h.ahead = 2 * time.Minute
	_, token, err = h.Directory.StartSession(ctx, tx, h.system, directory.NewSession{
		Workspace: h.workspace, User: h.bob.ID, Connection: h.connection.ID, Issuer: issuer, Subject: "sub-bob", SID: "sid-2",
		Authenticated: h.Now(), Begun: h.Now(),
	})
	coretest.Must(t, err)
	signal, once = h.judged(t, h.bob)
	answered := make(chan error, 1)
	go func() {
		_, err := h.Receive(ctx, h.cause, signal, once)
		answered <- err
	}()
	coretest.Must(t, tx.Commit(ctx))
	coretest.Must(t, <-answered)
	if h.alive(t, token) {
		t.Fatal("a session that began meanwhile lives on")
	}
}

// Many at once, of whom some are one person, and of whom one cannot be written: each is as if sent alone.
func TestLogoutsThatComeTogether(t *testing.T) {
	h, other := pair(t)
	h.Later = true
	var people []directory.User
	for n := range 12 {
		people = append(people, h.join(t, fmt.Sprint("person", n)))
		h.signIn(t, people[n], "")
	}
	theirs := other.signIn(t, other.ana, "")
	untouched := other.snapshot(t)
	var group sync.WaitGroup
	for n := range 60 {
		signal, once := h.judged(t, people[n%len(people)])
		broken := n == 30
		if broken {
			signal.Evidence.TokenID = "\x00"
			once.TokenID = signal.Evidence.TokenID
		}
		group.Go(func() {
			for range 2 {
				receipt, err := h.Receive(t.Context(), h.cause, signal, once)
				if broken {
					if core.KindOf(err) != core.KindInvalid {
						t.Error(err)
					}
				} else if err != nil || receipt.Status != 204 {
					t.Error(receipt, err)
				}
			}
		})
	}
	group.Wait()
	_, err := h.Settle(t.Context())
	coretest.Must(t, err)
	for query, want := range map[string]int{
		`select count(*) from sessions where workspace_id = @workspace and ended is null`: 0,
		`select count(*) from signals where workspace_id = @workspace`:                    59,
		`select coalesce(sum(sessions), 0) from signals where workspace_id = @workspace`:  len(people),
		`select count(*) from signals_unsettled where workspace_id = @workspace`:          0,
	} {
		if got := h.count(t, query, nil); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" || !other.alive(t, theirs) {
		t.Error(diff)
	}
}

// One that fails keeps no other from being done, and waits longer each time.
func TestARestThatFailsWaits(t *testing.T) {
	h, _ := pair(t)
	h.Later = true
	var receipts []signals.Receipt
	for _, person := range []directory.User{h.bob, h.eve} {
		signal, once := h.judged(t, person)
		receipt, err := h.Receive(t.Context(), h.cause, signal, once)
		coretest.Must(t, err)
		receipts = append(receipts, receipt)
	}
	of := pgx.StrictNamedArgs{"workspace": h.workspace, "id": receipts[0].ID}
	const said, say = `select said::text from signals_unsettled where workspace_id = @workspace and id = @id`, `update signals_unsettled set said = @said where workspace_id = @workspace and id = @id`
	var text string
	coretest.Must(t, h.DB.QueryRow(t.Context(), said, of).Scan(&text))
	put := func(text string) {
		_, err := h.DB.Exec(t.Context(), say, pgx.StrictNamedArgs{"workspace": h.workspace, "id": receipts[0].ID, "said": text})
		coretest.Must(t, err)
	}
	began := time.Now()
	h.Now = func() time.Time { return began.Add(h.ahead) } // or a busy machine makes the wait pass
	put(`[]`)
	for try := range 3 {
		done, err := h.Settle(t.Context())
		if err == nil || done != map[bool]int{true: 1}[try == 0] || h.unsettled(t) != 1 {
			t.Fatalf("try %d: %d done, %v", try, done, err)
		}
		if done, err = h.Settle(t.Context()); done != 0 || err != nil {
			t.Fatalf("it is tried again at once: %d, %v", done, err)
		}
		h.ahead += time.Second << try
	}
	put(text)
	if done, err := h.Settle(t.Context()); done != 1 || err != nil || h.unsettled(t) != 0 {
		t.Fatal(done, err)
	}
	if _, err := h.Read(t.Context(), h.DB, h.workspace, receipts[0].ID); err != nil {
		t.Fatal(err)
	}
}

// The rest is done as soon as there is any.
func TestTheRestIsDoneAtOnce(t *testing.T) {
	h, _ := pair(t)
	h.Later = true
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	settled := make(chan struct{}, 64)
	h.Wake = func() { settled <- struct{}{} }
	go func() { stopped <- h.KeepSettled(ctx) }()
	signal, once := h.judged(t, h.bob)
	receipt, err := h.Receive(ctx, h.cause, signal, once)
	coretest.Must(t, err)
	select {
	case <-settled:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody does the rest")
	}
	if _, err := h.Read(ctx, h.DB, h.workspace, receipt.ID); err != nil {
		t.Fatal(err)
	}
	stop()
	coretest.Must(t, <-stopped)
}
