package reviews

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const (
	tickEvery = time.Second
	// lookAgain is the wait after something of ours failed.
	lookAgain = time.Minute
	// lookAtLeast is how often an open review is looked at, if nobody says earlier.
	lookAtLeast = time.Hour
	// together is how many items get the default in one transaction.
	together = 100
)

// Run reads what happens and carries reviews on until ctx ends. It may run in many processes.
func (r *Reviews) Run(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		_, err := r.Follow(ctx)
		r.warn(ctx, "read what happened", err)
		if err == nil {
			_, err = r.Tick(ctx)
			r.warn(ctx, "carry reviews on", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (r *Reviews) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && r.Log != nil {
		r.Log.WarnContext(ctx, "reviews cannot be kept up", "what", what, "error", err)
	}
}

// Tick begins the reviews that are due, reminds, carries defaults out, closes and signs, in all workspaces in turn, and
// returns how often it did something. Killed at any point it goes on where it was. What fails keeps nothing else from
// being done, and is tried again.
func (r *Reviews) Tick(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for _, next := range []func(context.Context) (bool, error){r.comeAgain, r.seekUnused, r.lookNext} {
		for ctx.Err() == nil {
			found, err := next(ctx)
			failed = errors.Join(failed, err)
			if !found {
				break
			}
			total++
		}
	}
	return total, failed
}

// Of several processes each finds another review.
const selectNext = `
select ` + reviewColumns + `, 0 as kept, 0 as revoked, 0 as changed, 0 as ended, 0 as defaulted, 0 as failed
from reviews r where r.look <= @now order by r.look, r.id limit 1 for no key update skip locked`

const updateLook = `update reviews set look = @look where workspace_id = @workspace and id = @id`

// lookNext carries the review on that has waited longest. found is false when none waits, or none could be looked for.
func (r *Reviews) lookNext(ctx context.Context) (found bool, err error) {
	var next Review
	err = r.tx(ctx, func(tx pgx.Tx) error {
		var err error
		next, err = postgres.One[Review](ctx, tx, "review", selectNext, pgx.StrictNamedArgs{"now": r.now()})
		if found = err == nil; !found {
			if core.KindOf(err) == core.KindNotFound {
				return nil
			}
			return err
		}
		look, err := r.carryOn(ctx, tx, next)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, updateLook, pgx.StrictNamedArgs{"workspace": next.Workspace, "id": next.ID, "look": look})
		return postgres.Classify(err)
	})
	if err == nil || !found || ctx.Err() != nil {
		return found && err == nil, err
	}
	err = fmt.Errorf("review %s of workspace %s: %w", next.ID, next.Workspace, err)
	if _, failed := r.DB.Exec(ctx, updateLook, pgx.StrictNamedArgs{"workspace": next.Workspace, "id": next.ID, "look": r.now().Add(lookAgain)}); failed != nil {
		return false, errors.Join(err, postgres.Classify(failed))
	}
	return true, err
}

// carryOn does the next thing about a locked review, and says when somebody has to look again; nil: never.
func (r *Reviews) carryOn(ctx context.Context, tx pgx.Tx, of Review) (*time.Time, error) {
	now := r.now()
	switch of.State {
	case Open:
		if now.Before(of.Due) {
			left, err := r.anyLeft(ctx, tx, of)
			if err != nil {
				return nil, err
			}
			if !left {
				return r.close(ctx, tx, of)
			}
			return r.remind(ctx, tx, of)
		}
		if _, err := tx.Exec(ctx, updateState, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "state": string(Closing)}); err != nil {
			return nil, postgres.Classify(err)
		}
		return &now, nil
	case Closing:
		return r.applyDefault(ctx, tx, of)
	case Closed:
	}
	return r.sign(ctx, tx, of)
}

const updateState = `update reviews set state = @state where workspace_id = @workspace and id = @id`

const selectLeft = `select exists (select from review_items i where i.workspace_id = @workspace and i.review_id = @id and i.decision is null)`

func (r *Reviews) anyLeft(ctx context.Context, tx pgx.Tx, of Review) (left bool, err error) {
	err = tx.QueryRow(ctx, selectLeft, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID}).Scan(&left)
	return left, postgres.Classify(err)
}

const lockUndecided = selectItems + ` and i.decision is null order by i.account_id, i.id limit @limit for update`

// applyDefault gives the next items that nobody decided about what the review says.
func (r *Reviews) applyDefault(ctx context.Context, tx pgx.Tx, of Review) (*time.Time, error) {
	items, err := postgres.Many[Item](ctx, tx, lockUndecided, pgx.StrictNamedArgs{"workspace": of.Workspace, "review": of.ID, "limit": together})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return r.close(ctx, tx, of)
	}
	cause := core.NewCause(core.System, r.now())
	said := Decision{Verdict: of.Fallback, Reason: "nobody decided until the end of " + of.LastDay().Format(time.DateOnly)}
	for _, item := range items {
		part, err := tx.Begin(ctx)
		if err != nil {
			return nil, postgres.Classify(err)
		}
		_, err = r.carryOut(ctx, part, cause, of, item, said, true)
		if err == nil {
			err = part.Commit(ctx)
		} else if refused := core.AsError(err); refused.Kind == core.KindConflict || refused.Kind == core.KindInvalid || refused.Kind == core.KindDenied {
			// It cannot be done, by whatever else holds: that is the end of it, and it is told.
			if err = part.Rollback(ctx); err == nil {
				err = r.settle(ctx, tx, cause, of, item, settlement{Verdict: of.Fallback, by: core.System, reason: said.Reason, defaulted: true, failure: refused.Message})
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return new(r.now()), nil
}

const closeReview = `
update reviews c set state = 'closed', closed = @now, counts = array[n.kept, n.revoked, n.changed, n.ended, n.defaulted, n.failed]
from reviews r cross join lateral (` + counting + `) n
where c.workspace_id = @workspace and c.id = @id and r.workspace_id = c.workspace_id and r.id = c.id`

// close ends a review in which everything is decided.
func (r *Reviews) close(ctx context.Context, tx pgx.Tx, of Review) (*time.Time, error) {
	now := r.now()
	if _, err := tx.Exec(ctx, closeReview, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "now": now}); err != nil {
		return nil, postgres.Classify(err)
	}
	closed, err := r.Review(ctx, tx, of.Workspace, of.ID)
	if err != nil {
		return nil, err
	}
	event := core.NewEvent(core.ReviewClosed, of.Workspace, core.Cause{Actor: core.System, Correlation: of.Cause.Correlation}, now, of.Target()).
		With("items", number(closed.Items)).With("kept", number(closed.Kept)).With("revoked", number(closed.Revoked)).
		With("changed", number(closed.Changed)).With("ended", number(closed.Ended)).With("defaulted", number(closed.Defaulted)).With("failed", number(closed.Failed))
	return &now, audit.Append(ctx, tx, event)
}
