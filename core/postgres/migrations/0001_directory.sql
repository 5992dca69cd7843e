-- core/directory: who there is. Every row names its workspace, and every reference is by
-- (workspace_id, id), so a row can never point into another workspace.

create table workspaces (
	id      uuid primary key,
	slug    text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
	name    text not null,
	created timestamptz not null default now()
);

create table connections (
	id             uuid not null,
	workspace_id   uuid not null references workspaces (id),
	name           text not null,
	kind           text not null check (kind in ('okta', 'entra', 'generic')),
	issuer         text not null default '',    -- OIDC issuer; '' while sign-in is not configured
	client_id      text not null default '',
	client_secret  text not null default '',    -- a reference (file: or env:), never the secret itself
	logout_issuers text[] not null default '{}', -- further issuers whose logout tokens are accepted
	jwks_uri       text not null default '',    -- '' = from the issuer's discovery document
	created        timestamptz not null default now(),
	primary key (id),
	unique (workspace_id, id),
	constraint connection_name unique (workspace_id, name)
);

create table connection_tokens (
	id            uuid primary key,
	workspace_id  uuid not null,
	connection_id uuid not null,
	hash          bytea not null unique,        -- SHA-256 of the token
	created       timestamptz not null default now(),
	expires       timestamptz,
	last_used     timestamptz,
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);

create table users (
	id            uuid not null,
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid,                         -- null: a guest
	user_name     text not null,
	external_id   text not null default '',
	display_name  text not null default '',
	given_name    text not null default '',
	family_name   text not null default '',
	email         text not null default '',
	active        boolean not null default true,
	role          text not null default 'user' check (role in ('owner', 'super_admin', 'admin', 'user', 'login_only', 'guest')),
	attributes    jsonb not null default '{}',  -- the rest of the IdP's resource, as it was sent
	version       bigint not null default 1,
	epoch         timestamptz,                  -- revocation epoch: sessions begun before it are dead
	created       timestamptz not null default now(),
	updated       timestamptz not null default now(),
	deleted       timestamptz,                  -- the IdP deleted the user; the row stays for its history
	primary key (id),
	unique (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
-- Names are unique within what one IdP sees: two connections may provision the same person, who is
-- then two users, because people are never merged by a name or an address.
create unique index user_name on users (workspace_id, connection_id, lower(user_name)) nulls not distinct where deleted is null;
create unique index user_external_id on users (connection_id, external_id) where deleted is null and external_id <> '';
create index users_email on users (workspace_id, lower(email)) where deleted is null;
create index users_page on users (workspace_id, connection_id, created, id) where deleted is null;

create table teams (
	id            uuid not null,
	workspace_id  uuid not null references workspaces (id),
	connection_id uuid,
	display_name  text not null,
	external_id   text not null default '',
	attributes    jsonb not null default '{}',
	version       bigint not null default 1,
	created       timestamptz not null default now(),
	updated       timestamptz not null default now(),
	deleted       timestamptz,                  -- nobody is in it any more; the row stays for its history
	primary key (id),
	unique (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create unique index team_display_name on teams (workspace_id, lower(display_name)) where deleted is null;
create index teams_external_id on teams (connection_id, external_id) where deleted is null and external_id <> '';
create index teams_page on teams (workspace_id, connection_id, created, id) where deleted is null;

create table team_members (
	workspace_id uuid not null,
	team_id      uuid not null,
	user_id      uuid not null,
	added        timestamptz not null default now(),
	-- Set when the person is deprovisioned: the IdP still lists the member, but the membership gives
	-- no access any more. Only a new add by the IdP lifts it.
	suspended    timestamptz,
	primary key (workspace_id, team_id, user_id),
	foreign key (workspace_id, team_id) references teams (workspace_id, id) on delete cascade,
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
create index team_members_user on team_members (workspace_id, user_id);

create table identities (
	-- What an IdP calls a user in its tokens: the link from (issuer, subject) to the user.
	workspace_id  uuid not null,
	connection_id uuid not null,
	issuer        text not null,
	subject       text not null,
	user_id       uuid not null,
	created       timestamptz not null default now(),
	primary key (connection_id, issuer, subject),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
create index identities_user on identities (workspace_id, user_id);

create table sessions (
	id            uuid primary key,
	hash          bytea not null unique,        -- SHA-256 of the cookie's value
	workspace_id  uuid not null,
	user_id       uuid not null,
	connection_id uuid not null,
	issuer        text not null default '',
	subject       text not null default '',
	sid           text not null default '',     -- the IdP's session id, if it gave one
	authenticated timestamptz not null,         -- auth_time: when the IdP saw the person
	created       timestamptz not null default now(),
	last_seen     timestamptz not null default now(),
	expires       timestamptz not null,
	ended         timestamptz,
	end_reason    text not null default '',
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index sessions_user on sessions (workspace_id, user_id) where ended is null;

create table sign_in_flows (
	-- One sign-in under way, from the redirect to the IdP until the callback.
	state_hash    bytea primary key,            -- SHA-256 of the state parameter
	workspace_id  uuid not null,
	connection_id uuid not null,
	nonce         text not null,
	verifier      text not null,                -- PKCE
	return_to     text not null default '/',
	created       timestamptz not null default now(),
	expires       timestamptz not null,
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index sign_in_flows_expires on sign_in_flows (connection_id, expires);

create table service_accounts (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null,
	scopes       text[] not null,
	created      timestamptz not null default now(),
	primary key (id),
	unique (workspace_id, id),
	constraint service_account_name unique (workspace_id, name)
);

create table service_account_tokens (
	id                 uuid primary key,
	workspace_id       uuid not null,
	service_account_id uuid not null,
	hash               bytea not null unique,
	created            timestamptz not null default now(),
	expires            timestamptz,
	last_used          timestamptz,
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id)
);

create table signed_token_uses (
	-- Single use of a signed token's id (jti), with the body it came with and the answer it got.
	connection_id uuid not null references connections (id),
	token_id      text not null,
	body_hash     bytea not null,
	status        integer not null,
	expires       timestamptz not null,
	primary key (connection_id, token_id)
);
create index signed_token_uses_expires on signed_token_uses (connection_id, expires);
