package services

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// State is how far the rotation of a credential has come.
type State string

// The states; see the package comment for the way through them.
const (
	Planned     State = "planned"     // there is no new value yet
	Created     State = "created"     // there is one, which is not given out
	Distributed State = "distributed" // its consumers have it, or get it when they ask
	Verified    State = "verified"    // it was seen in use, or an owner says so
	Done        State = "done"        // and the old one is revoked
	RolledBack  State = "rolled_back" // the new one is revoked, the old one stays
)

// order is the way of a rotation that goes well.
var order = []State{Planned, Created, Distributed, Verified, Done}

// Reason is why a credential is rotated.
type Reason string

// The reasons.
const (
	Manual     Reason = "manual"
	BySchedule Reason = "schedule"
	ByApp      Reason = "app" // the account that holds it has another password
)

// Rotation is the replacement of a credential's value: the new one takes the free slot, and the old one is revoked once the new one is in use.
type Rotation struct {
	ID         core.ID    `db:"id"`
	Credential core.ID    `db:"credential_id"`
	Reason     Reason     `db:"reason"`
	State      State      `db:"state"`
	Old        int        `db:"old"` // version that is replaced
	New        int        `db:"new"` // by this one; 0: it is planned
	Steps      int        `db:"steps"`
	Created    time.Time  `db:"created"`
	Updated    time.Time  `db:"updated"`
	Finished   *time.Time `db:"finished"`
}

// Step is one entry of a rotation's history.
type Step struct {
	Number int        `db:"number"`
	State  State      `db:"state"`
	Actor  core.Actor `db:"actor"`
	Detail string     `db:"detail"`
	At     time.Time  `db:"at"`
}

const rotationColumns = `
select id, credential_id, reason, state, old, coalesce(new, 0) as new, steps, created, updated, finished from service_rotations`

const selectOpenRotation = rotationColumns + ` where workspace_id = @workspace and credential_id = @credential and finished is null`

func (s *Services) openRotation(ctx context.Context, q postgres.Querier, workspace, credential core.ID) (*Rotation, error) {
	found, err := postgres.Many[Rotation](ctx, q, selectOpenRotation, pgx.StrictNamedArgs{"workspace": workspace, "credential": credential})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

const selectRotations = rotationColumns + ` where workspace_id = @workspace and credential_id = @credential order by id desc limit 100`

// RotationsOf lists a credential's latest rotations, newest first.
func (s *Services) RotationsOf(ctx context.Context, q postgres.Querier, workspace, credential core.ID) ([]Rotation, error) {
	return postgres.Many[Rotation](ctx, q, selectRotations, pgx.StrictNamedArgs{"workspace": workspace, "credential": credential})
}

const selectRotation = rotationColumns + ` where workspace_id = @workspace and id = @id`

// Rotation finds one by its id.
func (s *Services) Rotation(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Rotation, error) {
	return postgres.One[Rotation](ctx, q, "rotation", selectRotation, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectSteps = `
select number, state, actor, detail, at from service_rotation_steps where workspace_id = @workspace and rotation_id = @rotation order by number`

// StepsOf returns a rotation's history, oldest first.
func (s *Services) StepsOf(ctx context.Context, q postgres.Querier, workspace, rotation core.ID) ([]Step, error) {
	return postgres.Many[Step](ctx, q, selectSteps, pgx.StrictNamedArgs{"workspace": workspace, "rotation": rotation})
}

const insertRotation = `
insert into service_rotations (id, workspace_id, credential_id, reason, state, old, steps, created, updated)
values (@id, @workspace, @credential, @reason, 'planned', @old, 0, @now, @now)`

const updateRotation = `
update service_rotations set state = @state, new = @new, steps = @steps, updated = @now, finished = @finished
where workspace_id = @workspace and id = @id`

const insertStep = `
insert into service_rotation_steps (workspace_id, rotation_id, number, state, actor, detail, at)
values (@workspace, @rotation, @number, @state, @actor, @detail, @now)`

// begin opens a rotation of a credential that has none, planned.
func (s *Services) begin(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, reason Reason, old int, detail string) ([]core.Event, error) {
	now := s.now()
	b.Rotation = &Rotation{ID: core.NewID(), Credential: b.Credential.ID, Reason: reason, State: Planned, Old: old, Created: now, Updated: now}
	if _, err := tx.Exec(ctx, insertRotation, pgx.StrictNamedArgs{
		"id": b.Rotation.ID, "workspace": b.Account.Workspace, "credential": b.Credential.ID, "reason": reason, "old": old, "now": now,
	}); err != nil {
		return nil, collision(err)
	}
	return s.step(ctx, tx, cause, b, Planned, detail)
}

// created goes on with the open rotation, or a new one, now that the newest version is to replace an old one.
func (s *Services) created(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, reason Reason, old int, detail string) (events []core.Event, err error) {
	if b.Rotation == nil {
		if events, err = s.begin(ctx, tx, cause, b, reason, old, ""); err != nil {
			return nil, err
		}
	}
	b.Rotation.New, b.Rotation.Old = b.newest(), old
	told, err := s.step(ctx, tx, cause, b, Created, detail)
	return append(events, told...), err
}

var rotationEvents = map[State]core.EventType{
	Planned: core.ServiceAccountRotationStarted, Done: core.ServiceAccountRotationFinished, RolledBack: core.ServiceAccountRotationRolledBack,
}

// step writes down where the open rotation is now, and returns what is to be told of it.
func (s *Services) step(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, to State, detail string) ([]core.Event, error) {
	now, r := s.now(), b.Rotation
	before := State("")
	if r.Steps > 0 {
		before = r.State // the same: what was to come next did not yet, and the detail says why
	}
	r.State, r.Updated, r.Steps = to, now, r.Steps+1
	if to == Done || to == RolledBack {
		r.Finished = &now
	}
	args := pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "id": r.ID, "state": to, "new": nil, "steps": r.Steps, "now": now, "finished": r.Finished,
	}
	if r.New > 0 {
		args["new"] = r.New
	}
	if _, err := tx.Exec(ctx, updateRotation, args); err != nil {
		return nil, postgres.Classify(err)
	}
	if _, err := tx.Exec(ctx, insertStep, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "rotation": r.ID, "number": r.Steps, "state": to, "actor": cause.Actor, "detail": detail, "now": now,
	}); err != nil {
		return nil, postgres.Classify(err)
	}
	kind, ok := rotationEvents[to]
	if !ok || to == before {
		kind = core.ServiceAccountRotationAdvanced
	}
	event := core.NewEvent(kind, b.Account.Workspace, cause, now, b.Account.Target(), b.Credential.Target(), core.Target{Kind: "rotation", ID: r.ID}).
		Because(detail).With("state", string(to)).With("reason", string(r.Reason))
	if r.Finished != nil {
		b.Rotation = nil
	}
	return []core.Event{event}, nil
}

const updateNext = `update service_credentials set next = @next where workspace_id = @workspace and id = @credential`

// schedule sets when the next rotation is asked for.
func (s *Services) schedule(ctx context.Context, tx pgx.Tx, b *bench, next *time.Time) error {
	b.Credential.Next = next
	_, err := tx.Exec(ctx, updateNext, pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID, "next": next})
	return postgres.Classify(err)
}

