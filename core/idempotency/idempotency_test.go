package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/idempotency"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
)

// world is one set of keys, whose clock is set by hand.
type world struct {
	keys *idempotency.Keys
	now  time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	w.keys = &idempotency.Keys{DB: postgrestest.Open(t), Now: func() time.Time { return w.now }}
	return w
}

func request(digest string) idempotency.Request {
	return idempotency.Request{
		Workspace: core.ID{1}, Account: core.ID{2}, Key: "key", Digest: []byte(digest), Token: seal.NewSecret("pst_api_token"),
	}
}

func (w *world) begin(t *testing.T, digest string) *idempotency.Claim {
	t.Helper()
	claim, answer, err := w.keys.Begin(t.Context(), request(digest))
	if err != nil || answer != nil {
		t.Fatal(answer, err)
	}
	return claim
}

func (w *world) commit(ctx context.Context) error {
	return w.keys.DB.Tx(ctx, func(pgx.Tx) error { return nil })
}

func code(err error) string {
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified.Code
	}
	return ""
}

// A process that was taken for dead cannot have its effect after another took its place.
func TestWhoWakesUpLateHasNoEffect(t *testing.T) {
	w := newWorld(t)
	dead := w.begin(t, "ask")
	w.now = w.now.Add(idempotency.Patience)
	next := w.begin(t, "ask")
	if err := w.commit(dead.Within(t.Context())); code(err) != "request_under_way" {
		t.Errorf("the dead one: %v", err)
	}
	if err := w.commit(next.Within(t.Context())); err != nil {
		t.Error(err)
	}
	// Neither does what it answers, or that it failed, count.
	if err := dead.Finish(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := dead.Finish(t.Context(), &idempotency.Answer{Status: 500}); err != nil {
		t.Error(err)
	}
	if err := next.Finish(t.Context(), &idempotency.Answer{Status: 201, Body: []byte("made")}); err != nil {
		t.Error(err)
	}
	if _, answer, err := w.keys.Begin(t.Context(), request("ask")); err != nil || answer == nil || string(answer.Body) != "made" {
		t.Errorf("%+v %v", answer, err)
	}
}

// Who had the effect and died is never taken for one who had none, however long ago that was.
func TestAnEffectIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	dead := w.begin(t, "ask")
	for range 2 { // a command may be several transactions
		if err := w.commit(dead.Within(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(idempotency.Retention - time.Second)
	if _, _, err := w.keys.Begin(t.Context(), request("ask")); code(err) != "answer_lost" {
		t.Error(err)
	}
	if _, _, err := w.keys.Begin(t.Context(), request("something else")); code(err) != "idempotency_key_reused" {
		t.Error(err)
	}
	w.now = w.now.Add(time.Second)
	w.begin(t, "something else") // forgotten
}

// What failed before its commit had no effect.
func TestWhatFailedIsForgotten(t *testing.T) {
	w := newWorld(t)
	claim := w.begin(t, "ask")
	err := w.keys.DB.Tx(claim.Within(t.Context()), func(pgx.Tx) error { return core.Denied("no") })
	if core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	if err := claim.Finish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.begin(t, "ask")
}

// Every way to commit ends with the check.
func TestEveryTransactionIsChecked(t *testing.T) {
	w := newWorld(t)
	no := core.Denied("no")
	ctx := postgres.BeforeCommit(t.Context(), func(ctx context.Context, _ pgx.Tx) error {
		if err := w.commit(ctx); err != nil { // not checked itself
			t.Error(err)
		}
		return no
	})
	queue := func(batch *pgx.Batch) error {
		batch.Queue(`create table made ()`)
		return nil
	}
	for name, run := range map[string]func() error{
		"Tx": func() error {
			return w.keys.DB.Tx(ctx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, `create table made ()`)
				return err
			})
		},
		"Batch": func() error { return w.keys.DB.Batch(ctx, nil, queue) },
		"Command": func() error {
			return w.keys.DB.Command(ctx, nil, nil, func(_ pgx.Tx, last *pgx.Batch) error { return queue(last) })
		},
	} {
		if err := run(); !errors.Is(err, no) {
			t.Errorf("%s: %v", name, err)
		}
		var there bool
		if err := w.keys.DB.QueryRow(t.Context(), `select to_regclass('made') is not null`).Scan(&there); err != nil || there {
			t.Errorf("%s: committed all the same: %v", name, err)
		}
	}
}
