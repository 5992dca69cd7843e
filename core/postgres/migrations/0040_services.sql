-- core/services: identities that are not people. Their names, scopes and tokens are core/directory's.

alter table service_accounts
	add column purpose     text not null default '',
	add column unit        text not null default '',    -- of the organisation
	add column risk        integer not null default 3 check (risk between 1 and 5),
	add column sensitivity integer not null default 3 check (sensitivity between 1 and 5),
	add column networks    text[] not null default '{}', -- where it is expected to be; none: where it was before
	add column version     integer not null default 1;

create table service_owners (
	id                 uuid not null,
	workspace_id       uuid not null,
	service_account_id uuid not null,
	user_id            uuid,
	team_id            uuid,
	added              timestamptz not null,
	primary key (workspace_id, id),
	check ((user_id is null) <> (team_id is null)),
	constraint service_owner_once unique nulls not distinct (workspace_id, service_account_id, user_id, team_id),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete cascade,
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, team_id) references teams (workspace_id, id)
);
create index service_owners_user on service_owners (workspace_id, user_id) where user_id is not null;
create index service_owners_team on service_owners (workspace_id, team_id) where team_id is not null;

create table service_reaches (
	-- What it gets at, besides what its scopes open in Postern.
	id                 uuid not null,
	workspace_id       uuid not null,
	service_account_id uuid not null,
	name               text not null,
	app_id             uuid,                    -- an app Postern manages; null: any other system
	unit               text not null,
	risk               integer not null check (risk between 1 and 5),
	sensitivity        integer not null check (sensitivity between 1 and 5),
	primary key (workspace_id, id),
	constraint service_reach_name unique (workspace_id, service_account_id, name),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete cascade,
	foreign key (workspace_id, app_id) references apps (workspace_id, id)
);

create table service_credentials (
	id                 uuid not null,
	workspace_id       uuid not null,
	service_account_id uuid not null,
	name               text not null,
	kind               text not null check (kind in ('password', 'key', 'token')),
	held               text not null check (held in ('postern', 'vault', 'account')),
	account_id         uuid,                    -- held by an account: its password is the value
	vault_id           uuid,                    -- held by a vault: item (id, kind, version)
	consumers          text[] not null,         -- what it is used by
	overlap            interval not null,       -- how long the old value is to be unused before it is revoked
	every              integer not null default 0, -- days from one rotation to the next; 0: none by schedule
	next               timestamptz,             -- when the schedule asks for one
	created            timestamptz not null,
	primary key (workspace_id, id),
	check ((held = 'account') = (account_id is not null) and (held = 'vault') = (vault_id is not null)),
	constraint service_credential_name unique (workspace_id, service_account_id, name),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete cascade,
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, vault_id) references vaults (workspace_id, id)
);
create unique index service_credential_tokens on service_credentials (workspace_id, service_account_id) where held = 'postern';
create index service_credentials_next on service_credentials (next) where next is not null;
create index service_credentials_account on service_credentials (workspace_id, account_id) where account_id is not null;

create table service_versions (
	-- The values a credential has had. Rows stay; at most two are not revoked.
	workspace_id  uuid not null,
	credential_id uuid not null,
	version       integer not null,
	slot          integer not null check (slot in (1, 2)),
	token_id      uuid,                         -- held by Postern: which token of the service account
	login_version integer not null default 0,   -- held by an account: which of its passwords
	created       timestamptz not null,
	expires       timestamptz,
	first_used    timestamptz,
	last_used     timestamptz,                  -- written once a minute at most
	revoked       timestamptz,
	primary key (workspace_id, credential_id, version),
	foreign key (workspace_id, credential_id) references service_credentials (workspace_id, id) on delete cascade
);
create unique index service_slot on service_versions (workspace_id, credential_id, slot) where revoked is null;
create unique index service_version_token on service_versions (workspace_id, token_id) where token_id is not null;
create index service_versions_expires on service_versions (expires) where revoked is null and expires is not null;

create table service_rotations (
	id            uuid not null,
	workspace_id  uuid not null,
	credential_id uuid not null,
	reason        text not null check (reason in ('manual', 'schedule', 'app')),
	state         text not null check (state in ('planned', 'created', 'distributed', 'verified', 'done', 'rolled_back')),
	old           integer not null,             -- version that is replaced
	new           integer,                      -- by this one; null while it is planned
	steps         integer not null,             -- number of the latest step
	created       timestamptz not null,
	updated       timestamptz not null,
	finished      timestamptz,
	primary key (workspace_id, id),
	foreign key (workspace_id, credential_id) references service_credentials (workspace_id, id) on delete cascade
);
create unique index service_rotation_open on service_rotations (workspace_id, credential_id) where finished is null;
create index service_rotations_credential on service_rotations (workspace_id, credential_id, id);

create table service_rotation_steps (
	-- Append-only: how a rotation came to where it is.
	workspace_id uuid not null,
	rotation_id  uuid not null,
	number       integer not null,
	state        text not null,
	actor        json not null,                 -- core.Actor
	detail       text not null,
	at           timestamptz not null,
	primary key (workspace_id, rotation_id, number),
	foreign key (workspace_id, rotation_id) references service_rotations (workspace_id, id) on delete cascade
);

create table service_uses (
	-- Where a value was seen in use.
	workspace_id       uuid not null,
	service_account_id uuid not null,
	credential_id      uuid not null,
	version            integer not null,
	network            text not null,           -- '' where the address is not known
	consumer           text not null,           -- '' where it did not say which it is
	interactive        boolean not null,        -- a person's browser
	agent              text not null,
	first              timestamptz not null,
	last               timestamptz not null,
	primary key (workspace_id, credential_id, version, network, consumer, interactive),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete cascade,
	foreign key (workspace_id, credential_id, version) references service_versions (workspace_id, credential_id, version) on delete cascade
);
create index service_uses_account on service_uses (workspace_id, service_account_id, last);

create table service_findings (
	id                 uuid not null,
	workspace_id       uuid not null,
	service_account_id uuid not null,
	kind               text not null check (kind in ('ownerless', 'one_owner', 'used_after_idle', 'new_network', 'interactive_use',
	                                                 'used_after_owner_left', 'expires_soon')),
	cause              text not null,           -- what it is about: no two findings for one
	detail             text not null,
	state              text not null check (state in ('open', 'acknowledged', 'resolved')),
	opened             timestamptz not null,
	decided            timestamptz,             -- when its state last changed
	decider            text not null default '',
	note               text not null default '',
	primary key (workspace_id, id),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete cascade
);
create unique index service_finding_once on service_findings (workspace_id, service_account_id, kind, cause) where state <> 'resolved';
create index service_findings_page on service_findings (workspace_id, id);

-- Whose owners left before this is found by looking at every service account, not in the log.
insert into cursors (name, position) select 'services', coalesce((select position from cursors where name = 'sequencer'), 0)
on conflict (name) do nothing;
