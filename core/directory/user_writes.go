package directory

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

const insertUser = `
with counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, users, active)
	select @workspace::uuid, @connection::uuid, count_slot(), 1, @active::boolean::int where @connection::uuid is not null
	on conflict (workspace_id, connection_id, slot) do update set users = c.users + excluded.users, active = c.active + excluded.active
)
insert into users (id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active,
                   role, attributes, version, created, updated)
values (@id, @workspace, @connection, @user_name, @external_id, @display_name, @given_name, @family_name, @email, @active,
        @role, @attributes, 1, @now, @now)`

// InsertUser adds a user to user.Workspace and returns them as stored: with an id unless one was
// given, version 1, and the role user (guest without a connection) unless one was given. Collisions
// are Conflicts on "userName" or "externalId".
func (d *Directory) InsertUser(ctx context.Context, tx pgx.Tx, user User) (User, error) {
	if user.ID.IsZero() {
		user.ID = core.NewID()
	}
	if user.Role == "" {
		user.Role = RoleUser
		if user.Connection.IsZero() {
			user.Role = RoleGuest
		}
	}
	user, err := user.check()
	if err != nil {
		return User{}, err
	}
	now := d.now()
	user.Version, user.Epoch, user.Created, user.Updated, user.Deleted = 1, nil, now, now, nil
	_, err = tx.Exec(ctx, insertUser, pgx.StrictNamedArgs{
		"id": user.ID, "workspace": user.Workspace, "connection": user.Connection, "user_name": user.UserName,
		"external_id": user.ExternalID, "display_name": user.DisplayName, "given_name": user.GivenName, "family_name": user.FamilyName,
		"email": user.Email, "active": user.Active, "role": user.Role, "attributes": user.Attributes, "now": now,
	})
	if err != nil {
		return User{}, collision(err)
	}
	return user, nil
}

// The epoch is not among the columns: it only ever rises, in EndSessions. What is counted changes with
// the row or not at all: the version makes sure that before is the row that is updated.
const updateUser = `
with before as (
	select id, connection_id, active from users
	where workspace_id = @workspace and id = @id and version = @version and deleted is null
), changed as (
	update users
	set user_name = @user_name, external_id = @external_id, display_name = @display_name, given_name = @given_name,
	    family_name = @family_name, email = @email, active = @active, role = @role, attributes = @attributes, deleted = @deleted,
	    version = version + 1, updated = @now
	where workspace_id = @workspace and id = @id and version = @version and deleted is null
	returning id, version, epoch
), counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, users, active)
	select @workspace::uuid, b.connection_id, count_slot(), -(@deleted::timestamptz is not null)::int,
	       (@active::boolean and @deleted::timestamptz is null)::int - b.active::int
	from before b join changed using (id)
	where b.connection_id is not null and (@deleted::timestamptz is not null or b.active <> @active::boolean)
	on conflict (workspace_id, connection_id, slot) do update set users = c.users + excluded.users, active = c.active + excluded.active
)
select version, epoch from changed`

// UpdateUser writes every field of a user but id, workspace, connection, epoch and created, and
// returns them as stored, one version on. A user that changed since user.Version was read is Stale.
func (d *Directory) UpdateUser(ctx context.Context, tx pgx.Tx, user User) (User, error) {
	user, err := user.check()
	if err != nil {
		return User{}, err
	}
	user.Updated = d.now()
	err = tx.QueryRow(ctx, updateUser, pgx.StrictNamedArgs{
		"id": user.ID, "workspace": user.Workspace, "user_name": user.UserName, "external_id": user.ExternalID,
		"display_name": user.DisplayName, "given_name": user.GivenName, "family_name": user.FamilyName, "email": user.Email,
		"active": user.Active, "role": user.Role, "attributes": user.Attributes, "deleted": user.Deleted, "version": user.Version,
		"now": user.Updated,
	}).Scan(&user.Version, &user.Epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, d.staleUser(ctx, tx, user)
	}
	if err != nil {
		return User{}, collision(err)
	}
	return user, nil
}

func (d *Directory) staleUser(ctx context.Context, tx pgx.Tx, user User) error {
	if _, err := d.User(ctx, tx, user.Workspace, user.ID); err != nil {
		return err
	}
	return stale("user")
}

// stale says that a row changed between its read and its write.
func stale(noun string) error {
	return &core.Error{Kind: core.KindStale, Message: "the " + noun + " has changed meanwhile; read it again"}
}
