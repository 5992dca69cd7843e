-- core/rotation: one row per rotation; its steps are its history and its receipt.

create table rotations (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	reason       text not null check (reason in ('manual', 'deprovision', 'logout', 'verify', 'schedule', 'sign_in', 'revocation')),
	cause        jsonb not null,                -- core.Cause
	state        text not null,
	detail       text not null default '',      -- for a person: why it is where it is
	candidate    integer,                       -- version of the candidate credential
	previous     integer,                       -- version that was current when the candidate was stored
	fence        bigint not null default 0,     -- grows with every worker that takes the lease
	lease_until  timestamptz,
	attempts     integer not null default 0,
	next_attempt timestamptz,
	created      timestamptz not null default now(),
	updated      timestamptz not null default now(),
	finished     timestamptz,
	receipt      jsonb,
	primary key (id),
	unique (workspace_id, id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
-- At most one unfinished rotation per account: a second wish joins the first.
create unique index rotation_open on rotations (workspace_id, account_id) where finished is null;
create index rotations_account on rotations (workspace_id, account_id, created desc);
create index rotations_page on rotations (workspace_id, created desc, id);

create table rotation_steps (
	workspace_id uuid not null,
	rotation_id  uuid not null,
	number       integer not null,
	state        text not null,
	detail       text not null default '',
	evidence     jsonb not null default '{}',
	at           timestamptz not null default clock_timestamp(),
	primary key (workspace_id, rotation_id, number),
	foreign key (workspace_id, rotation_id) references rotations (workspace_id, id)
);

create table sign_in_failures (
	-- The persisted lockout budget: failed sign-ins Postern itself caused.
	workspace_id uuid not null,
	account_id   uuid not null,
	at           timestamptz not null default clock_timestamp(),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
create index sign_in_failures_account on sign_in_failures (workspace_id, account_id, at desc);
