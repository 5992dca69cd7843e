-- core/rotation: one row per rotation; its steps are its history and its receipt.

create table rotations (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	reason       text not null check (reason in ('manual', 'deprovision', 'logout', 'verify', 'schedule', 'sign_in', 'revocation')),
	cause        jsonb not null,                -- core.Cause
	priority     integer not null,              -- of its job: 1 first, 4 last
	state        text not null check (state in ('planned', 'stored', 'armed', 'submitted', 'probing', 'new_proven', 'old_dead', 'done',
	                                            'not_sent', 'unchanged', 'drifted', 'unknown', 'blocked')),
	detail       text not null default '',      -- for a person: why it is where it is
	steps        integer not null default 0,    -- number of the latest step
	delay        text not null default '',      -- why it waited last, as told in an event

	-- Facts the next worker goes by; the state is their name for people.
	candidate    integer,                       -- version of the candidate credential
	previous     integer,                       -- version that was current when the candidate went to the app
	submitted    timestamptz,                   -- when a change request with this candidate last left
	answer       text not null default '',      -- the connector's outcome for it
	refusals     integer not null default 0,    -- candidates the app's policy refused so far
	pass         integer not null default 0,    -- probing: 0 not, 1 candidate and current, 2 history too
	probed       timestamptz,                   -- when this pass began
	new_accepted timestamptz,                   -- proof: the candidate let in, and promoted
	old_refused  timestamptz,                   -- proof: the previous password turned away
	hosts        text[] not null default '{}',  -- contacted so far
	agent        text not null default '',      -- what talked to the app
	events       uuid[] not null default '{}',  -- appended by this rotation
	follow       jsonb,                         -- the wish that came when this one could not fulfil it any more

	-- Who works on it, and when again.
	fence        bigint not null default 0,     -- grows with every worker that takes the lease
	lease_until  timestamptz,
	wake         integer not null default 1,    -- number of its latest job
	attempts     integer not null default 0,    -- without progress
	next_attempt timestamptz,                   -- null: waits for a person, or is finished
	swept        timestamptz,

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
create index rotations_due on rotations (next_attempt) where finished is null and next_attempt is not null;

create table rotation_steps (
	workspace_id uuid not null,
	rotation_id  uuid not null,
	number       integer not null,
	state        text not null,
	detail       text not null default '',
	evidence     jsonb not null default '{}',
	at           timestamptz not null,
	primary key (workspace_id, rotation_id, number),
	foreign key (workspace_id, rotation_id) references rotations (workspace_id, id)
);

create table sign_in_attempts (
	-- The persisted lockout budget. A row is written before a sign-in and taken back when the app
	-- let it in, so a sign-in whose end nobody saw counts as failed.
	id           uuid primary key,
	workspace_id uuid not null,
	account_id   uuid not null,
	version      integer not null,              -- of the password that was tried
	rejected     boolean not null default false,
	at           timestamptz not null,
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
create index sign_in_attempts_account on sign_in_attempts (workspace_id, account_id, at desc);
