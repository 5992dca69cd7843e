package directory_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// racer is a sign-in of somebody, under the name their IdP has for its session.
type racer struct {
	sid    string
	proven time.Time
	token  seal.Secret
}

// A sign-in racing the logout of its own IdP session never survives it, whichever commits first, and a logout
// of one sid takes no session of another. Each check runs many interleavings at once, of people apart, in
// two workspaces whose sids are the same.
func TestNoSignInSurvivesTheLogoutOfItsSID(t *testing.T) {
	w := open(t)
	w.Now = time.Now
	const people, fewest = 20, 1000
	var races, refused, ends, stay int // sign-ins a logout of their sid came before, or after, and those it was too early for
	deadline := time.Now().Add(7 * time.Second)
	rapid.Check(t, func(r *rapid.T) {
		if races >= fewest && time.Now().After(deadline) {
			return // on a busy machine a thousand have to do
		}
		var all sync.WaitGroup
		var lock sync.Mutex
		for range people {
			races++
			house := w.acme
			if rapid.Bool().Draw(r, "elsewhere") {
				house = w.other
			}
			sids := []string{fmt.Sprint("a", races), fmt.Sprint("b", races)}
			subject := fmt.Sprint("sub", races)
			steps := rapid.SliceOfN(rapid.SampledFrom([]string{"sign in", "sign in", "late sign in", "log out"}), 3, 5).Draw(r, "steps")
			var logins []*racer
			ended := map[string]time.Time{}
			start := make(chan struct{})
			var group sync.WaitGroup
			for _, step := range steps {
				sid := rapid.SampledFrom(sids).Draw(r, "sid")
				pause := time.Duration(rapid.IntRange(0, 1500).Draw(r, "pause")) * time.Microsecond
				if step == "late sign in" {
					pause *= 4 // some begin when the logout is over
				}
				begun := time.Now()
				group.Go(func() {
					<-start
					time.Sleep(pause)
					if step == "late sign in" {
						begun = time.Now()
					}
					if step == "log out" {
						at := time.Now()
						if err := w.logOut(t, house, sid, subject); err != nil {
							t.Error(err)
						}
						lock.Lock()
						defer lock.Unlock()
						if at.After(ended[sid]) {
							ended[sid] = at
						}
						return
					}
					token, err := w.signInAs(t, house, sid, subject, begun)
					if err != nil && core.AsError(err).Code != "signed_out_meanwhile" {
						t.Error(err)
					}
					lock.Lock()
					defer lock.Unlock()
					if err != nil {
						refused++
					} else {
						logins = append(logins, &racer{sid, begun, token})
					}
				})
			}
			all.Go(func() {
				close(start)
				group.Wait()
				for _, login := range logins {
					_, _, err := w.Recognise(t.Context(), login.token)
					over := !login.proven.After(ended[login.sid])
					lock.Lock()
					if over {
						ends++
					} else if !ended[login.sid].IsZero() {
						stay++
					}
					lock.Unlock()
					switch {
					case err == nil && over:
						t.Errorf("a session proven %s before its logout lives", ended[login.sid].Sub(login.proven))
					case err != nil && ended[login.sid].IsZero():
						t.Errorf("the logout of another sid took a session: %v", err)
					}
				}
			})
		}
		all.Wait()
	})
	// Every order, or it proved nothing.
	if refused < 50 || ends < 50 || stay == 0 {
		t.Errorf("logouts kept %d sign-ins out, ended %d and came before %d: this was no race", refused, ends, stay)
	}
	t.Logf("in %d races logouts kept %d sign-ins out, ended %d and came before %d", races, refused, ends, stay)
}

func (w *world) logOut(t testing.TB, h house, sid, subject string) error {
	return w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.EndIdPSessions(t.Context(), tx, h.cause, directory.IdPSession{
			Workspace: h.workspace.ID, Connection: h.connection.ID, Issuer: "iss", SID: sid, Subject: subject,
		}, "logged out")
		return err
	})
}

func (w *world) signInAs(t testing.TB, h house, sid, subject string, at time.Time) (token seal.Secret, err error) {
	err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, token, err = w.StartSession(t.Context(), tx, h.cause, directory.NewSession{
			Workspace: h.workspace.ID, User: h.ana.ID, Connection: h.connection.ID, Issuer: "iss", Subject: subject, SID: sid,
			Authenticated: at, Begun: at,
		})
		return err
	})
	return token, err
}
