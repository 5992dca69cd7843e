package reviews

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

// cursor is how far reviews have read the log.
const cursor = "reviews"

const records = 200

// Follow reads the log of all workspaces on from where it was read to, does what follows for reviews, and returns how
// many events that were.
func (r *Reviews) Follow(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		read := 0
		err := r.tx(ctx, func(tx pgx.Tx) error {
			// Of several processes one reads: what an event leads to is done once.
			if _, err := tx.Exec(ctx, lockCursor, pgx.StrictNamedArgs{"name": cursor}); err != nil {
				return postgres.Classify(err)
			}
			position, err := audit.Cursor(ctx, tx, cursor)
			if err != nil {
				return err
			}
			found, err := audit.After(ctx, tx, position, records)
			if read = len(found); err != nil || read == 0 {
				return err
			}
			if err := r.follow(ctx, tx, found); err != nil {
				return err
			}
			return audit.MoveCursor(ctx, tx, cursor, found[read-1].Position)
		})
		if err != nil {
			return total, err
		}
		total += read
		if read < records {
			break
		}
	}
	return total, nil
}

const lockCursor = `select position from cursors where name = @name for no key update`

// occasion is what a small review is about: all that one command did.
type occasion struct{ workspace, correlation core.ID }

// follow does what events lead to, in their order: access that ended needs no decision, access that was given anew is
// asked about as it is now, whoever may review no more is followed by the next, and new owners, and
// service accounts that may do more, are asked about.
func (r *Reviews) follow(ctx context.Context, tx pgx.Tx, found []audit.Record) error {
	owners := map[occasion][]core.ID{}
	var order []occasion
	causes := map[occasion]core.Event{}
	for _, record := range found {
		event := record.Event
		var err error
		switch event.Type {
		case core.AccountShared, core.AccountOwnerSucceeded:
			err = r.given(ctx, tx, event)
			if event.Type == core.AccountOwnerSucceeded || event.Data["role"] == string(accounts.Owner) {
				of := occasion{event.Workspace, event.Correlation}
				if owners[of] == nil {
					order, causes[of] = append(order, of), event
				}
				if grant, err := core.ParseID(event.Data["grant"]); err == nil {
					owners[of] = append(owners[of], grant)
				}
			}
		case core.AccountUnshared, core.AccountGrantExpired:
			err = r.ended(ctx, tx, event)
		case core.UserDeprovisioned, core.UserDeleted, core.UserDepartureHeld, core.UserUpdated, core.TeamMemberAdded:
			if user, ok := target(event, "user"); ok {
				err = r.replace(ctx, tx, lost{workspace: event.Workspace, user: user})
			}
		case core.ServiceAccountUpdated, core.ServiceAccountDeleted:
			err = r.scoped(ctx, tx, event)
		case core.ServiceAccountOwnerRemoved:
			user, person := target(event, "user")
			if service, ok := target(event, "service_account"); ok && person {
				err = r.replace(ctx, tx, lost{workspace: event.Workspace, user: user, service: service})
			}
		}
		if err != nil {
			return err
		}
	}
	for _, of := range order {
		by, err := r.setting(ctx, tx, of.workspace, TriggerOwnerChange)
		if err != nil || !by.Enabled || len(owners[of]) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		event := causes[of]
		cause := core.Cause{Actor: core.System, Correlation: of.correlation, Received: event.Occurred}
		name := names[TriggerOwnerChange]
		if len(event.Targets) > 0 && event.Targets[0].Name != "" {
			name = "New owner: " + core.Cut(event.Targets[0].Name, MaxName)
		}
		if err := r.small(ctx, tx, cause, of.workspace, by, of.correlation.String(), name, question{
			scope: Scope{Role: accounts.Owner}, grants: owners[of],
		}); err != nil {
			return err
		}
	}
	return nil
}

func target(event core.Event, kind string) (core.ID, bool) {
	for _, one := range event.Targets {
		if one.Kind == kind {
			return one.ID, true
		}
	}
	return core.ID{}, false
}

// given has undecided items say what the access is that was given anew.
func (r *Reviews) given(ctx context.Context, tx pgx.Tx, event core.Event) error {
	account, ok := target(event, "account")
	if !ok {
		return nil
	}
	_, err := tx.Exec(ctx, renewed+` and i.account_id = @account`, pgx.StrictNamedArgs{"workspace": event.Workspace, "account": account, "now": r.now()})
	return postgres.Classify(err)
}

// Given anew at once, it has not ended.
const endItems = `
update review_items i set decision = 'ended', decided = @at, decider = @by, reason = @reason
where i.workspace_id = @workspace and i.grant_id = @grant and i.decision is null and not exists (
	select from grants g
	where g.workspace_id = i.workspace_id and g.account_id = i.account_id and (g.user_id = i.user_id or g.team_id = i.team_id)
		and g.revoked is null and (g.expires is null or g.expires > @now))
	and exists (select from reviews r where r.workspace_id = i.workspace_id and r.id = i.review_id and r.state <> 'closed')
returning i.review_id`

// ended takes access that is gone off everybody's list, and asks the next instead of an owner who is none any more.
func (r *Reviews) ended(ctx context.Context, tx pgx.Tx, event core.Event) error {
	var grant core.ID // of an event that does not say: nobody's
	_ = grant.UnmarshalText([]byte(event.Data["grant"]))
	rows, err := tx.Query(ctx, endItems, pgx.StrictNamedArgs{
		"workspace": event.Workspace, "grant": grant, "at": event.Occurred, "now": r.now(), "by": core.System, "reason": "the access ended before anybody decided",
	})
	if err != nil {
		return postgres.Classify(err)
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	if err != nil {
		return postgres.Classify(err)
	}
	if len(touched) > 0 {
		if _, err := tx.Exec(ctx, lookNow, pgx.StrictNamedArgs{"workspace": event.Workspace, "reviews": core.Each(touched), "now": r.now()}); err != nil {
			return postgres.Classify(err)
		}
	}
	account, _ := target(event, "account")
	user, ok := target(event, "user")
	if !ok || event.Data["role"] != string(accounts.Owner) {
		return nil
	}
	return r.replace(ctx, tx, lost{workspace: event.Workspace, user: user, account: account})
}
