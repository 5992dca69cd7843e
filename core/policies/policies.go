package policies

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Policies keeps policies and acts by them. It is safe for concurrent use.
type Policies struct {
	DB        *postgres.DB
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after each commit, if set: there may be events to sequence
	Log       *slog.Logger     // nil: nothing is logged. Only Run does: commands tell their callers
}

// now is the time as PostgreSQL keeps it.
func (p *Policies) now() time.Time { return postgres.Now(p.Now) }

func (p *Policies) wake() {
	if p.Wake != nil {
		p.Wake()
	}
}

const columns = `id, workspace_id, name, trigger, enabled, covers, apps, tags, accounts, excluded, spacing, delay, schedule, version, created, updated,
	occurrence, starts, ends, base, done, planned, passed, finished, next`

// row is a policy with its workspace.
type row struct {
	Policy
	Workspace core.ID
}

func scan(found pgx.CollectableRow) (row, error) {
	var one row
	var schedule []byte
	var occurrence, starts, ends *time.Time
	err := found.Scan(&one.ID, &one.Workspace, &one.Name, &one.Trigger, &one.Enabled, &one.Scope.Covers, &one.Scope.Apps, &one.Scope.Tags,
		&one.Scope.Accounts, &one.Scope.Excluded, &one.Spacing, &one.Delay, &schedule, &one.Version, &one.Created, &one.Updated,
		&occurrence, &starts, &ends, &one.Round.base, &one.Round.done, &one.Round.Planned, &one.Round.Passed, &one.Round.Finished, &one.Round.next)
	if err != nil {
		return row{}, err
	}
	if occurrence != nil && starts != nil && ends != nil {
		one.Round.Day, one.Round.Starts, one.Round.Ends = dayOf(occurrence.UTC()), starts.UTC(), ends.UTC()
	}
	if schedule == nil {
		return one, nil
	}
	return one, json.Unmarshal(schedule, &one.Schedule)
}

const selectPolicies = `select ` + columns + ` from policies where workspace_id = @workspace order by trigger, name, id`

// List gives a workspace's policies, and the default of each trigger about which it says nothing and that is on.
func (p *Policies) List(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Policy, error) {
	rows, err := q.Query(ctx, selectPolicies, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var all []Policy
	for _, trigger := range Triggers {
		said := false
		for _, one := range found {
			if one.Trigger == trigger {
				all, said = append(all, one.Policy), true
			}
		}
		if !said && trigger.Default() {
			all = append(all, DefaultOf(trigger))
		}
	}
	return all, nil
}

const selectPolicy = `select ` + columns + ` from policies where workspace_id = @workspace and id = @id`

// Policy finds a policy by its id.
func (p *Policies) Policy(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Policy, error) {
	return one(ctx, q, selectPolicy, workspace, id)
}

func one(ctx context.Context, q postgres.Querier, query string, workspace, id core.ID) (Policy, error) {
	rows, err := q.Query(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Policy{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Policy{}, core.NotFound("policy")
	}
	return found.Policy, postgres.Classify(err)
}

const insertPolicy = `
insert into policies (id, workspace_id, name, trigger, enabled, covers, apps, tags, accounts, excluded, spacing, delay, schedule, version, created, updated,
	occurrence, starts, ends, base, done, next)
values (@id, @workspace, @name, @trigger, @enabled, @covers, @apps, @tags, @accounts, @excluded, @spacing, @delay, @schedule, @version, @now, @now,
	@occurrence, @starts, @ends, @base, @done, @next)`

// Create adds a policy. Administrators may, service accounts and the system. From the first policy about a
// trigger on, what it says holds instead of the trigger's default.
func (p *Policies) Create(ctx context.Context, cause core.Cause, workspace core.ID, wanted Policy) (Policy, error) {
	now := p.now()
	wanted, err := wanted.checked(now)
	if err != nil {
		return Policy{}, err
	}
	wanted.ID, wanted.Version, wanted.Created, wanted.Updated = core.NewID(), 1, now, now
	wanted.Round = wanted.first(now)
	return wanted, p.change(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		if err := wanted.Scope.known(ctx, tx, workspace); err != nil {
			return core.Event{}, err
		}
		if _, err := tx.Exec(ctx, insertPolicy, wanted.args(workspace, now)); err != nil {
			return core.Event{}, taken(err)
		}
		return core.NewEvent(core.PolicyCreated, workspace, cause, now, wanted.Target()).With("after", wanted.text()), nil
	})
}

const updatePolicy = `
update policies set name = @name, trigger = @trigger, enabled = @enabled, covers = @covers, apps = @apps, tags = @tags, accounts = @accounts,
	excluded = @excluded, spacing = @spacing, delay = @delay, schedule = @schedule, version = @version, updated = @now,
	occurrence = @occurrence, starts = @starts, ends = @ends, base = @base, done = @done, next = @next
where workspace_id = @workspace and id = @id`

// Change replaces a policy by what edit makes of it. version, if not 0, is the one the change is based on:
// Stale if there is a newer one. A policy keeps its trigger. With nothing to change nothing happens. A schedule that is
// changed, or switched on, begins with its next occurrence.
func (p *Policies) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, version int, edit func(*Policy)) (Policy, error) {
	var after Policy
	err := p.change(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		before, err := one(ctx, tx, selectPolicy+` for no key update`, workspace, id)
		if err != nil {
			return core.Event{}, err
		}
		if version != 0 && version != before.Version {
			return core.Event{}, core.Stale("the policy was changed meanwhile; read it again")
		}
		wanted := before
		edit(&wanted)
		if wanted.Schedule != nil && before.Schedule != nil && wanted.Schedule.Start.IsZero() && wanted.Schedule.Days == before.Schedule.Days {
			kept := *wanted.Schedule // nobody said that the days are counted anew
			kept.Start = before.Schedule.Start
			wanted.Schedule = &kept
		}
		now := p.now()
		if wanted, err = wanted.checked(now); err != nil {
			return core.Event{}, err
		}
		if wanted.Trigger != before.Trigger {
			return core.Event{}, core.Invalid("trigger", "a policy keeps its trigger; add another one")
		}
		wanted.ID, wanted.Version, wanted.Created, wanted.Updated, wanted.Round = before.ID, before.Version, before.Created, before.Updated, before.Round
		if after = wanted; wanted.text() == before.text() {
			return core.Event{}, nil
		}
		if err := wanted.Scope.known(ctx, tx, workspace); err != nil {
			return core.Event{}, err
		}
		wanted.Version, wanted.Updated = before.Version+1, now
		if wanted.Enabled != before.Enabled || wanted.Schedule.text() != before.Schedule.text() {
			wanted.Round = wanted.first(now)
		}
		after = wanted
		if _, err := tx.Exec(ctx, updatePolicy, wanted.args(workspace, now)); err != nil {
			return core.Event{}, taken(err)
		}
		return core.NewEvent(core.PolicyChanged, workspace, cause, now, wanted.Target()).With("before", before.text()).With("after", wanted.text()), nil
	})
	return after, err
}