// Wish is what a new value is to be.
type Wish struct {
	Value   seal.Secret // held by a vault: what the other system gave out. A password may be left for Postern to make
	Expires *time.Time  // nil: never
}

// Rotate makes the new value of a credential, in the free slot, and begins its rotation or goes on with the one that was planned. What
// Postern made is returned, the only time it can be seen. The old value stays as good as it was. An account's password is rotated by
// core/rotation; the rotation here follows it. What an app makes is asked for, and made soon after. Owners may, administrators, service accounts, themselves too, and the system.
func (s *Services) Rotate(ctx context.Context, cause core.Cause, workspace, credential core.ID, wish Wish) (Rotation, seal.Secret, error) {
	if err := checkExpires(wish.Expires, s.now()); err != nil {
		return Rotation{}, seal.Secret{}, err
	}
	var open Rotation
	var secret seal.Secret
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		b, err := s.at(ctx, tx, workspace, credential)
		if err != nil {
			return nil, err
		}
		if err := s.owner(ctx, tx, cause, workspace, b.Account.ID); err != nil {
			return nil, err
		}
		held := b.Credential.Held
		switch {
		case held != ByVault && !wish.Value.IsZero():
			return nil, core.Invalid("value", "only a vault takes a value")
		case (held == ByAccount || held == InApp) && wish.Expires != nil:
			return nil, core.Invalid("expires", "what an app knows does not expire here")
		case b.Rotation != nil && (b.Rotation.State != Planned || held == ByAccount):
			return nil, core.Conflict("", "a rotation of this credential is under way; finish it or roll it back").WithCode("service_rotation_open")
		}
		old, there := b.given()
		if !there {
			old = b.version(b.newest()) // it has expired: the new one replaces what opens nothing any more
		}
		var events []core.Event
		switch held {
		case ByAccount:
			events, err = s.rotateLogin(ctx, tx, cause, b, rotation.ReasonManual, Manual)
		case InApp:
			events, err = s.order(ctx, tx, cause, b, Manual)
		case ByVault, ByPostern:
			if secret, err = s.mint(ctx, tx, cause, b, wish.Value, wish.Expires); err != nil {
				return nil, err
			}
			events, err = s.created(ctx, tx, cause, b, Manual, old.Version, "")
		}
		if err != nil {
			return nil, err
		}
		open = *b.Rotation
		return events, nil
	})
	return open, secret, err
}

