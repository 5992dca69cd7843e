-- core/vault: keys and sealed values. Rows are added, never changed.

create table workspace_keys (
	workspace_id uuid not null references workspaces (id),
	epoch        integer not null,
	provider     text not null,                 -- which key provider wrapped it: 'local:…'
	wrapped      bytea not null,
	created      timestamptz not null default now(),
	primary key (workspace_id, epoch)
);

create table vaults (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null,
	scheme       text not null check (scheme in ('cloud')),
	created      timestamptz not null default now(),
	primary key (id),
	unique (workspace_id, id),
	constraint vault_name unique (workspace_id, name)
);

create table vault_keys (
	workspace_id    uuid not null,
	vault_id        uuid not null,
	epoch           integer not null,
	suite           text not null,              -- 'x-wing/hkdf-sha256/aes-256-gcm'
	public_key      bytea not null,
	private_key     bytea not null,             -- sealed under the workspace key
	workspace_epoch integer not null,
	created         timestamptz not null default now(),
	primary key (workspace_id, vault_id, epoch),
	foreign key (workspace_id, vault_id) references vaults (workspace_id, id),
	foreign key (workspace_id, workspace_epoch) references workspace_keys (workspace_id, epoch)
);

create table item_versions (
	workspace_id uuid not null,
	vault_id     uuid not null,
	item_id      uuid not null,
	field        text not null,                 -- 'password'
	version      integer not null,
	epoch        integer not null,
	sealed       bytea not null,
	created      timestamptz not null default now(),
	primary key (workspace_id, item_id, field, version),
	foreign key (workspace_id, vault_id, epoch) references vault_keys (workspace_id, vault_id, epoch)
);
