-- core/accounts: apps, the logins in them, and who may use which.

create table apps (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null,
	domains      text[] not null,               -- the only hosts a connector may reach
	sign_in_url  text not null,
	change_url   text not null default '',
	connector    text not null,
	settings     jsonb not null default '{}',   -- per-app overrides of the connector
	created      timestamptz not null default now(),
	primary key (id),
	unique (workspace_id, id),
	constraint app_name unique (workspace_id, name)
);

create table accounts (
	id           uuid not null,
	workspace_id uuid not null,
	app_id       uuid not null,
	vault_id     uuid not null,
	username     text not null,
	state        text not null default 'unvalidated'
	             check (state in ('unvalidated', 'validated', 'desync_suspected', 'desynced', 'unmanaged', 'app_disabled', 'at_risk')),
	state_reason text not null default '',
	orphaned     boolean not null default false,
	validated    timestamptz,                   -- last time a sign-in proved the stored password
	rotated      timestamptz,                   -- last time a rotation was done
	created      timestamptz not null default now(),
	primary key (id),
	unique (workspace_id, id),
	constraint account_username unique (workspace_id, app_id, username),
	foreign key (workspace_id, app_id) references apps (workspace_id, id),
	foreign key (workspace_id, vault_id) references vaults (workspace_id, id)
);

create table credential_versions (
	-- Append-only. Labels move; rows stay. The value is vault item (account_id, field, version).
	workspace_id uuid not null,
	account_id   uuid not null,
	field        text not null default 'password',
	version      integer not null,
	origin       text not null check (origin in ('imported', 'candidate')),
	label        text check (label in ('candidate', 'current', 'previous')),
	created      timestamptz not null default now(),
	proven       timestamptz,                   -- last time the app accepted it
	refused      timestamptz,                   -- last time the app refused it
	primary key (workspace_id, account_id, field, version),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
create unique index credential_label on credential_versions (workspace_id, account_id, field, label) where label is not null;

create table grants (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	user_id      uuid,
	team_id      uuid,
	role         text not null check (role in ('owner', 'collaborator')),
	created      timestamptz not null default now(),
	expires      timestamptz,
	revoked      timestamptz,
	revoke_cause text not null default '',
	primary key (id),
	unique (workspace_id, id),
	check ((user_id is null) <> (team_id is null)),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, team_id) references teams (workspace_id, id)
);
create unique index grant_user on grants (workspace_id, account_id, user_id) where revoked is null and user_id is not null;
create unique index grant_team on grants (workspace_id, account_id, team_id) where revoked is null and team_id is not null;
create index grants_user on grants (workspace_id, user_id) where revoked is null;
create index grants_team on grants (workspace_id, team_id) where revoked is null;

create table exposures (
	-- Who saw which version of a credential, and how. Who could see one is told by the grants.
	id           uuid primary key,
	workspace_id uuid not null,
	account_id   uuid not null,
	user_id      uuid not null,
	version      integer not null,
	level        text not null check (level in ('injected', 'filled', 'revealed')),
	seen         timestamptz not null default now(),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
create index exposures_user on exposures (workspace_id, user_id, account_id, version);
create index exposures_account on exposures (workspace_id, account_id, seen);
