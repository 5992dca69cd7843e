-- How a person proved themselves, from where, and what the IdP calls the session: by that it is found
-- when the IdP ends it.
alter table sessions
	add column acr        text not null default '',
	add column amr        text[] not null default '{}',
	add column address    text not null default '',
	add column agent      text not null default '',
	add column stepped_up timestamptz;             -- when its token was last replaced
create index sessions_sid on sessions (workspace_id, connection_id, sid) where ended is null and sid <> '';
create index sessions_subject on sessions (workspace_id, connection_id, subject) where ended is null;

-- How long sessions last, and how recently somebody must have proven themselves. None: the defaults.
create table session_settings (
	workspace_id uuid primary key references workspaces (id),
	idle         interval not null,
	life         interval not null,
	reveal_age   interval not null,              -- 0: however long ago
	admin_age    interval not null,
	reveal_acr   text[] not null,                -- any of these; empty: any
	admin_acr    text[] not null,
	updated      timestamptz not null
);

-- What an IdP ended, by its own names: a sign-in under way at that moment does not survive it, even
-- one nobody has a user for yet.
create table ended_sign_ins (
	workspace_id  uuid not null,
	connection_id uuid not null,
	issuer        text not null,
	kind          text not null check (kind in ('sid', 'sub')),
	value         text not null,
	at            timestamptz not null,
	primary key (workspace_id, connection_id, kind, value, issuer),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index ended_sign_ins_at on ended_sign_ins (workspace_id, connection_id, at);

-- A sign-in may be a proof that was asked for in a session that exists.
alter table sign_in_flows
	add column purpose    text not null default 'sign_in' check (purpose in ('sign_in', 'step_up')),
	add column acr_values text[] not null default '{}',
	add column max_age    integer,                -- seconds; null: however long ago
	add column session_id uuid;

-- What its IdP is allowed in logout tokens, by name.
alter table connections add column logout_quirks text[] not null default '{}';
