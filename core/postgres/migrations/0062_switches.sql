-- core/accounts: whether an app's account is disabled there when the one person who has it leaves.
alter table apps add column disable_on_leave boolean not null default false;

-- core/rotation: accounts that the app's administrator is to have the app let in no more, or again.
create table switches (
	id            uuid not null,
	workspace_id  uuid not null,
	account_id    uuid not null,
	enabled       boolean not null,           -- what is wanted
	cause         jsonb not null,             -- core.Cause
	state         text not null check (state in ('wanted', 'applied', 'blocked', 'done')),
	detail        text not null default '',   -- for a person: why it is where it is
	outcome       text not null default '',   -- the connector's latest
	administrator uuid,                       -- who asked the app
	hosts         text[] not null default '{}',
	applied       timestamptz,                -- when the app said that it did
	proven        timestamptz,                -- when a fresh sign-in was turned away
	fence         bigint not null default 0,  -- grows with every worker that takes the lease
	lease_until   timestamptz,
	wake          integer not null default 1, -- number of its latest job
	attempts      integer not null default 0, -- without progress
	next_attempt  timestamptz,                -- null: waits for a person, or is finished
	created       timestamptz not null,
	updated       timestamptz not null,
	finished      timestamptz,
	primary key (workspace_id, id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
-- At most one unfinished per account: another wish takes its place.
create unique index switch_open on switches (workspace_id, account_id) where finished is null;
create index switches_account on switches (workspace_id, account_id, created desc);
create index switches_due on switches (next_attempt) where finished is null and next_attempt is not null;

alter table accounts
	drop constraint accounts_state_finding_check,
	add constraint accounts_state_finding_check check (state_finding in ('unproven', 'accepted', 'replaced', 'refused', 'doubted', 'reported',
	                                                                     'none_accepted', 'expired', 'disabled', 'locked', 'switched_off', 'switched_on',
	                                                                     'exposed', 'abandoned', 'released', 'managed'));

-- core/rotation: which accounts an app has, as its administrator was told.
create table app_listings (
	workspace_id  uuid not null,
	app_id        uuid not null,
	cause         jsonb not null,             -- core.Cause of who asked for it
	detail        text not null default '',   -- for a person: why there is none, or an old one
	outcome       text not null default '',   -- the connector's latest
	administrator uuid,                       -- who asked the app
	listed        timestamptz,                -- when the app told all last
	fence         bigint not null default 0,  -- grows with every worker that takes the lease
	lease_until   timestamptz,
	wake          integer not null default 1, -- number of its latest job
	attempts      integer not null default 0, -- without an answer
	next_attempt  timestamptz,                -- null: waits for a person
	asked         timestamptz not null,
	primary key (workspace_id, app_id),
	foreign key (workspace_id, app_id) references apps (workspace_id, id)
);
create index app_listings_due on app_listings (next_attempt) where next_attempt is not null;

create table app_logins (
	workspace_id uuid not null,
	app_id       uuid not null,
	username     text not null,
	name         text not null,
	disabled     boolean not null,
	first_seen   timestamptz not null,
	seen         timestamptz not null,
	primary key (workspace_id, app_id, username),
	foreign key (workspace_id, app_id) references apps (workspace_id, id)
);

-- core/health: whether the app's administrator, or its mail, sets another password where a check finds that the app refuses the stored one.
alter table health_settings add column reset_desynced boolean not null default false;