// rotateLogin has the account rotated that holds a credential.
func (s *Services) rotateLogin(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, why rotation.Reason, reason Reason) ([]core.Event, error) {
	old, _ := b.given()
	planned, err := s.Rotations.Plan(ctx, tx, cause, b.Account.Workspace, b.Credential.Login, why, 0)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, tx, cause, b, reason, old.Version, "the app's password is changed: rotation "+planned.ID.String())
}

// Advance goes on with a rotation: to distributed, to verified, to done, or back. reason is in the words of whoever goes on.
//
// Verified takes that the new value was seen in use, by every consumer the credential names, or else the reason of a person who owns
// the service account (Conflict, code "not_seen"). Done revokes the old value; it takes that the old one was not used any more once
// the new one was, for the overlap, or else a reason (code "old_in_use"). Rolling back revokes the new value; it takes an old one that
// still opens something (code "old_gone"). A rotation that is there already stays as it is.
func (s *Services) Advance(ctx context.Context, cause core.Cause, workspace, rotation core.ID, to State, reason string) (Rotation, error) {
	if err := checkText("reason", reason, 0, maxNote); err != nil {
		return Rotation{}, err
	}
	var after Rotation
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		found, err := s.Rotation(ctx, tx, workspace, rotation)
		if err != nil {
			return nil, err
		}
		b, err := s.at(ctx, tx, workspace, found.Credential)
		if err != nil {
			return nil, err
		}
		if err := s.owner(ctx, tx, cause, workspace, b.Account.ID); err != nil {
			return nil, err
		}
		if reason != "" {
			if err := itself(cause, b.Account.ID); err != nil {
				return nil, err
			}
		}
		events, err := s.advance(ctx, tx, cause, b, rotation, to, reason)
		if err != nil {
			return nil, err
		}
		after, err = s.Rotation(ctx, tx, workspace, rotation)
		return events, err
	})
	return after, err
}

func (s *Services) advance(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, rotation core.ID, to State, reason string) ([]core.Event, error) {
	if b.Rotation == nil || b.Rotation.ID != rotation { // it has ended, perhaps meanwhile
		found, err := s.Rotation(ctx, tx, b.Account.Workspace, rotation)
		if err == nil && found.State != to {
			err = core.Conflict("state", "this rotation has ended").WithCode("ended")
		}
		return nil, err
	}
	from := slices.Index(order, b.Rotation.State)
	switch {
	case to == RolledBack:
		return s.rollBack(ctx, tx, cause, b, reason)
	case to == b.Rotation.State:
		return nil, nil
	case b.Credential.Held == ByAccount:
		return nil, core.Conflict("state", "the app's own rotation goes on by itself; look at the account").WithCode("by_itself")
	case to != Distributed && to != Verified && to != Done || slices.Index(order, to) != from+1:
		return nil, core.Conflict("state", "a rotation that is %s cannot become %s; it goes from created to distributed, verified and done", b.Rotation.State, to).WithCode("wrong_state")
	case to == Distributed && b.Credential.Held == InApp:
		return nil, core.Conflict("state", "Postern tries the new token in the app, and gives it out once the app lets it in").WithCode("by_itself")
	case to == Distributed:
		return s.step(ctx, tx, cause, b, to, reason)
	case to == Verified:
		seen, err := s.inUse(ctx, tx, b)
		if err != nil {
			return nil, err
		}
		if !seen && reason == "" {
			return nil, core.Conflict("state", "the new value was not seen in use by all who need it; say why it can be relied on all the same").WithCode("not_seen")
		}
		if !seen {
			reason = "not seen in use: " + reason
		}
		return s.step(ctx, tx, cause, b, to, reason)
	}
	if !b.quiet(s.now()) && reason == "" {
		return nil, core.Conflict("state", "the old value is still in use; say why it may be revoked all the same, or wait").WithCode("old_in_use")
	}
	return s.finish(ctx, tx, cause, b, reason)
}

const selectConsumersSeen = `
select distinct consumer from service_uses where workspace_id = @workspace and credential_id = @credential and version = @version`

// inUse reports whether the new value was seen in use, by every consumer that is named.
func (s *Services) inUse(ctx context.Context, tx pgx.Tx, b *bench) (bool, error) {
	if b.version(b.Rotation.New).FirstUsed == nil {
		return false, nil
	}
	rows, err := tx.Query(ctx, selectConsumersSeen, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": b.Rotation.New,
	})
	if err != nil {
		return false, postgres.Classify(err)
	}
	seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
	missing := slices.ContainsFunc(b.Credential.Consumers, func(name string) bool { return !slices.Contains(seen, name) })
	return !missing, postgres.Classify(err)
}

