package directory

import (
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// The signals of one connection that came together, a row each. How many there are is hidden from the planner, or it would
// plan anew each time. Whom each means is found as QueueLockMeant does, by its keys, whatever the statistics say.
const outWishes = `
	from unnest((select @ids::uuid[]), @names::text[], @tokens::text[], @bodies::bytea[], @statuses::integer[], @expires::timestamptz[],
		@said::text[], @due::timestamptz[]) as w (id, name, token, body, status, expires, said, due))`

const outByEmail = `
with named as materialized (
	select w.*, array(
		select id from (
			select id, connection_id from users
			where workspace_id = @workspace and fold(email) collate "C" = fold(w.name) and email <> '' and deleted is null offset 0) u
		where connection_id is not distinct from @connection::uuid
		union all
		select id from users
		where workspace_id = @workspace and connection_id = @connection::uuid and fold(user_name) collate "C" = fold(w.name) and user_name <> ''
			and deleted is null and (email = '' or fold(email) collate "C" <> fold(w.name))) as ids` + outWishes + outLocked

const outBySubject = `
with own as materialized (` + meantIssuers + `), named as materialized (
	select w.*, array(
		select distinct u.id from own cross join lateral (
			select user_id from identities
			where workspace_id = @workspace and connection_id = @connection and subject = w.name
				and issuer = any(case when own.ours then own.names || @issuer::text else array[@issuer::text] end) offset 0) i
		cross join lateral (
			select id from users
			where id = i.user_id and workspace_id = @workspace and connection_id is not distinct from @connection::uuid and deleted is null offset 0) u) as ids` + outWishes + outLocked

// Nobody waits for another's lock here: whoever is locked is left alone, with everybody who was to go with them.
const outLocked = `, locked as materialized (
	select u.id from users u where u.workspace_id = @workspace and u.id = any(array(select unnest(ids) from named))
	order by u.id for no key update skip locked
), used as (
	insert into signed_token_uses (connection_id, token_id, body_hash, status, expires)
	select @connection::uuid, n.token, n.body, n.status, n.expires from named n
	where n.ids <> '{}' and n.ids <@ array(select id from locked)
		and exists (select from connections where workspace_id = @workspace and id = @connection and xmin::text::bigint = @row::bigint)
		and `

const outUsed = `
	on conflict (connection_id, token_id) do nothing
	returning token_id
), out as materialized (
	select n.id, n.ids, n.said, n.due from used join named n on n.token = used.token_id
), raised as (
	update users u set epoch = greatest(coalesce(u.epoch, @now::timestamptz), @now::timestamptz)
	where u.workspace_id = @workspace and u.id = any(array(select unnest(ids) from out))
)`

// OutByEmail and OutBySubject make statements that raise the epochs of whom the verified tokens of a connection mean, so
// that all their sessions are dead, and use each token up: if its connection is still the version it was judged by, if
// the token is used for the first time, if the condition is true, and if nobody else has locked any of whom it means.
// then goes on from "out", which has a row for each token for which that was done: its id, their ids as ids, and its
// said and due as they were given. Named are workspace, connection, row, now (OutMoment), and lists of as many members
// each, with no token twice: ids, tokens, bodies, statuses, expires, said, due, and names, which are the e-mail
// addresses, or the subjects of one issuer.
func OutByEmail(condition, then string) string { return outByEmail + condition + outUsed + then }

// OutBySubject is for those named by an issuer and a subject that is linked: see OutByEmail.
func OutBySubject(condition, then string) string { return outBySubject + condition + outUsed + then }

// OutMoment is now, by the clock that sessions and epochs are dated by.
func (d *Directory) OutMoment() time.Time { return d.now() }

// OutLatest raises the epochs of users, a query of workspace_id and user_id, to their latest sessions: what began after
// the moment they were raised to, and before the lock. It is sent after the statements above, in their transaction.
func OutLatest(users string) string {
	return `
update users u set epoch = (
	select max(s.created) from sessions s where s.user_id = u.id and s.workspace_id = u.workspace_id and s.ended is null)
where (u.workspace_id, u.id) in (
	select one.workspace_id, one.user_id from (` + users + `) one
	cross join lateral (select epoch from users where workspace_id = one.workspace_id and id = one.user_id offset 0) e
	cross join lateral (
		select created from sessions where user_id = one.user_id and workspace_id = one.workspace_id and ended is null offset 0) s
	where s.created > e.epoch)`
}

// Each by its keys, whatever the statistics say. What began after the epoch is not meant.
const endDeadSessions = `
update sessions s set ended = @now, end_reason = @reason
where s.workspace_id = @workspace and s.ended is null and s.id = any(array(
	select one.id from ` + MeantUsers + ` meant
	cross join lateral (select epoch from users where workspace_id = @workspace and id = meant.id offset 0) u
	cross join lateral (
		select id, created from sessions where workspace_id = @workspace and user_id = meant.id and ended is null offset 0) one
	where one.created <= u.epoch))
returning s.user_id, s.id, ` + sessionLived

// QueueEndDead ends the sessions that the epochs killed of whom QueueLockUsers locked before it in the same
// transaction, as of the moment that was, and lists them.
func (d *Directory) QueueEndDead(batch *pgx.Batch, workspace core.ID, at time.Time, reason string, ended *[]Ended) {
	d.queueEnd(batch, endDeadSessions, workspace, at, reason, ended)
}