const deletePolicy = `delete from policies where workspace_id = @workspace and id = @id`

// Remove takes a policy away. After the last one about a trigger its default holds again.
func (p *Policies) Remove(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return p.change(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		before, err := one(ctx, tx, selectPolicy+` for update`, workspace, id)
		if err != nil {
			return core.Event{}, err
		}
		_, err = tx.Exec(ctx, deletePolicy, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		return core.NewEvent(core.PolicyRemoved, workspace, cause, p.now(), before.Target()).With("before", before.text()), postgres.Classify(err)
	})
}

// change runs an administrator's command and tells its event, if there is one.
func (p *Policies) change(ctx context.Context, cause core.Cause, workspace core.ID, work func(tx pgx.Tx) (core.Event, error)) error {
	err := p.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := p.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		event, err := work(tx)
		if err != nil || event.ID.IsZero() {
			return err
		}
		return audit.Append(ctx, tx, event)
	})
	if err == nil {
		p.wake()
	}
	return err
}

// known refuses a scope that names what the workspace does not have.
func (s Scope) known(ctx context.Context, q postgres.Querier, workspace core.ID) error {
	return accounts.Known(ctx, q, workspace, s.Apps, slices.Concat(s.Accounts, s.Excluded))
}

func taken(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "policy_name" {
		return core.Conflict("name", "another policy has this name").WithCode("policy_name").Because(err)
	}
	return postgres.Classify(err)
}

func (p Policy) args(workspace core.ID, now time.Time) pgx.StrictNamedArgs {
	args := pgx.StrictNamedArgs{
		"id": p.ID, "workspace": workspace, "name": p.Name, "trigger": string(p.Trigger), "enabled": p.Enabled, "covers": string(p.Scope.Covers),
		"apps": p.Scope.Apps, "tags": p.Scope.Tags, "accounts": p.Scope.Accounts, "excluded": p.Scope.Excluded, "spacing": p.Spacing,
		"delay": p.Delay, "schedule": p.Schedule, "version": p.Version, "now": now,
		"occurrence": nil, "starts": nil, "ends": nil, "base": p.Round.base, "done": p.Round.done, "next": p.Round.next,
	}
	if !p.Round.Day.IsZero() {
		args["occurrence"], args["starts"], args["ends"] = p.Round.Day.Time, p.Round.Starts, p.Round.Ends
	}
	return args
}

// text is what an event says a policy was.
func (p Policy) text() string {
	text, err := json.Marshal(struct {
		Name     string    `json:"name"`
		Trigger  Trigger   `json:"trigger"`
		Enabled  bool      `json:"enabled"`
		Scope    Scope     `json:"scope"`
		Spacing  string    `json:"spacing"`
		Delay    string    `json:"delay,omitempty"`
		Schedule *Schedule `json:"schedule,omitempty"`
	}{p.Name, p.Trigger, p.Enabled, p.Scope, p.Spacing.String(), p.Delay.String(), p.Schedule})
	if err != nil {
		return ""
	}
	return string(text)
}

func (s *Schedule) text() string {
	text, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(text)
}
