-- core/health: whether the stored passwords still let somebody in. Since when an account is in its state, and
-- what was learned that put it there, are the account's own.

alter table accounts
	add column state_finding text not null default 'unproven'
	           check (state_finding in ('unproven', 'accepted', 'replaced', 'refused', 'doubted', 'reported', 'none_accepted', 'expired',
	                                    'disabled', 'locked', 'exposed', 'abandoned', 'released', 'managed')),
	add column state_since timestamptz not null default now();
update accounts set
	state_finding = case state when 'validated' then 'accepted' when 'desync_suspected' then 'doubted' when 'desynced' then 'refused'
		when 'unmanaged' then 'released' when 'app_disabled' then 'disabled' when 'at_risk' then 'exposed' else 'unproven' end,
	state_since = case state when 'validated' then coalesce(validated, created) when 'unvalidated' then created else now() end;
-- The accounts of a state. Its own condition keeps it from being taken for a list of all of them.
create index accounts_state on accounts (workspace_id, state, id) where state <> '';
create index accounts_orphaned on accounts (workspace_id, id) where orphaned;

create table health_settings (
	workspace_id uuid primary key references workspaces (id),
	interval     interval not null,             -- between two scheduled checks of an account, about; 0: there are none
	retention    interval not null              -- how long what checks saw is kept
);

create table check_dues (
	-- When an account is looked at next.
	workspace_id uuid not null,
	account_id   uuid not null,
	due          timestamptz,                   -- null: when something happens
	reason       text not null,                 -- core/health.Reason
	cause        json,                          -- core.Cause of what happened; null: nothing but time
	misses       integer not null default 0,    -- checks in a row whose app could not be reached
	primary key (workspace_id, account_id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete cascade
) with (fillfactor = 70);
create index check_dues_due on check_dues (due) where due is not null;
-- Whoever is there already is looked at in the course of a day.
insert into check_dues (workspace_id, account_id, due, reason)
select workspace_id, id, now() + random() * interval '1 day', 'schedule' from accounts;

create table checks (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	app_id       uuid not null,
	reason       text not null,
	cause        json not null,                 -- core.Cause
	asked        timestamptz not null,
	given        integer,                       -- the version of a password somebody gave, to be proved; null: the current one is
	history      boolean not null,              -- the others are tried too
	tried        integer[] not null default '{}',
	attempts     integer not null default 0,    -- that did not reach the app
	wake         integer not null default 1,    -- number of its latest job
	fence        integer not null default 0,    -- grows with every worker that takes it
	lease_until  timestamptz,
	detail       text not null default '',      -- for a person: what the app said, or why it waits
	next         timestamptz,                   -- when it goes on, while it waits
	version      integer,                       -- the password that was tried last
	outcome      text,                          -- core/rotation.Outcome, or superseded
	stage        text not null default '',
	started      timestamptz,                   -- of the last sign-in
	finished     timestamptz,
	state        text not null default '',      -- the account's, afterwards
	hosts        text[] not null default '{}',
	agent        text not null default '',
	changes      boolean not null default false, -- what talks to the app can change passwords too
	primary key (workspace_id, id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete cascade
);
-- One at a time for each account: whoever asks meanwhile joins it.
create unique index check_open on checks (workspace_id, account_id) where finished is null;
create index checks_account on checks (workspace_id, account_id, asked, id);
create index checks_finished on checks (workspace_id, finished) where finished is not null;
create index checks_leased on checks (app_id) where lease_until is not null;

create table fill_reports (
	-- Who said that a password they were given did not work.
	workspace_id uuid not null,
	account_id   uuid not null,
	user_id      uuid not null,
	version      integer not null,
	at           timestamptz not null,
	primary key (workspace_id, account_id, user_id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete cascade,
	foreign key (workspace_id, user_id) references users (workspace_id, id) on delete cascade
);

-- What happened before these tables were needs no check.
insert into cursors (name, position) select 'health', coalesce((select position from cursors where name = 'sequencer'), 0)
on conflict (name) do nothing;
