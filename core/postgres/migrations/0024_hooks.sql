-- Hooks that identity providers and other senders call: webhooks/hooks.
create table hooks (
	id             uuid not null,
	workspace_id   uuid not null references workspaces (id),
	connection_id  uuid not null,
	kind           text not null check (kind in ('okta', 'graph', 'standard', 'signed')),
	name           text not null,
	settings       jsonb not null,               -- webhooks/hooks.Settings: no secret
	secret_version integer not null default 0,   -- of the sealed secret, item id = hook id; the one before is good until previous_ends
	hashes         bytea[] not null default '{}', -- SHA-256 of secrets that are only compared: the newest first, at most two
	previous_ends  timestamptz,
	access_version integer not null default 0,   -- of the sealed credential for the sender's API; 0: none is sealed
	verified       timestamptz,                  -- when the sender last proved that it reaches us
	last_heard     timestamptz,
	last_type      text not null default '',
	last_error     text not null default '',
	last_error_stage text not null default '',
	last_error_at  timestamptz,
	due            timestamptz,                  -- when the worker looks at it; null: never
	filled         timestamptz,                  -- Okta: until when the System Log was read
	remote_id      text not null default '',     -- Graph: the subscription
	remote_ends    timestamptz,                  -- Graph: when it ends unless it is renewed
	delta_link     text not null default '',     -- Graph: where the next look at all users goes on
	resync         boolean not null default false, -- Graph: notifications were missed
	created        timestamptz not null,
	updated        timestamptz not null,
	primary key (workspace_id, id),
	constraint hook_name unique (workspace_id, connection_id, name),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index hooks_due on hooks (due) where due is not null;

create table hook_changes (
	-- Graph: people who changed, whom the worker looks at.
	workspace_id uuid not null,
	hook_id      uuid not null,
	person       text not null,                 -- the sender's id
	gone         boolean not null,              -- deleted
	received     timestamptz not null,
	primary key (workspace_id, hook_id, person),
	foreign key (workspace_id, hook_id) references hooks (workspace_id, id) on delete cascade
);
