package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/postgres"
)

// Locked is a user who is locked as part of what is sent to the database together.
type Locked struct {
	found []User
}

// QueueLock is LockUser as part of what is sent to the database together. User tells what was found
// once that is done.
func (d *Directory) QueueLock(batch *pgx.Batch, workspace, id core.ID) *Locked {
	locked := &Locked{}
	batch.Queue(selectUserForUpdate, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Query(func(rows pgx.Rows) error {
		locked.found = nil
		var user User
		_, err := pgx.ForEachRow(rows, []any{
			&user.ID, &user.Workspace, &user.Connection, &user.UserName, &user.ExternalID, &user.DisplayName, &user.GivenName, &user.FamilyName,
			&user.Email, &user.Active, &user.Role, &user.Attributes, &user.Version, &user.Epoch, &user.Created, &user.Updated, &user.Deleted,
		}, func() error {
			locked.found = append(locked.found, user)
			return nil
		})
		return err
	})
	return locked
}

// User is the locked user, or NotFound.
func (l *Locked) User() (User, error) {
	if len(l.found) == 0 {
		return User{}, core.NotFound("user")
	}
	return l.found[0], nil
}

// A locked user changes under nobody's hands, so what is counted can be told beforehand. The version
// is asked all the same: a mistake of ours is to fail.
const updateLocked = `
with changed as (
	update users
	set user_name = @user_name, external_id = @external_id, display_name = @display_name, given_name = @given_name,
	    family_name = @family_name, email = @email, active = @active, role = @role, attributes = @attributes, deleted = @deleted,
	    version = version + 1, updated = @now, epoch = @epoch
	where workspace_id = @workspace and id = @id and version = @version and deleted is null
	returning connection_id
), counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, users, active)
	select @workspace::uuid, connection_id, count_slot(), @more_users::integer, @more_active::integer
	from changed
	where connection_id is not null and (@more_users::integer <> 0 or @more_active::integer <> 0)
	on conflict (workspace_id, connection_id, slot) do update set users = c.users + excluded.users, active = c.active + excluded.active
)
select from changed`

// QueueUpdate is UpdateUser of a locked user as part of what is sent to the database together, and
// returns them as they will be stored. before is who was locked. ended, if not nil, is when their
// sessions were ended: it raises the epoch.
func (d *Directory) QueueUpdate(batch *pgx.Batch, before, user User, ended *time.Time) (User, error) {
	user, err := user.check()
	if err != nil {
		return User{}, err
	}
	user.Version, user.Updated, user.Epoch = before.Version+1, d.now(), before.Epoch
	// The epoch only rises: a clock that runs behind must not bring back what a logout killed.
	if ended != nil && (before.Epoch == nil || ended.After(*before.Epoch)) {
		user.Epoch = ended
	}
	lives := user.Deleted == nil
	moreUsers, moreActive := 0, count(user.Active && lives)-count(before.Active)
	if !lives {
		moreUsers = -1
	}
	batch.Queue(updateLocked, pgx.StrictNamedArgs{
		"id": user.ID, "workspace": user.Workspace, "user_name": user.UserName, "external_id": user.ExternalID,
		"display_name": user.DisplayName, "given_name": user.GivenName, "family_name": user.FamilyName, "email": user.Email,
		"active": user.Active, "role": user.Role, "attributes": user.Attributes, "deleted": user.Deleted, "version": before.Version,
		"now": user.Updated, "epoch": user.Epoch, "more_users": moreUsers, "more_active": moreActive,
	}).Exec(func(done pgconn.CommandTag) error {
		if done.RowsAffected() != 1 {
			return stale("user")
		}
		return nil
	})
	return user, nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// QueueRaiseEpoch raises a locked user's epoch to when their sessions were ended.
func (d *Directory) QueueRaiseEpoch(batch *pgx.Batch, workspace, user core.ID, ended time.Time) {
	batch.Queue(raiseEpoch, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": ended})
}

const lockTeamsOf = `
select t.id from teams t
where t.workspace_id = @workspace and t.deleted is null
	and t.id in (select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = @user)
order by t.id
for no key update of t`

// QueueLockTeamsOf locks the teams that list a user. It comes before the user's own lock: who changes
// a team locks it before its people.
func (d *Directory) QueueLockTeamsOf(batch *pgx.Batch, workspace, user core.ID) {
	batch.Queue(lockTeamsOf, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
}

const raiseTeamsOf = `
update teams t set version = version + 1, updated = @now
where t.workspace_id = @workspace and t.deleted is null
	and t.id in (select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = @user)`

// RaiseTeamsOf gives the teams that list a user their next version: the user is no longer seen in
// them, or is seen again. The teams are to be locked by QueueLockTeamsOf.
func (d *Directory) RaiseTeamsOf(ctx context.Context, q postgres.Querier, workspace, user core.ID) error {
	_, err := q.Exec(ctx, raiseTeamsOf, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": d.now()})
	return err
}
