package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/postgres"
)

// departs is a user leaving as a connection says it: shut out, and nothing taken yet.
func (h house) departs(t testing.TB, user core.ID) {
	t.Helper()
	_, err := h.Change(t.Context(), h.cause, h.workspace, user, func(u *directory.User) error { u.Active = false; return nil })
	coretest.Must(t, err)
}

// equipped gives Bob a session, a grant and what his team has: three accounts in all he is exposed to.
func (h house) equipped(t testing.TB) {
	t.Helper()
	h.share(t, 0, accounts.Subject{User: h.bob.ID})
	h.share(t, 1, accounts.Subject{Team: h.team.ID})
	h.share(t, 2, accounts.Subject{User: h.bob.ID})
	coretest.Must(t, h.fill(t, h.bob, 2))
	_, err := h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
}

// leftOnce requires that everything was taken from Bob, once.
func (h house) leftOnce(t testing.TB, when string) {
	t.Helper()
	if got := h.has(t, h.bob.ID); got != "000" {
		t.Errorf("%s: he has %s", when, got)
	}
	for kind, want := range map[core.EventType]int{
		core.UserDeprovisioned: 1, core.SessionEnded: 1, core.AccountUnshared: 2, core.RotationPlanned: 3,
	} {
		if got := h.events(t, kind); got != want {
			t.Errorf("%s: %d events %s, want %d", when, got, kind, want)
		}
	}
	if n := h.count(t, `select count(*) from leavers where workspace_id = @workspace`, nil); n != 0 || h.rotations(t) != 3 {
		t.Errorf("%s: %d are leaving, %d rotations", when, n, h.rotations(t))
	}
}

