package signals_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/signals"
)

// second is another process over the same database.
func (h house) second(t testing.TB) house {
	t.Helper()
	config := h.DB.Config()
	db, err := postgres.Open(context.Background(), config.ConnString(), postgres.Options{})
	coretest.Must(t, err)
	t.Cleanup(db.Close)
	other := h
	other.world = on(t, db)
	other.Accounts.Vault.Keys = h.Accounts.Vault.Keys
	return other
}

func TestLogoutAtOneProcessHoldsAtTheOtherAtOnce(t *testing.T) {
	h, _ := pair(t)
	other := h.second(t)
	token := h.signIn(t, h.ana, "sid-1")
	if !h.alive(t, token) || !other.alive(t, token) {
		t.Fatal("the session is not recognised at both")
	}
	other.receive(t, other.about(h.ana))
	if h.alive(t, token) || other.alive(t, token) {
		t.Fatal("the session lives on")
	}
	named := h.signIn(t, h.ana, "sid-2")
	other.alive(t, named)
	signal := h.about(h.ana)
	signal.Door, signal.Subject, signal.SID = signals.BackChannelLogout, signals.NoSubject(), "sid-2"
	h.receive(t, signal)
	if other.alive(t, named) {
		t.Fatal("the named session lives on at the other process")
	}
}

func TestTwoDoorsAtTheSameMomentRotateOnce(t *testing.T) {
	h, _ := pair(t)
	other := h.second(t)
	doors := []signals.Door{signals.UniversalLogout, signals.BackChannelLogout, signals.SSFPush, signals.SSFPoll, signals.OktaEventHook, signals.Graph}
	for round := range 10 {
		person := h.join(t, fmt.Sprint("person", round))
		h.share(t, 0, person.ID)
		h.share(t, 1, person.ID)
		before := h.planned(t)
		receipts := make([]signals.Receipt, len(doors))
		failures := make([]error, len(doors))
		start := make(chan struct{})
		var group sync.WaitGroup
		for i, door := range doors {
			group.Go(func() {
				at := h
				if i%2 == 1 {
					at = other
				}
				signal := at.about(person)
				signal.Door = door
				if i%3 == 1 {
					signal.Kind, signal.Subject = signals.SessionRevoked, signals.OpaqueSubject("ext-"+person.UserName)
				}
				<-start
				receipts[i], failures[i] = at.Receive(t.Context(), at.cause, signal, nil)
			})
		}
		close(start)
		group.Wait()
		first := 0
		for i, receipt := range receipts {
			coretest.Must(t, failures[i])
			switch receipt.Outcome {
			case signals.Done:
				first++
			case signals.Duplicate:
			default:
				t.Fatalf("%+v", receipt)
			}
		}
		if asked := h.planned(t) - before; first != 1 || asked != 2 {
			t.Fatalf("round %d: %d were first, %d rotations were asked for; want 1 and 2", round, first, asked)
		}
	}
}

// What carried a signal arrives many times at once: it works once, and everybody is answered the same.
func TestOneCarrierAtOnceWorksOnce(t *testing.T) {
	h, _ := pair(t)
	houses := []house{h, h.second(t)}
	once := &signals.Once{TokenID: "jti", BodyHash: []byte("body"), Status: 204, Expires: h.Now().Add(time.Minute)}
	receipts := make([]signals.Receipt, 10)
	failures := make([]error, len(receipts))
	var group sync.WaitGroup
	for i := range receipts {
		at := houses[i%2]
		group.Go(func() { receipts[i], failures[i] = at.Receive(t.Context(), at.cause, at.about(at.bob), once) })
	}
	group.Wait()
	first := 0
	for i, receipt := range receipts {
		coretest.Must(t, failures[i])
		if receipt.Status != 204 {
			t.Errorf("%+v", receipt)
		}
		if !receipt.Replayed {
			first++
		}
	}
	if first != 1 || h.events(t, core.SignalAccepted) != 1 || h.planned(t) != 2 {
		t.Fatalf("%d first, %d signals accepted, %d rotations asked for", first, h.events(t, core.SignalAccepted), h.planned(t))
	}
}

// started is a session, and what it rests on: when the person was proven, and who.
type started struct {
	user   core.ID
	proven time.Time
	token  seal.Secret
}

