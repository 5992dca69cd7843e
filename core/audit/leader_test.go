package audit_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

// Who stands by leads at one of the next times it stands for election, which it does every second: nothing has to time out
// first. The times are counted, not measured.
func TestTheLeadIsHandedOverAtOnce(t *testing.T) {
	const most = 3 // one may be under way, and one may come before the server has noticed
	url := postgrestest.URL(t)
	open := func() *postgres.DB {
		db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	operator := open()
	for name, ends := range map[string]func(stop context.CancelFunc, connection uint32){
		"stopped": func(stop context.CancelFunc, _ uint32) { stop() },
		"died": func(stop context.CancelFunc, connection uint32) {
			defer stop() // what is dead does not stand again
			if _, err := operator.Exec(t.Context(), `select pg_terminate_backend($1)`, int32(connection)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lead := func(db *postgres.DB) (leads chan uint32, ended chan struct{}, stop context.CancelFunc) {
				ctx, stop := context.WithCancel(t.Context())
				leads, ended = make(chan uint32, 1), make(chan struct{})
				go func() {
					defer close(ended)
					_ = (&audit.Leader{DB: db, Lock: 4711, Name: "test"}).Run(ctx, func(ctx context.Context, connection *pgx.Conn) error {
						var idle string
						if err := connection.QueryRow(ctx, `show tcp_keepalives_idle`).Scan(&idle); err != nil || idle != "5" {
							t.Errorf("a machine that is lost leads for long: %s %v", idle, err)
						}
						leads <- connection.PgConn().PID()
						<-ctx.Done()
						return ctx.Err()
					})
				}()
				return leads, ended, stop
			}
			leads, ended, stop := lead(open())
			connection := <-leads
			other := open()
			stands := func() int64 { return other.Stat().AcquireCount() }
			takes, gone, end := lead(other)
			eventually(t, "the other stands by", func() bool { return stands() >= 2 })
			ends(stop, connection)
			<-ended
			before := stands()
			select {
			case <-takes:
			case <-time.After(time.Minute):
				t.Fatal("nobody leads")
			}
			if stood := stands() - before; stood > most {
				t.Errorf("the other stood %d times before it led", stood)
			}
			end()
			<-gone
		})
	}
}
