package posture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/postgres"
)

// KeptDays is how many days of its history a workspace keeps, and for how many the reports of reassignments that ended.
const KeptDays = 400

// Day is how a workspace stood when a day began (UTC).
type Day struct {
	Day        time.Time         `db:"day"`
	Score      *int              `db:"score"` // nil: there was no account
	Accounts   int               `db:"accounts"`
	Milestones map[Milestone]int `db:"milestones"` // how many accounts met each that there was
	Findings   map[Kind]int      `db:"findings"`   // how many there were of each kind
	Taken      time.Time         `db:"taken"`
}

const selectDays = `
select day, score, accounts, milestones, findings, taken from posture_days
where workspace_id = @workspace and day > @since
order by day`

// History gives the days kept of the last so many, oldest first; at most KeptDays.
func (p *Posture) History(ctx context.Context, q postgres.Querier, workspace core.ID, days int) ([]Day, error) {
	return postgres.Many[Day](ctx, q, selectDays, pgx.StrictNamedArgs{"workspace": workspace, "since": p.today().AddDate(0, 0, -min(max(days, 1), KeptDays))})
}

// today is the day it is, as PostgreSQL keeps it.
func (p *Posture) today() time.Time { return p.now().Truncate(24 * time.Hour) }

// Whoever has a workspace's row takes its day; of several processes each finds another one.
const selectUntaken = `
select w.id from workspaces w
where w.id > @after and not exists (select from posture_days d where d.workspace_id = w.id and d.day = @day)
order by w.id limit 1
for no key update skip locked`

const insertDay = `
insert into posture_days (workspace_id, day, score, accounts, milestones, findings, taken)
values (@workspace, @day, @score, @accounts, @milestones, @findings, @now)
on conflict (workspace_id, day) do nothing`

const forgetDays = `delete from posture_days where workspace_id = @workspace and day <= @before`

// Take writes down how every workspace stands of which the day is not written yet, forgets the days beyond those kept,
// and returns how many days that were. Each has one row, however many processes there are. A workspace with which
// that fails keeps no other waiting, and is tried again the next time.
func (p *Posture) Take(ctx context.Context) (int, error) {
	taken := 0
	var failed error
	for after := (core.ID{}); ctx.Err() == nil; {
		next, wrote := core.ID{}, false
		err := p.DB.Tx(ctx, func(tx pgx.Tx) error {
			next, wrote = core.ID{}, false
			err := tx.QueryRow(ctx, selectUntaken, pgx.StrictNamedArgs{"after": [16]byte(after), "day": p.today()}).Scan(&next)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			wrote, err = p.take(ctx, tx, next)
			return err
		})
		switch {
		case err != nil && next.IsZero():
			return taken, errors.Join(failed, err)
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("posture of workspace %s: %w", next, err))
		case next.IsZero():
			return taken, failed
		case wrote:
			taken++
		}
		after = next
	}
	return taken, failed
}

// take writes down the day of a workspace, unless another process was quicker between the look and the lock.
func (p *Posture) take(ctx context.Context, tx pgx.Tx, workspace core.ID) (wrote bool, err error) {
	o, err := p.Overview(ctx, tx, workspace)
	if err != nil {
		return false, err
	}
	reached, found := map[Milestone]int{}, map[Kind]int{}
	for _, one := range o.Milestones {
		if one.Available {
			reached[one.Milestone] = one.Met
		}
	}
	for _, one := range o.Findings {
		found[one.Kind] = one.Count
	}
	day := p.today()
	batch := &pgx.Batch{}
	batch.Queue(insertDay, pgx.StrictNamedArgs{
		"workspace": workspace, "day": day, "score": o.Score, "accounts": o.Accounts, "milestones": reached, "findings": found, "now": o.At,
	}).Exec(func(tag pgconn.CommandTag) error {
		wrote = tag.RowsAffected() > 0
		return nil
	})
	batch.Queue(forgetDays, pgx.StrictNamedArgs{"workspace": workspace, "before": day.AddDate(0, 0, -KeptDays)})
	return wrote, postgres.Classify(tx.SendBatch(ctx, batch).Close())
}
