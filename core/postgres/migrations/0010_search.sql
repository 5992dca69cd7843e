-- How many there are, without counting them: what an identity provider asks with every page. Each
-- server process of the database writes to a slot of its own, so that two that add somebody at the
-- same time do not wait for each other; a slot may fall below zero, the sum of all is right.
create table directory_counts (
	workspace_id  uuid not null,
	connection_id uuid not null,
	slot          smallint not null,
	users         bigint not null default 0,    -- not deleted
	active        bigint not null default 0,    -- of those, the active ones
	teams         bigint not null default 0,
	primary key (workspace_id, connection_id, slot),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
) with (fillfactor = 50);

insert into directory_counts (workspace_id, connection_id, slot, users, active)
select workspace_id, connection_id, 0, count(*), count(*) filter (where active)
from users where deleted is null and connection_id is not null group by workspace_id, connection_id;

insert into directory_counts as c (workspace_id, connection_id, slot, teams)
select workspace_id, connection_id, 0, count(*)
from teams where deleted is null and connection_id is not null group by workspace_id, connection_id
on conflict (workspace_id, connection_id, slot) do update set teams = excluded.teams;

-- Names are the same whatever their case, in every script and whatever the database's own locale.
-- The order "C" is the order of the characters' numbers, which serves prefixes too.
create function fold(value text) returns text language sql immutable strict parallel safe return lower(value collate "und-x-icu");
drop index user_name;
create unique index user_name on users (workspace_id, connection_id, (fold(user_name) collate "C")) nulls not distinct where deleted is null;
drop index team_display_name;
create unique index team_display_name on teams (workspace_id, connection_id, (fold(display_name) collate "C")) nulls not distinct where deleted is null;
drop index users_email;
create index users_email on users (workspace_id, (fold(email) collate "C")) where deleted is null;

-- The addresses of somebody who has several. Whoever has one, has it in the column.
create function email_keys(attributes jsonb) returns text[] language sql immutable parallel safe as $$
	select coalesce(array_agg(left(fold(e ->> 'value'), 200)), '{}')
	from jsonb_array_elements(case jsonb_typeof(attributes -> 'emails') when 'array' then attributes -> 'emails' else '[]' end) e
	where e ->> 'value' is not null
$$;
create index users_more_emails on users using gin (email_keys(attributes)) with (fastupdate = off)
where deleted is null and attributes #> '{emails,1}' is not null;

-- Who changed since: what a client asks that keeps a copy.
create index users_updated on users (workspace_id, connection_id, updated, id) where deleted is null;
