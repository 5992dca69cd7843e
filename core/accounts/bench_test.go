package accounts_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// bareSelect is the floor: one row by its primary key, through the same pool, with nothing decided.
const bareSelect = `select role from grants where id = $1`

// BenchmarkMayUse asks whether a user may use an account, directly and through a team, beside a bare
// select by primary key in the same run; "×select" is the ratio of their mean times.
func BenchmarkMayUse(b *testing.B) {
	w := open(b)
	acme := w.side(b)
	fill(b, w, acme, 10_000)
	w.side(b)
	ask := func(query string) (users, given []core.ID) {
		rows, err := w.DB.Query(b.Context(), query, pgx.StrictNamedArgs{"workspace": acme.workspace})
		if err != nil {
			b.Fatal(err)
		}
		var user, account core.ID
		if _, err := pgx.ForEachRow(rows, []any{&user, &account}, func() error {
			users, given = append(users, user), append(given, account)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		return users, given
	}
	_, grants := ask(`select workspace_id, id from grants where workspace_id = @workspace order by id limit 2000`)
	for what, query := range map[string]string{
		"direct": `select user_id, account_id from grants where workspace_id = @workspace and user_id is not null order by id limit 2000`,
		"by team": `select m.user_id, g.account_id from grants g join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id
			where g.workspace_id = @workspace order by g.id, m.user_id limit 2000`,
	} {
		users, given := ask(query)
		b.Run(what, func(b *testing.B) {
			var ours, bare time.Duration
			count := 0
			for b.Loop() {
				i := count % len(users)
				count++
				begun := time.Now()
				if _, err := w.MayUse(b.Context(), w.DB, acme.workspace, users[i], given[i]); err != nil {
					b.Fatal(err)
				}
				between := time.Now()
				var role accounts.Role
				if err := w.DB.QueryRow(b.Context(), bareSelect, grants[i%len(grants)]).Scan(&role); err != nil {
					b.Fatal(err)
				}
				ours += between.Sub(begun)
				bare += time.Since(between)
			}
			b.ReportMetric(float64(ours)/float64(bare), "×select")
			b.ReportMetric(float64(ours.Microseconds())/float64(count), "µs/MayUse")
			b.ReportMetric(float64(bare.Microseconds())/float64(count), "µs/select")
		})
	}
}
