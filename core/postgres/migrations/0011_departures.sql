-- core/lifecycle: who left because a connection said so, and what of it waits for an administrator.

create table holds (
	id            uuid not null,
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid not null,
	opened        timestamptz not null,
	share         integer not null,             -- percent of the active users that may leave unasked
	floor         integer not null,             -- people that may leave unasked
	active        integer not null,             -- users the share was taken of when it was opened
	let_go        integer not null,             -- people who had left within the hour before, unasked
	decided       timestamptz,                  -- null: open
	decision      text check (decision in ('approved', 'rejected')),
	cause         jsonb,                        -- core.Cause of the decision
	finished      timestamptz,                  -- when nobody waited any more for what was decided
	primary key (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create unique index holds_open on holds (workspace_id, connection_id) where decided is null;
create index holds_decided on holds (workspace_id, connection_id, decided);
create index holds_unfinished on holds (decided) where decided is not null and finished is null;

create table departures (
	id            uuid primary key,
	workspace_id  uuid not null,
	connection_id uuid not null,                -- which caused it
	user_id       uuid not null,
	departed      timestamptz not null,
	deleted       boolean not null,             -- the connection deleted the user too
	hold_id       uuid,                         -- null: nothing of it ever waited
	state         text not null check (state in ('done',       -- everything was taken
	                                             'held',       -- nothing was: the hold is to be decided, or to be carried out
	                                             'withdrawn',  -- nothing was, and the user is active again
	                                             'kept',       -- nothing was, and the user is inactive: the hold was rejected
	                                             'restored',   -- as kept, and no longer deleted
	                                             'name_taken')), -- as kept, but deleted: somebody else has the name by now
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, hold_id) references holds (workspace_id, id)
);
-- What the guard counts before every departure.
create index departures_recent on departures (workspace_id, connection_id, departed) where state in ('held', 'done');
-- A user waits once.
create unique index departures_standing on departures (workspace_id, user_id) where state in ('held', 'kept', 'restored', 'name_taken');
create index departures_hold on departures (workspace_id, hold_id, id) where hold_id is not null;
