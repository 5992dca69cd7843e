-- core/posture: how well a workspace keeps its accounts. What is wrong is read from what there is, never copied:
-- each kind of finding has an index of its own.

-- What can be told of a password without opening it (core/accounts): written with the version, gone with its label.
-- Equal passwords of a workspace have equal fingerprints under one epoch of its key; null: not judged yet.
alter table credential_versions
	add column fingerprint       bytea,
	add column fingerprint_epoch integer,       -- of the workspace key
	add column strength          text check (strength in ('weak', 'fair', 'strong')),
	add constraint version_judged check (num_nonnulls(fingerprint, fingerprint_epoch, strength) in (0, 3)),
	add constraint version_retired check (fingerprint is null or coalesce(label, '') in ('candidate', 'current'));
create index versions_fingerprint on credential_versions (workspace_id, fingerprint, account_id) where label = 'current' and fingerprint is not null;
create index versions_weak on credential_versions (workspace_id, account_id) where label = 'current' and strength = 'weak';
create index versions_unjudged on credential_versions (workspace_id, account_id) where label = 'current' and fingerprint is null;

create index accounts_changed on accounts (workspace_id, (coalesce(rotated, created)), id);
create index grants_live on grants (workspace_id, account_id) include (user_id, team_id, expires) where revoked is null;
create index grants_ending on grants (workspace_id, expires, id) where expires is not null and revoked is null;
create index links_old on links (workspace_id, created, id) where ended is null;
create index rotations_failing on rotations (workspace_id, account_id) where finished is null and (state = 'blocked' or attempts >= 3);
create index service_account_tokens_account on service_account_tokens (workspace_id, service_account_id);

create table posture_days (
	-- One row a workspace and day, taken when the day begins (UTC).
	workspace_id uuid not null references workspaces (id),
	day          date not null,
	score        integer check (score between 0 and 100), -- null: there was no account
	accounts     integer not null,
	milestones   jsonb not null,                -- how many accounts meet each
	findings     jsonb not null,                -- how many there are of each kind
	taken        timestamptz not null,
	primary key (workspace_id, day)
);

create table reassignments (
	-- New owners for many accounts, in one command.
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	cause        json not null,                 -- core.Cause
	users        uuid[] not null,               -- the owners
	teams        uuid[] not null,
	total        integer not null,              -- accounts
	created      timestamptz not null,
	finished     timestamptz,
	primary key (workspace_id, id)
);
create index reassignments_page on reassignments (workspace_id, created, id);
create index reassignments_open on reassignments (created) where finished is null;

create table reassignment_rows (
	workspace_id    uuid not null,
	reassignment_id uuid not null,
	account_id      uuid not null,
	outcome         text not null default 'waiting' check (outcome in ('waiting', 'done', 'unchanged', 'failed')),
	why             text not null default '',   -- for a person: what was refused
	at              timestamptz,
	primary key (workspace_id, reassignment_id, account_id),
	foreign key (workspace_id, reassignment_id) references reassignments (workspace_id, id) on delete cascade,
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete cascade
);
create index reassignment_rows_outcome on reassignment_rows (workspace_id, reassignment_id, outcome, account_id);
