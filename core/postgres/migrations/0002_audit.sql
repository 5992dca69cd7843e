-- core/audit: events are appended by commands, then sequenced once. These tables refer to no other:
-- the log outlives what it tells of, and thousands of events a second pay for no foreign key.

create table audit_outbox (
	xid          xid8 not null default pg_current_xact_id(),
	number       bigint generated always as identity,
	workspace_id uuid not null,
	event_id     uuid not null,
	type         text not null,
	occurred     timestamptz not null,
	correlation  uuid not null,
	targets      uuid[] not null,
	event        json not null,                 -- canonical; json keeps the bytes as they were written
	primary key (xid, number)
);

create table audit_heads (
	workspace_id uuid primary key,
	sequence     bigint not null,
	hash         bytea not null,
	unsigned     bigint not null,               -- events since the last checkpoint, not counting checkpoints
	changed      timestamptz not null           -- when the last of them was sequenced
);
create index audit_heads_unsigned on audit_heads (changed) where unsigned > 0;

create table audit_log (
	position     bigint primary key,            -- order over all workspaces: what the relay follows
	workspace_id uuid not null,
	sequence     bigint not null,               -- gap-free per workspace, from 1
	event_id     uuid not null,
	type         text not null,
	occurred     timestamptz not null,
	correlation  uuid not null,
	event        text not null,                 -- canonical JSON: exactly the bytes that were hashed
	previous     bytea not null,
	hash         bytea not null,                -- SHA-256(previous, sequence as 8 bytes big-endian, event)
	sequenced    timestamptz not null default now(),
	unique (workspace_id, sequence)
);
create index audit_log_correlation on audit_log (workspace_id, correlation, sequence);

create table audit_targets (
	-- Which events tell of a thing: the activity of one account, user or team.
	workspace_id uuid not null,
	target_id    uuid not null,
	sequence     bigint not null,
	primary key (workspace_id, target_id, sequence)
);

create table audit_checkpoints (
	workspace_id uuid not null,
	sequence     bigint not null,
	hash         bytea not null,
	signed       timestamptz not null,
	key_id       text not null,
	signature    bytea not null,                -- Ed25519
	primary key (workspace_id, sequence)
);

create table cursors (
	name     text primary key,                  -- 'sequencer': last position given; 'relay': last position published
	position bigint not null default 0,
	updated  timestamptz not null default now()
);

create table sinks (
	name       text primary key,
	state      text not null default 'running' check (state in ('running', 'retrying', 'paused')),
	reason     text not null default '',
	workspaces uuid[] not null default '{}',      -- paused: whose events wait, and who is told when it resumes
	updated    timestamptz not null default now()
);

create table dead_letters (
	id           uuid primary key,
	sink         text not null,
	workspace_id uuid,                          -- null: the record could not even be read
	event_id     uuid,
	record       text not null,
	answer       text not null,                 -- what the receiver said, without secrets
	created      timestamptz not null default now()
);
