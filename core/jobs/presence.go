package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core/postgres"
)

// presence shows that a worker lives, by an advisory lock on a connection of its own, and brings
// back the jobs of workers that do not. When a process is killed its connection ends, and with it
// the lock, at once.
type presence struct {
	db    *postgres.DB
	id    string
	every time.Duration
	log   *slog.Logger

	connection *pgxpool.Conn
	suspects   map[string]bool
}

const takePresence = `select pg_advisory_lock(hashtextextended(@worker, 0))`

// limitPresence has the server notice within half a minute that the machine at the other end of a
// silent connection is gone.
const limitPresence = `select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
	set_config('tcp_keepalives_count', '3', false)`

// begin takes the lock, before the worker's first job.
func (p *presence) begin(ctx context.Context) error {
	connection, err := p.db.Acquire(ctx)
	if err != nil {
		return postgres.Classify(err)
	}
	if _, err = connection.Exec(ctx, limitPresence); err == nil {
		_, err = connection.Exec(ctx, takePresence, pgx.StrictNamedArgs{"worker": p.id})
	}
	if err != nil {
		connection.Release()
		return postgres.Classify(err)
	}
	p.connection = connection
	return nil
}

// end gives the connection, and so the lock, back. The connection is closed: it holds settings.
func (p *presence) end() {
	if p.connection == nil {
		return
	}
	closing, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = p.connection.Hijack().Close(closing)
	p.connection = nil
}

// keep looks for dead workers until ctx ends, and takes the lock again after a lost connection.
func (p *presence) keep(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.connection == nil {
			if err := p.begin(ctx); err != nil {
				continue
			}
		}
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("looking for dead workers failed", "error", err)
			p.end()
		}
	}
}

const selectWorkers = `
select distinct attempted_by[array_upper(attempted_by, 1)] from river_job where state = 'running' and cardinality(attempted_by) > 0`

const tryWorker = `select pg_try_advisory_lock(hashtextextended(@worker, 0))`

const leaveWorker = `select pg_advisory_unlock(hashtextextended(@worker, 0))`

const rescueJobs = `
update river_job set state = 'available', scheduled_at = now()
where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = @worker`

// look rescues the jobs of workers that were found dead twice in a row: one that lost its
// connection, as all do when PostgreSQL restarts, has the time in between to come back.
func (p *presence) look(ctx context.Context) error {
	rows, err := p.connection.Query(ctx, selectWorkers)
	if err != nil {
		return err
	}
	workers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	suspects := map[string]bool{}
	for _, worker := range workers {
		if worker == p.id {
			continue
		}
		args := pgx.StrictNamedArgs{"worker": worker}
		var dead bool
		if err := p.connection.QueryRow(ctx, tryWorker, args).Scan(&dead); err != nil {
			return err
		}
		if !dead {
			continue
		}
		suspects[worker] = true
		if p.suspects[worker] {
			tag, err := p.connection.Exec(ctx, rescueJobs, args)
			if err != nil {
				return err
			}
			p.log.Warn("a worker died; its jobs run again", "worker", worker, "jobs", tag.RowsAffected())
		}
		if _, err := p.connection.Exec(ctx, leaveWorker, args); err != nil {
			return err
		}
	}
	p.suspects = suspects
	return nil
}
