-- core/signals: what identity providers said about people, what came of it, and what waits.

-- What a signal leaves with a person until somebody lifts it or they prove themselves anew.
alter table users
	add column restricted  timestamptz,          -- no password is revealed or filled; null: as usual
	add column fresh_after timestamptz;          -- revealing needs a sign-in after this moment

create table user_restrictions (
	-- Why somebody is restricted: each reason is lifted by itself, and restricted is null when none is left.
	workspace_id uuid not null,
	user_id      uuid not null,
	reason       text not null,                 -- the kind of signal
	signal_id    uuid not null,
	since        timestamptz not null,
	primary key (workspace_id, user_id, reason),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);

create table signal_settings (
	workspace_id uuid primary key references workspaces (id),
	gap          interval not null,             -- tellings this close together are one incident
	retention    interval not null,             -- how long receipts are kept
	updated      timestamptz not null
);

create table signal_policies (
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid,                         -- null: every connection of the workspace
	signal_case   text not null,                -- a kind, or a kind and what it says, such as risk_changed.high
	commands      text[] not null,
	updated       timestamptz not null,
	updated_by    text not null,
	constraint signal_policy unique nulls not distinct (workspace_id, signal_case, connection_id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);

create table signal_holds (
	id            uuid not null,
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid not null,
	opened        timestamptz not null,
	share         integer not null,             -- percent of the active users that may be meant unasked
	floor         integer not null,             -- people that may be meant unasked
	active        integer not null,             -- users the share was taken of when it was opened
	let_go        integer not null,             -- people meant within the hour before, unasked
	decided       timestamptz,                  -- null: open
	decision      text check (decision in ('approved', 'rejected')),
	cause         jsonb,                        -- core.Cause of the decision
	finished      timestamptz,                  -- when nothing waited any more for what was decided
	primary key (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create unique index signal_holds_open on signal_holds (workspace_id, connection_id) where decided is null;
create index signal_holds_unfinished on signal_holds (decided) where decided is not null and finished is null;

create table signals (
	-- A receipt: what was said, and what it did.
	id            uuid not null,
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid,                         -- null: an administrator, about somebody no provider knows
	door          text not null,
	kind          text not null,
	subject       text not null,                -- for a person
	said          text not null,                -- the subject identifier as it was understood, JSON
	sid           text not null default '',
	evidence      jsonb not null,               -- core/signals.Evidence
	digest        bytea,                        -- SHA-256 of the verified claims
	transaction   text not null default '',
	actor         text not null,                -- who said it, for a person
	correlation   uuid not null,
	occurred      timestamptz not null,
	received      timestamptz not null,
	committed     timestamptz not null,         -- when its effect was written, just before it became durable
	outcome       text not null,
	note          text not null default '',
	users         uuid[] not null,              -- whom it meant
	sessions      integer not null,             -- live ones it ended
	commands      text[] not null,              -- that were carried out
	waiting       text[] not null,              -- that wait for a decision
	rotations     uuid[] not null,              -- begun or joined because of it
	duplicate_of  uuid,
	hold_id       uuid,
	primary key (workspace_id, id)
);
create index signals_user on signals (workspace_id, (users[1]), id) where users <> '{}';
create index signals_users on signals using gin (users) where cardinality(users) > 1;
create index signals_hold on signals (workspace_id, hold_id, id) where hold_id is not null;

create table signal_incidents (
	-- The latest incident of a class about a person: what another telling of it need not do again.
	workspace_id uuid not null,
	user_id      uuid not null,
	class        text not null,
	signal_id    uuid not null,                 -- that told of it first
	occurred     timestamptz not null,
	taken        timestamptz not null,          -- when its effect was
	transactions text[] not null,               -- by which it was told, the latest few
	commands     text[] not null,               -- that were carried out for it, or wait
	counted      timestamptz not null,          -- when the guard last counted the person
	primary key (workspace_id, user_id, class)
) with (fillfactor = 70);

create table signal_counts (
	-- How many people a connection's signals meant, by ten minutes, for the guard. A server process of the
	-- database writes to one slot, so signals under way at the same time rarely want the same row.
	workspace_id  uuid not null,
	connection_id uuid not null,
	bucket        timestamptz not null,
	slot          smallint not null,
	people        integer not null,
	primary key (workspace_id, connection_id, bucket, slot)
) with (fillfactor = 50);

create table signal_refusals (
	-- The last failures at each door of a connection: a ring, so that nobody can make it grow.
	workspace_id  uuid not null,
	connection_id uuid not null,
	door          text not null,
	place         smallint not null,
	at            timestamptz not null,
	stage         text not null,
	message       text not null,
	subject       text not null,
	address       text not null,
	suppressed    integer not null,             -- refusals since the one before that are not kept
	primary key (workspace_id, connection_id, door, place),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
