package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres"
)

// deaf is a connection that loses every answer once told to.
type deaf struct {
	net.Conn
	lose *atomic.Bool
}

func (c *deaf) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.lose.Load() {
		_ = c.Close()
		return 0, errors.New("the answer was lost")
	}
	return n, err
}

// A request whose answer was lost is sent again: what it did stays as it is, and is not done twice.
func TestAJoinRepeatedAfterItsAnswerWasLost(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	var lose atomic.Bool
	config := h.DB.Config()
	config.MaxConns = 1
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &deaf{Conn: connection, lose: &lose}, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	coretest.Must(t, err)
	t.Cleanup(pool.Close)
	through := h.Recording(nil)
	through.DB = &postgres.DB{Pool: pool}
	wanted := directory.User{
		Workspace: h.workspace, Connection: h.connection.ID, UserName: "eve@example.com", ExternalID: "e1", DisplayName: "Eve", Active: true,
	}
	_, err = through.Provision(ctx, h.cause, directory.User{Workspace: h.workspace, Connection: h.connection.ID, UserName: "warm", Active: true})
	coretest.Must(t, err)
	untouched := other.snapshot(t)
	lose.Store(true)
	if _, err := through.Provision(ctx, h.cause, wanted); err == nil || core.KindOf(err) == core.KindConflict {
		t.Fatalf("nothing was lost: %v", err)
	}
	lose.Store(false)
	var made directory.User
	for made.ID.IsZero() { // the server may still be at it
		made, err = h.Directory.UserByName(ctx, h.DB, h.workspace, h.connection.ID, wanted.UserName)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			t.Fatal(err)
		}
	}
	events := h.events(t, core.UserProvisioned)
	again := wanted
	again.DisplayName, again.Active = "", false
	_, err = through.Provision(ctx, h.cause, again)
	if core.KindOf(err) != core.KindConflict {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(made, h.read(t, made.ID)); diff != "" {
		t.Error(diff)
	}
	if got := h.events(t, core.UserProvisioned); got != events {
		t.Errorf("%d events more", got-events)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Error(diff)
	}
}

// Of the same request at the same moment one succeeds.
func TestJoinsAtTheSameMoment(t *testing.T) {
	h, _ := pair(t)
	rounds := often(20)
	for round := range rounds {
		var made, refused atomic.Int64
		work := make([]func(), 6)
		for i := range work {
			work[i] = func() {
				_, err := h.Provision(t.Context(), h.cause, directory.User{
					Workspace: h.workspace, Connection: h.connection.ID, UserName: fmt.Sprint("eve", round), DisplayName: fmt.Sprint(i), Active: true,
				})
				switch {
				case err == nil:
					made.Add(1)
				case core.KindOf(err) == core.KindConflict && core.AsError(err).Field == "userName":
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		}
		together(work...)
		if made.Load() != 1 || refused.Load() != 5 {
			t.Fatalf("%d made, %d refused", made.Load(), refused.Load())
		}
	}
	if got := h.events(t, core.UserProvisioned); got != rounds+2 { // with Ana and Bob
		t.Errorf("%d events", got)
	}
}
