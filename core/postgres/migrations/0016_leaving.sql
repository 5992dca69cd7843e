-- Who leaves is shut out by the request that says so, and what they have is taken right after. Until
-- then they are in this table, which is written by every departure: it has no more than that needs.
create table leavers (
	workspace_id  uuid not null,
	user_id       uuid not null,
	departed      timestamptz not null,         -- since when they can look at nothing
	cause         json not null,                -- core.Cause
	due           timestamptz not null,         -- when it is to be taken, or tried again
	attempts      integer not null default 0,   -- that failed
	primary key (workspace_id, user_id)
);
create index leavers_due on leavers (due);

-- What was taken back meanwhile from somebody who leaves is rotated too.
create index grants_revoked_user on grants (workspace_id, user_id, revoked) where revoked is not null and user_id is not null;
create index grants_revoked_team on grants (workspace_id, team_id, revoked) where revoked is not null and team_id is not null;

-- What is left in departures is those that were held.
drop index departures_recent;
delete from departures where hold_id is null;

-- How many people connections took away lately, without counting them: what the guard goes by. It
-- begins anew with every decision about a hold. Each server process of the database writes to a slot,
-- so that departures at the same time do not wait for each other; slots of times past are put together.
create table departure_counts (
	workspace_id  uuid not null,
	connection_id uuid not null,
	since         timestamptz not null,         -- of the five minutes that are counted
	slot          smallint not null,
	people        integer not null,
	primary key (workspace_id, connection_id, since, slot)
) with (fillfactor = 50);
