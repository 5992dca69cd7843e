package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectUser = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users where workspace_id = @workspace and id = @id and deleted is null`

// User reads one user.
func (d *Directory) User(ctx context.Context, q postgres.Querier, workspace, id core.ID) (User, error) {
	return postgres.One[User](ctx, q, "user", selectUser, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectUserForUpdate = selectUser + ` for update`

// LockUser reads one user and holds it until the transaction ends: nobody else can change them, start
// a session for them or give them something meanwhile.
func (d *Directory) LockUser(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (User, error) {
	return postgres.One[User](ctx, tx, "user", selectUserForUpdate, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectUserForShare = selectUser + ` for share`

// HoldUser reads one user and keeps them as they are until the transaction ends: who may do something
// by what it returns cannot be shut out before it is done. Many may hold one user at once.
func (d *Directory) HoldUser(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (User, error) {
	return postgres.One[User](ctx, tx, "user", selectUserForShare, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectUserByName = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users
where workspace_id = @workspace and connection_id = @connection and fold(user_name) collate "C" = fold(@name) and user_name <> ''
	and deleted is null`

// UserByName finds a connection's user by userName, whatever its case.
func (d *Directory) UserByName(ctx context.Context, q postgres.Querier, workspace, connection core.ID, name string) (User, error) {
	return postgres.One[User](ctx, q, "user", selectUserByName, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "name": name})
}

const selectUsersByEmail = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users where workspace_id = @workspace and fold(email) collate "C" = fold(@email) and email <> '' and deleted is null
order by created, id`

// UsersByEmail finds the users with this primary e-mail address, whatever its case. An address is not
// unique: the caller decides what several mean.
func (d *Directory) UsersByEmail(ctx context.Context, q postgres.Querier, workspace core.ID, email string) ([]User, error) {
	return postgres.Many[User](ctx, q, selectUsersByEmail, pgx.StrictNamedArgs{"workspace": workspace, "email": email})
}

const selectUserByExternalID = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users
where workspace_id = @workspace and connection_id = @connection and external_id = @external and external_id <> '' and deleted is null`

// UserByExternalID finds a user by what their connection calls them.
func (d *Directory) UserByExternalID(ctx context.Context, q postgres.Querier, workspace, connection core.ID, external string) (User, error) {
	return postgres.One[User](ctx, q, "user", selectUserByExternalID,
		pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "external": external})
}

// UserQuery selects users; a zero field does not narrow. UserName and Email match whatever the case,
// ExternalID exactly.
type UserQuery struct {
	Connection core.ID
	UserName   string
	ExternalID string
	Email      string
	Active     *bool
	Offset     int
	Limit      int // 0 means DefaultLimit; a negative one only counts
}

const selectUsers = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users`

const countUsers = `select count(*) from users`

const pageOrder = ` order by created, id limit @limit offset @offset`

// Users is one page of the users that match, in the order they were created, and how many match in
// all. Inactive users are among them, deleted ones never.
func (d *Directory) Users(ctx context.Context, q postgres.Querier, workspace core.ID, query UserQuery) ([]User, int, error) {
	c := inWorkspace(workspace)
	if !query.Connection.IsZero() {
		c.and("connection_id = @connection", "connection", query.Connection)
	}
	if query.UserName != "" {
		c.and(`fold(user_name) collate "C" = fold(@user_name) and user_name <> ''`, "user_name", query.UserName)
	}
	if query.ExternalID != "" {
		c.and("external_id = @external_id and external_id <> ''", "external_id", query.ExternalID)
	}
	if query.Email != "" {
		c.and(`fold(email) collate "C" = fold(@email) and email <> ''`, "email", query.Email)
	}
	if query.Active != nil {
		c.and("active = @active", "active", *query.Active)
	}
	return pageOf[User](ctx, q, c, selectUsers, countUsers, query.Offset, query.Limit)
}

// pageOf reads a page, and counts only when the page itself does not tell the total: a lookup that
// finds one row or none is one query.
func pageOf[Row any](ctx context.Context, q postgres.Querier, c *conditions, selecting, counting string, offset, limit int) ([]Row, int, error) {
	offset, limit = window(offset, limit)
	var page []Row
	if limit > 0 {
		var err error
		page, err = postgres.Many[Row](ctx, q, selecting+c.where()+pageOrder, c.page(offset, limit))
		if err != nil {
			return nil, 0, err
		}
		if len(page) < limit && (len(page) > 0 || offset == 0) {
			return page, offset + len(page), nil
		}
	}
	var total int
	err := q.QueryRow(ctx, counting+c.where(), c.args).Scan(&total)
	return page, total, postgres.Classify(err)
}

const lockWorkspaceOwners = `select id from workspaces where id = @workspace for no key update`

const countOtherOwners = `
select count(*) from users
where workspace_id = @workspace and id <> @user and role = 'owner' and active and deleted is null`

// OtherOwners counts the active owners of a workspace beside one user, and keeps that number from
// falling until the transaction ends by making every transaction that asks wait for this one.
func (d *Directory) OtherOwners(ctx context.Context, tx pgx.Tx, workspace, user core.ID) (int, error) {
	if _, err := tx.Exec(ctx, lockWorkspaceOwners, pgx.StrictNamedArgs{"workspace": workspace}); err != nil {
		return 0, err
	}
	var others int
	err := tx.QueryRow(ctx, countOtherOwners, pgx.StrictNamedArgs{"workspace": workspace, "user": user}).Scan(&others)
	return others, err
}

const selectTargets = `
select id, user_name, display_name from users where workspace_id = @workspace and id = any(@users::uuid[])`

// Targets names users for events, deleted ones too. An id of no user of the workspace is left out.
func (d *Directory) Targets(ctx context.Context, q postgres.Querier, workspace core.ID, users []core.ID) (map[core.ID]core.Target, error) {
	targets := make(map[core.ID]core.Target, len(users))
	if len(users) == 0 {
		return targets, nil
	}
	rows, err := q.Query(ctx, selectTargets, pgx.StrictNamedArgs{"workspace": workspace, "users": users})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var user User
	_, err = pgx.ForEachRow(rows, []any{&user.ID, &user.UserName, &user.DisplayName}, func() error {
		targets[user.ID] = user.Target()
		return nil
	})
	return targets, postgres.Classify(err)
}
