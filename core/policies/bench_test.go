package policies_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/coretest"
	"postern/core/policies"
)

// BenchmarkTick looks for what is due among 100,000 accounts whose window is open, beside one bare indexed select. No
// account is due, so that only the looking is measured; a window of two hours has one due every 72 milliseconds.
func BenchmarkTick(b *testing.B) {
	w := open(b)
	h := w.house(b, "acme", 1)
	const many = 100_000
	_, err := w.DB.Exec(b.Context(), `
		insert into accounts (id, workspace_id, app_id, vault_id, username)
		select gen_random_uuid(), @workspace, a.app_id, a.vault_id, 'many' || n
		from accounts a, generate_series(1, @count) n where a.workspace_id = @workspace and a.id = @like`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "count": many, "like": h.accounts[0].ID})
	coretest.Must(b, err)
	made := h.add(b, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Schedule: nightly(b)})
	_, err = w.DB.Exec(b.Context(), `analyze`)
	coretest.Must(b, err)
	again := func() {
		_, err := w.DB.Exec(b.Context(), `update policies set next = @now where workspace_id = @workspace and id = @id`,
			pgx.StrictNamedArgs{"workspace": h.workspace, "id": made.ID, "now": w.clock.Now()})
		coretest.Must(b, err)
	}
	b.Run("an indexed select", func(b *testing.B) {
		for b.Loop() {
			var name string
			coretest.Must(b, w.DB.QueryRow(b.Context(), `select username from accounts where workspace_id = $1 and id = $2`, h.workspace, h.accounts[0].ID).Scan(&name))
		}
	})
	b.Run("nothing waits", func(b *testing.B) {
		for b.Loop() {
			_, err := w.Tick(b.Context())
			coretest.Must(b, err)
		}
	})
	b.Run("a window is open", func(b *testing.B) {
		w.clock.Set(made.Round.Starts.Add(time.Hour))
		_, err := w.DB.Exec(b.Context(), `update policies set done = (1::bigint << 62) where workspace_id = @workspace`, pgx.StrictNamedArgs{"workspace": h.workspace})
		coretest.Must(b, err)
		again()
		_, err = w.Tick(b.Context())
		coretest.Must(b, err)
		for b.Loop() {
			b.StopTimer()
			again()
			b.StartTimer()
			done, err := w.Tick(b.Context())
			coretest.Must(b, err)
			if done > 0 {
				b.Fatalf("%d were due", done)
			}
		}
	})
	b.Run("10 seconds of rotations", func(b *testing.B) {
		planned := 0
		for b.Loop() {
			b.StopTimer()
			w.clock.Pass(10 * time.Second)
			if !w.clock.Now().Before(made.Round.Ends.Add(-2 * time.Minute)) {
				b.Fatal("the window is over: ask for fewer rounds")
			}
			again()
			b.StartTimer()
			done, err := w.Tick(b.Context())
			coretest.Must(b, err)
			planned += done
		}
		b.ReportMetric(float64(planned)/float64(b.N), "rotations/op")
	})
	b.Run("a preview of 100", func(b *testing.B) {
		for b.Loop() {
			found, err := h.Preview(b.Context(), w.DB, h.workspace, made, h.accounts[0].ID, 100)
			coretest.Must(b, err)
			if len(found) != 100 {
				b.Fatal(len(found))
			}
		}
	})
}