// A login racing a logout never survives it, whatever the doors, the processes and the order. What happened is told
// by the receipts: no session that was proven before the last logout of its person may be recognised.
func TestNoLoginSurvivesALogoutItRaces(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("400") // of some seven steps each: thousands of them, at two processes at once
	}
	h, _ := pair(t)
	houses := []house{h, h.second(t)}
	for _, one := range houses {
		one.Later = true // as in a gateway: a Universal Logout ends sessions at once, and settles the rest after
	}
	people := 0
	var ends, refused atomic.Int64 // sign-ins a logout came after and ended, and those it came before and kept out
	rapid.Check(t, func(r *rapid.T) {
		people++
		person := h.join(t, fmt.Sprint("racer", people))
		count := rapid.IntRange(4, 10).Draw(r, "steps")
		sids := []string{"", "a", "b"}
		var mutex sync.Mutex
		var sessions []started
		var ended time.Time // by Postern's clock, before the logout that came last began
		named := map[string]time.Time{}
		start := make(chan struct{})
		var group sync.WaitGroup
		for i := range count {
			at := houses[rapid.IntRange(0, 1).Draw(r, "process")]
			what := rapid.SampledFrom([]string{"login", "login", "late login", "logout", "universal", "universal", "revoked", "by sid", "deprovision"}).Draw(r, "what")
			sid := rapid.SampledFrom(sids).Draw(r, "sid")
			judged, once := at.judged(t, person)
			pause := time.Duration(rapid.IntRange(0, 3000).Draw(r, "pause")) * time.Microsecond
			group.Go(func() {
				begun := at.Now() // the flow begins before anything of this round happened …
				<-start
				time.Sleep(pause)
				if what == "late login" {
					begun = at.Now() // … or in the middle of it
				}
				switch what {
				case "login", "late login":
					token, err := at.trySignInQuietly(person, sid, begun)
					if core.KindOf(err) != core.KindDenied && err != nil {
						t.Error(err)
					}
					if err != nil {
						refused.Add(1)
					} else {
						mutex.Lock()
						sessions = append(sessions, started{person.ID, begun, token})
						mutex.Unlock()
					}
					return
				case "deprovision":
					if i != count-1 { // at most one: nobody signs in after it
						return
					}
					before := at.Now()
					if _, err := at.Lifecycle.Deprovision(t.Context(), at.cause, at.workspace, person.ID); err != nil {
						t.Error(err)
					}
					mutex.Lock()
					ended = later(ended, before)
					mutex.Unlock()
					return
				}
				signal := at.about(person)
				var single *signals.Once
				switch what {
				case "universal":
					signal, single = judged, once
					signal.Occurred, signal.Received = at.Now(), at.Now()
				case "revoked":
					signal.Door, signal.Kind, signal.Subject = signals.SSFPush, signals.SessionRevoked, signals.IssSubSubject(issuer, "sub-"+person.UserName)
				case "by sid":
					signal.Door, signal.Subject, signal.SID = signals.BackChannelLogout, signals.IssSubSubject(issuer, "sub-"+person.UserName), "a"
				}
				before := at.Now()
				if _, err := at.Receive(t.Context(), at.cause, signal, single); err != nil {
					t.Error(err)
				}
				mutex.Lock()
				if what == "by sid" {
					named["a"] = later(named["a"], before)
				} else {
					ended = later(ended, before)
				}
				mutex.Unlock()
			})
		}
		close(start)
		group.Wait()
		if rapid.Bool().Draw(r, "settled") {
			if _, err := h.Settle(t.Context()); err != nil {
				r.Fatal(err)
			}
		}
		for _, session := range sessions {
			if !session.proven.After(ended) {
				ends.Add(1)
			}
			for i, at := range houses {
				live, _, err := at.Directory.Recognise(t.Context(), session.token)
				if err != nil {
					continue
				}
				if !session.proven.After(ended) {
					r.Fatalf("process %d recognises a session proven %s before the last logout", i, ended.Sub(session.proven))
				}
				if live.SID == "a" && !session.proven.After(named["a"]) {
					r.Fatalf("process %d recognises a session proven %s before its own logout", i, named["a"].Sub(session.proven))
				}
			}
		}
	})
	// Both orders, many times, or it proved nothing.
	if least := int64(people) / 4; ends.Load() < least || refused.Load() < least {
		t.Errorf("logouts ended %d sign-ins and kept %d out: this was no race", ends.Load(), refused.Load())
	}
	t.Logf("logouts of %d people ended %d sign-ins and kept %d out", people, ends.Load(), refused.Load())
}

func later(one, other time.Time) time.Time {
	if other.After(one) {
		return other
	}
	return one
}

func (h house) trySignInQuietly(user directory.User, sid string, begun time.Time) (seal.Secret, error) {
	var token seal.Secret
	ctx := context.Background()
	err := h.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		_, token, err = h.Directory.StartSession(ctx, tx, h.system, directory.NewSession{
			Workspace: h.workspace, User: user.ID, Connection: h.connection.ID, Issuer: issuer, Subject: "sub-" + user.UserName, SID: sid,
			Authenticated: begun, Begun: begun,
		})
		return err
	})
	return token, err
}