// From the commit that shuts somebody out they can do nothing, whatever they still have.
func TestALeaverIsShutOutBeforeAnythingIsTaken(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.equipped(t)
	other.equipped(t)
	token, err := h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
	untouched := other.snapshot(t)
	h.departs(t, h.bob.ID)
	if got := h.has(t, h.bob.ID); got != "221" {
		t.Fatalf("he has %s: this tests nothing", got)
	}
	_, _, err = h.Directory.Authenticate(ctx, token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	_, err = h.signIn(t, h.bob.ID, time.Now())
	coretest.Wants(t, err, core.KindDenied, "")
	for i := range h.accounts {
		coretest.Wants(t, h.fill(t, h.bob, i), core.KindDenied, "")
		if role := h.may(t, h.bob.ID, i); role != "" {
			t.Errorf("he is %s of account %d", role, i)
		}
	}
	cause := core.NewCause(h.bob.Actor(), time.Now())
	_, _, err = h.Accounts.Reveal(ctx, cause, h.workspace, h.bob.ID, h.accounts[0].ID)
	coretest.Wants(t, err, core.KindDenied, "")
	usable, err := h.Accounts.Usable(ctx, h.DB, h.workspace, h.bob.ID, accounts.UsableQuery{})
	if err != nil || len(usable) != 0 {
		t.Errorf("he may use %d accounts, %v", len(usable), err)
	}
	if sessions, err := h.Directory.Sessions(ctx, h.DB, h.workspace, h.bob.ID); err != nil || len(sessions) != 0 {
		t.Errorf("he has %d sessions, %v", len(sessions), err)
	}
	err = h.DB.Tx(ctx, func(tx pgx.Tx) error { return h.Accounts.Administrator(ctx, tx, cause, h.workspace) })
	coretest.Wants(t, err, core.KindDenied, "")
	backlog, err := lifecycle.ReadBacklog(ctx, h.DB, time.Now().Add(time.Minute))
	if err != nil || backlog.Leavers != 1 || backlog.Failing != 0 || backlog.Longest < time.Minute {
		t.Errorf("%+v, %v", backlog, err)
	}
	// Told again by the connection, nothing more happens.
	before := h.snapshot(t)
	h.departs(t, h.bob.ID)
	sameSnapshot(t, before, h.snapshot(t))
	h.take(t)
	if got := h.has(t, h.bob.ID); got != "000" {
		t.Errorf("he has %s", got)
	}
	sameSnapshot(t, untouched, other.snapshot(t))
}

func sameSnapshot(t testing.TB, want, got map[string]string) {
	t.Helper()
	for _, table := range kept {
		if want[table] != got[table] {
			t.Errorf("%s changed", table)
		}
	}
}

// Whatever comes between the commit and the taking, everything is taken, and once.
func TestWhatComesBeforeTheTaking(t *testing.T) {
	for name, one := range map[string]struct {
		do   func(t *testing.T, h house)
		back bool
	}{
		"nothing": {do: func(*testing.T, house) {}},
		"reactivate": {back: true, do: func(t *testing.T, h house) {
			coretest.Must(t, h.Reactivate(t.Context(), h.cause, h.workspace, h.bob.ID))
		}},
		"put": {back: true, do: func(t *testing.T, h house) {
			_, err := h.Change(t.Context(), h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.Active = true; return nil })
			coretest.Must(t, err)
		}},
		"entitled": {back: true, do: func(t *testing.T, h house) {
			h.governing(t)
			_, err := h.ChangeEntitled(t.Context(), h.cause, h.workspace, h.bob.ID, func(u *directory.User, held []accounts.Held) ([]accounts.Entitlement, error) {
				if len(held) != 0 {
					t.Errorf("he holds %v", held)
				}
				u.Active = true
				return nil, nil
			})
			coretest.Must(t, err)
		}},
		"deleted": {do: func(t *testing.T, h house) {
			coretest.Must(t, h.Remove(t.Context(), h.cause, h.workspace, h.bob.ID, nil))
		}},
		"deleted and made anew": {do: func(t *testing.T, h house) {
			coretest.Must(t, h.Remove(t.Context(), h.cause, h.workspace, h.bob.ID, nil))
			if again := h.join(t, h.bob.UserName); h.has(t, again.ID) != "000" {
				t.Errorf("the new one has %s", h.has(t, again.ID))
			}
		}},
		"out of the team": {do: func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{h.bob.ID} })
		}},
		"another list": {do: func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{h.ana.ID} })
		}},
		"into the team again": {do: func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.bob.ID} })
		}},
		"the team deleted": {do: func(t *testing.T, h house) {
			coretest.Must(t, h.DeleteTeam(t.Context(), h.cause, h.workspace, h.team.ID, nil))
			if got := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and type = 'account.unshared'`, nil); got != 3 {
				t.Errorf("%d unshared", got)
			}
			_, err := h.DB.Exec(t.Context(), `delete from audit_outbox where workspace_id = $1 and type = 'account.unshared' and event ->> 'targets' like '%Sales%'`, h.workspace)
			coretest.Must(t, err)
		}},
		"by hand": {do: func(t *testing.T, h house) {
			effect, err := h.Dismiss(t.Context(), h.system, h.workspace, h.bob.ID)
			if err != nil || effect.SessionsEnded != 1 || effect.GrantsRevoked != 2 || len(effect.Rotations) != 3 {
				t.Errorf("%+v, %v", effect, err)
			}
		}},
		"unshared": {do: func(t *testing.T, h house) {
			coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				grants, err := h.Accounts.Grants(t.Context(), tx, h.workspace, h.accounts[0].ID)
				for _, grant := range grants {
					if err == nil && grant.User == h.bob.ID {
						err = h.Accounts.Unshare(t.Context(), tx, h.system, h.workspace, grant.ID)
					}
				}
				return err
			}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := pair(t)
			h.equipped(t)
			h.departs(t, h.bob.ID)
			one.do(t, h)
			h.take(t)
			h.leftOnce(t, name)
			if one.back {
				for i := range h.accounts {
					coretest.Wants(t, h.fill(t, h.bob, i), core.KindDenied, "")
				}
			}
		})
	}
}

// Many takers in many processes take from each person once, while people come back.
func TestTakersShareTheWork(t *testing.T) {
	h, _ := pair(t)
	people := h.crowd(t, "u", 24)
	for _, user := range people {
		h.departs(t, user.ID)
	}
	var taken atomic.Int64
	take := func() {
		done, err := h.Take(t.Context())
		if err != nil {
			t.Error(err)
		}
		taken.Add(int64(done))
	}
	together(take, take, take, take, func() {
		for _, user := range people[:6] {
			coretest.Must(t, h.Reactivate(t.Context(), h.cause, h.workspace, user.ID))
		}
	})
	take()
	for _, user := range people {
		if got := h.has(t, user.ID); got != "000" {
			t.Errorf("%s has %s", user.UserName, got)
		}
	}
	if sessions, grants := h.events(t, core.SessionEnded), h.events(t, core.AccountUnshared); sessions != 24 || grants != 24 || taken.Load() > 24 || taken.Load() < 18 {
		t.Errorf("%d sessions ended, %d grants revoked, %d taken from", sessions, grants, taken.Load())
	}
}

// Takers that run take at once when they are woken, and by themselves when nobody wakes them.
func TestTakersRun(t *testing.T) {
	h, _ := pair(t)
	ctx, stop := context.WithCancel(t.Context())
	takers := &lifecycle.Takers{Lifecycle: h.Lifecycle}
	h.Left = takers.Wake
	stopped := make(chan error, 1)
	go func() { stopped <- takers.Run(ctx) }()
	for range 2 {
		for _, user := range h.crowd(t, core.NewID().String(), 3) {
			h.departs(t, user.ID)
			for h.has(t, user.ID) != "000" {
				time.Sleep(time.Millisecond) // until the test's time is over
			}
		}
		h.Left = nil
	}
	stop()
	coretest.Must(t, <-stopped)
}

// Somebody with whom it fails waits, and is seen to; nobody else does.
func TestAFailureKeepsNobodyElse(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	people := h.crowd(t, "u", 3)
	for _, user := range people {
		h.departs(t, user.ID)
	}
	_, err := h.DB.Exec(ctx, `
		create function refuse() returns trigger language plpgsql as $$ begin raise 'this one is broken'; end $$;
		create trigger refuse before update on grants for each row when (old.user_id = '`+people[0].ID.String()+`') execute function refuse()`)
	coretest.Must(t, err)
	now := time.Now()
	h.Now = func() time.Time { return now } // or a busy machine makes the wait pass
	done, err := h.Take(ctx)
	if done != 2 || err == nil {
		t.Errorf("%d were done, %v", done, err)
	}
	if one, other := h.has(t, people[0].ID), h.has(t, people[1].ID)+h.has(t, people[2].ID); one != "111" || other != "000000" {
		t.Errorf("the broken one has %s, the others %s", one, other)
	}
	backlog, err := lifecycle.ReadBacklog(ctx, h.DB, time.Now())
	if err != nil || backlog.Leavers != 1 || backlog.Failing != 1 {
		t.Errorf("%+v, %v", backlog, err)
	}
	if n := h.take(t); n != 0 {
		t.Errorf("%d were done: it is not tried without end", n)
	}
	_, err = h.DB.Exec(ctx, `drop trigger refuse on grants`)
	coretest.Must(t, err)
	now = now.Add(2 * time.Second)
	if n := h.take(t); n != 1 || h.has(t, people[0].ID) != "000" {
		t.Errorf("%d were done, and the broken one has %s", n, h.has(t, people[0].ID))
	}
}

// A bomb breaks its connection after so many further answers.
type bomb struct {
	net.Conn
	left *atomic.Int64
}

func (c *bomb) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-1) == 0 {
		_ = c.Conn.Close()
		return 0, errors.New("the process was killed")
	}
	return n, err
}

// A taker that dies at any point leaves nothing half done: the next one does it all, once.
func TestATakerDiesAnywhere(t *testing.T) {
	deaths := 0
	for point := int64(1); ; point++ {
		h, _ := pair(t)
		h.equipped(t)
		h.departs(t, h.bob.ID)
		left := &atomic.Int64{}
		config := h.DB.Config()
		config.MaxConns = 1
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &bomb{Conn: connection, left: left}, err
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		coretest.Must(t, err)
		coretest.Must(t, pool.Ping(t.Context()))
		dying := h.Recording(nil)
		dying.DB = &postgres.DB{Pool: pool}
		left.Store(point)
		_, err = dying.Take(t.Context())
		pool.Close()
		if left.Load() > 0 { // it lived to the end
			coretest.Must(t, err)
			h.leftOnce(t, "in the end")
			break
		}
		deaths++
		h.Now = func() time.Time { return time.Now().Add(time.Minute) } // it may have been put off
		for h.count(t, `select count(*) from leavers where workspace_id = @workspace`, nil) > 0 {
			h.take(t) // the dead one's lock may last for a moment
		}
		h.leftOnce(t, "after the death")
	}
	if deaths < 4 {
		t.Errorf("it died %d times: this tests little", deaths)
	}
	t.Logf("%d deaths", deaths)
}

// A panic in the middle is a failure of one person.
func TestATakerPanics(t *testing.T) {
	h, _ := pair(t)
	h.equipped(t)
	h.departs(t, h.bob.ID)
	broken := h.Recording(nil)
	broken.Rotations = nil
	if done, err := broken.Take(t.Context()); done != 0 || err == nil {
		t.Errorf("%d were done, %v", done, err)
	}
	if got := h.has(t, h.bob.ID); got != "121" {
		t.Errorf("he has %s", got)
	}
	h.Now = func() time.Time { return time.Now().Add(2 * time.Second) }
	h.take(t)
	h.leftOnce(t, "after the panic")
}
