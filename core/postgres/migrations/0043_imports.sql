-- core/importing: what somebody's file would add, and what it added. The passwords of the file are sealed under a key
-- of the import until its rows are done, and erased then.

create table imports (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id) on delete cascade,
	key          text,                          -- what whoever sent it calls the request; sent again it is the same import
	maker_id     uuid not null,                 -- a user or a service account
	maker        text not null,                 -- as they were called then
	digest       bytea not null,                -- SHA-256 of the request
	format       text not null,
	cause        json not null,                 -- core.Cause of whoever committed it, else of whoever sent it
	owner_id     uuid not null,                 -- of the accounts
	new_apps     boolean not null,              -- whether apps are added for sites that have none
	state        text not null check (state in ('planned', 'running', 'done', 'dropped')),
	created      timestamptz not null,
	finished     timestamptz,
	primary key (workspace_id, id),
	constraint import_key unique (workspace_id, maker_id, key),
	foreign key (workspace_id, owner_id) references users (workspace_id, id) on delete cascade
);
create index imports_waiting on imports (created) where state = 'planned';

create table import_rows (
	workspace_id uuid not null,
	import_id    uuid not null,
	number       integer not null,              -- of the entry in the file, from 1
	title        text not null,
	site         text not null,                 -- host, with a port where it has one
	username     text not null,
	app          text not null,                 -- name of the app it is, or would be, an account of
	app_id       uuid,
	outcome      text not null check (outcome in ('create', 'create_with_app', 'created', 'duplicate', 'skipped', 'refused')),
	reason       text not null,                 -- for a person
	left_out     text[] not null,               -- what of the entry is not taken
	account_id   uuid,                          -- that was created, or was there
	sealed       bytea,                         -- password and address, until it is done
	primary key (workspace_id, import_id, number),
	foreign key (workspace_id, import_id) references imports (workspace_id, id) on delete cascade,
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete set null (account_id)
);
create index import_rows_open on import_rows (workspace_id, import_id, number) where outcome in ('create', 'create_with_app');
create index import_rows_outcome on import_rows (workspace_id, import_id, outcome, number);
