package directory

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// Meant is how a signal names somebody of one connection. One of Email, ID and Subject is set.
type Meant struct {
	Workspace  core.ID
	Connection core.ID // zero: those no identity provider provisions
	Email      string  // e-mail address or userName, whatever its case
	ID         string  // ours, the identity provider's externalId, or a subject of its own issuers
	Issuer     string  // with Subject
	Subject    string
	Public     string // our own address, as an issuer: its subjects may be ids given at provisioning
	SID        string // alone: whoever has a live session that the identity provider calls so
}

// Who was locked is kept for the transaction, so that the statements sent with this one are about the same people.
const lockMeant = `
with ` + lockNamed

const lockNamed = `locked as (
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users
where workspace_id = @workspace and connection_id is not distinct from @connection::uuid and deleted is null and id = any(array(`

// In one order over all commands, so that two of them cannot wait for each other.
const lockMeantEnd = `))
order by id for update)
select locked.*, set_config('postern.meant', concat_ws(',', nullif(current_setting('postern.meant', true), ''), id::text), true) from locked`

// MeantUsers are the ids of whom a transaction locked by QueueLockMeant, as a table for its other statements.
const MeantUsers = `(select distinct id::uuid as id from string_to_table(current_setting('postern.meant', true), ',') id where id <> '')`

const lockMeantByEmail = lockMeant + `
	select id from users
	where workspace_id = @workspace and fold(email) collate "C" = fold(@email) and email <> '' and deleted is null
	union all
	select id from users
	where workspace_id = @workspace and connection_id = @connection::uuid and fold(user_name) collate "C" = fold(@email)
		and user_name <> '' and deleted is null
	union all
	select id from users
	where workspace_id = @workspace and connection_id is null and @connection::uuid is null and fold(user_name) collate "C" = fold(@email)
		and user_name <> '' and deleted is null` + lockMeantEnd

// The connection's own names are the issuer and the further ones: an organisation with two domains has one set
// of subjects. People type them with and without a slash at the end.
const meantIssuers = `
	select n.names, rtrim(@issuer, '/') = any(array(select rtrim(x, '/') from unnest(n.names) x)) as ours
	from (select array_remove(array[issuer] || logout_issuers, '') as names from connections where workspace_id = @workspace and id = @connection) n`

const lockMeantBySubject = `
with own as (` + meantIssuers + `), linked as (
	select i.user_id from own cross join lateral (
		select user_id from identities
		where workspace_id = @workspace and connection_id = @connection and subject = @subject
			and issuer = any(case when own.ours then own.names || @issuer::text else array[@issuer::text] end)
	) i
), given as (
	select u.id from own cross join lateral (
		select id from users where workspace_id = @workspace and id = @own::uuid
		union all
		select id from users where connection_id = @connection and external_id = @subject and external_id <> '' and deleted is null
	) u
	where not exists (select from linked) and (own.ours or rtrim(@issuer, '/') = rtrim(@public, '/'))
), ` + lockNamed + `select user_id from linked union all select id from given` + lockMeantEnd

const lockMeantByID = `
with given as (
	select id from users where workspace_id = @workspace and id = @own::uuid
	union all
	select id from users where connection_id = @connection and external_id = @id and external_id <> '' and deleted is null
), linked as (
	select i.user_id from connections c join identities i on i.workspace_id = c.workspace_id and i.connection_id = c.id
	where c.workspace_id = @workspace and c.id = @connection and i.subject = @id and i.issuer = any(array[c.issuer] || c.logout_issuers)
		and not exists (select from given)
), ` + lockNamed + `select id from given union all select user_id from linked` + lockMeantEnd

const lockMeantBySID = lockMeant + `
	select s.user_id from connections c join sessions s on s.workspace_id = c.workspace_id and s.connection_id = c.id
	where c.workspace_id = @workspace and c.id = @connection and s.sid = @sid and s.sid <> '' and s.ended is null
		and s.issuer = any(array[c.issuer] || c.logout_issuers)` + lockMeantEnd

// QueueLockMeant locks whom a signal means, inside the connection and nowhere else, as part of what is sent to
// the database together, and adds them to users, each once. An e-mail address that several share means all of
// them: a person too many who signs in again is better than one session that lives on.
func (d *Directory) QueueLockMeant(batch *pgx.Batch, meant Meant, users *[]User) {
	args := pgx.StrictNamedArgs{"workspace": meant.Workspace, "connection": meant.Connection}
	var statement string
	switch {
	case meant.Email != "":
		statement, args["email"] = lockMeantByEmail, meant.Email
	case meant.Subject != "":
		statement, args["issuer"], args["subject"] = lockMeantBySubject, meant.Issuer, meant.Subject
		args["public"], args["own"] = meant.Public, ownID(meant.Subject)
	case meant.ID != "":
		statement, args["id"], args["own"] = lockMeantByID, meant.ID, ownID(meant.ID)
	default:
		statement, args["sid"] = lockMeantBySID, meant.SID
	}
	batch.Queue(statement, args).Query(func(rows pgx.Rows) error { return collectUsers(rows, users) })
}

const lockUsersByID = lockMeant + `select unnest(@ids::uuid[])` + lockMeantEnd

// QueueLockUsers locks users by their ids, in one order over all commands, and adds them to users.
func (d *Directory) QueueLockUsers(batch *pgx.Batch, workspace, connection core.ID, ids []core.ID, users *[]User) {
	batch.Queue(lockUsersByID, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "ids": ids}).
		Query(func(rows pgx.Rows) error { return collectUsers(rows, users) })
}

func collectUsers(rows pgx.Rows, users *[]User) error {
	var user User
	_, err := pgx.ForEachRow(rows, []any{
		&user.ID, &user.Workspace, &user.Connection, &user.UserName, &user.ExternalID, &user.DisplayName, &user.GivenName, &user.FamilyName,
		&user.Email, &user.Active, &user.Role, &user.Attributes, &user.Version, &user.Epoch, &user.Created, &user.Updated, &user.Deleted, nil,
	}, func() error {
		for _, known := range *users {
			if known.ID == user.ID {
				return nil
			}
		}
		*users = append(*users, user)
		return nil
	})
	return err
}

// ownID is the id a text is; the zero id, which is nobody's, for any other text.
func ownID(text string) core.ID {
	id, err := core.ParseID(strings.ToLower(text))
	if err != nil {
		return core.ID{}
	}
	return id
}