// coarse is how exactly uses are known.
const coarse = time.Minute

// quiet reports whether the old value is used no more: not since the new one is, or not for the overlap.
func (b *bench) quiet(now time.Time) bool {
	old, new := b.version(b.Rotation.Old), b.version(b.Rotation.New)
	switch {
	case old.LastUsed == nil || !old.Live(now):
		return true
	case new.FirstUsed != nil && !old.LastUsed.After(new.FirstUsed.Add(coarse)):
		return true
	}
	return now.Sub(*old.LastUsed) >= b.Credential.Overlap
}

// finish revokes the old value of a rotation that is verified.
func (s *Services) finish(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, detail string) ([]core.Event, error) {
	var events []core.Event
	if old := b.version(b.Rotation.Old); old.Version > 0 && old.Revoked == nil {
		if b.Credential.Held == InApp {
			if b.version(b.Rotation.New).Ending != nil {
				return nil, core.Conflict("state", "it is being rolled back").WithCode("old_stays")
			}
			return s.end(ctx, tx, cause, b, old, detail) // and then it is done
		}
		ended, err := s.revoke(ctx, tx, cause, b, old)
		if err != nil {
			return nil, err
		}
		events = ended
	}
	if b.Credential.Every > 0 {
		if err := s.schedule(ctx, tx, b, new(s.now().AddDate(0, 0, b.Credential.Every))); err != nil {
			return nil, err
		}
	}
	told, err := s.step(ctx, tx, cause, b, Done, detail)
	return append(events, told...), err
}

// rollBack revokes the new value, if there is one, and leaves the old one.
func (s *Services) rollBack(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, reason string) ([]core.Event, error) {
	var events []core.Event
	if fresh := b.version(b.Rotation.New); fresh.Version > 0 {
		if old := b.version(b.Rotation.Old); !old.Live(s.now()) {
			return nil, core.Conflict("state", "the old value opens nothing any more; without the new one nothing would").WithCode("old_gone")
		}
		if b.Credential.Held == ByAccount {
			return nil, core.Conflict("state", "the app has the new password; rotate the account again").WithCode("by_itself")
		}
		if fresh.Revoked == nil {
			if b.Credential.Held == InApp {
				return s.end(ctx, tx, cause, b, fresh, reason)
			}
			ended, err := s.revoke(ctx, tx, cause, b, fresh)
			if err != nil {
				return nil, err
			}
			events = ended
		}
	}
	if b.Credential.Every > 0 { // what was due stays due
		if err := s.schedule(ctx, tx, b, new(s.now().Add(usualOverlap))); err != nil {
			return nil, err
		}
	}
	told, err := s.step(ctx, tx, cause, b, RolledBack, reason)
	return append(events, told...), err
}

const updateRevoked = `
update service_versions set revoked = @now where workspace_id = @workspace and credential_id = @credential and version = @version and revoked is null`

// revoke ends one value. What it told of ends with it.
func (s *Services) revoke(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, version Version) ([]core.Event, error) {
	now := s.now()
	if b.Credential.Held == ByPostern {
		err := s.Directory.RevokeServiceAccountToken(ctx, tx, cause, b.Account.Workspace, b.Account.ID, version.Token)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return nil, err
		}
	}
	if _, err := tx.Exec(ctx, updateRevoked, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "now": now,
	}); err != nil {
		return nil, postgres.Classify(err)
	}
	for i := range b.Versions {
		if b.Versions[i].Version == version.Version {
			b.Versions[i].Revoked = &now
		}
	}
	args := pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "now": now}
	if _, err := tx.Exec(ctx, endExposure, args); err != nil {
		return nil, postgres.Classify(err)
	}
	return s.forget(ctx, tx, cause, b.Account)
}

// progress notes that the new value of an open rotation is in use, if it is.
func (s *Services) progress(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error) {
	if b.Rotation == nil || b.Credential.Held == ByAccount || b.Rotation.State != Created && b.Rotation.State != Distributed {
		return nil, nil
	}
	seen, err := s.inUse(ctx, tx, b)
	if err != nil || !seen {
		return nil, err
	}
	var events []core.Event
	for _, to := range []State{Distributed, Verified} {
		if slices.Index(order, b.Rotation.State) >= slices.Index(order, to) {
			continue
		}
		told, err := s.step(ctx, tx, cause, b, to, "seen in use")
		if err != nil {
			return nil, err
		}
		events = append(events, told...)
	}
	return events, nil
}
