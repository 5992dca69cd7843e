-- core/links: public shares of accounts, for people without a user, and guests. Both prove a mailbox by a code.

create table links (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	owner_id     uuid not null,                 -- who answers for it: an owner of the account
	hash         bytea not null unique,         -- SHA-256 of what is in the link's address
	level        text not null check (level in ('filled', 'revealed')),
	recipients   text[] not null,               -- e-mail addresses in lower case
	domains      text[] not null,               -- or everybody there
	once         boolean not null,              -- one view, whosever
	device_lock  boolean not null,              -- each recipient on the first device they open it on
	purpose      text not null check (char_length(purpose) <= 200),
	linger       interval not null,             -- once: how long the password stays good after the view
	created      timestamptz not null,
	expires      timestamptz not null,
	views        integer not null default 0,
	viewed       timestamptz,                   -- first
	due          timestamptz not null,          -- when it ends: it gives nothing any more
	why          text not null default 'expired' check (why in ('expired', 'viewed', 'revoked', 'owner_gone')),
	look         timestamptz not null,          -- when its end is to be seen to
	ended        timestamptz,                   -- when that was done, with what follows
	rotation_id  uuid,                          -- what followed; null: nothing, by policy
	primary key (workspace_id, id),
	check (cardinality(recipients) + cardinality(domains) > 0),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, owner_id) references users (workspace_id, id)
);
create index links_account on links (workspace_id, account_id, id);
create index links_owner on links (workspace_id, owner_id, id);
create index links_look on links (look) where ended is null;

create table link_views (
	-- The receipts. Rows stay.
	id           uuid not null,
	workspace_id uuid not null,
	link_id      uuid not null,
	recipient    text not null,
	version      integer not null,              -- of the password
	seen         timestamptz not null,
	address      text not null,                 -- IP address
	agent        text not null,                 -- the browser
	primary key (workspace_id, id),
	foreign key (workspace_id, link_id) references links (workspace_id, id)
);
create index link_views_link on link_views (workspace_id, link_id, id);

create table link_devices (
	workspace_id uuid not null,
	link_id      uuid not null,
	recipient    text not null,
	hash         bytea not null,                -- SHA-256 of the link's id and what the device keeps in a cookie
	first        timestamptz not null,
	primary key (workspace_id, link_id, recipient),
	foreign key (workspace_id, link_id) references links (workspace_id, id)
);

create table guests (
	-- Whom somebody invited. A guest is a user without a connection.
	workspace_id uuid not null,
	user_id      uuid not null,
	email        text not null,                 -- in lower case
	invited      timestamptz not null,          -- last
	invited_by   uuid,                          -- a user; null: a service account, or the operator
	invitations  integer not null default 1,
	expires      timestamptz not null,          -- of the invitation
	accepted     timestamptz,                   -- when they first proved the mailbox
	ended        timestamptz,                   -- taken back, expired or removed
	end_reason   text not null default '',
	primary key (workspace_id, user_id),
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, invited_by) references users (workspace_id, id)
);
create unique index guest_email on guests (workspace_id, email) where ended is null;
create index guests_expires on guests (expires) where ended is null and accepted is null;

create table guest_settings (
	workspace_id uuid primary key references workspaces (id),
	inviters     text not null check (inviters in ('owners', 'administrators', 'account_owners'))
);

create table codes (
	-- Codes that were mailed, for ten minutes.
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	link_id      uuid,                          -- null: to sign in as a guest
	email        text not null,
	decoy        boolean not null,              -- nobody was written to
	challenge    bytea not null,                -- SHA-256 of what the asking browser keeps
	answer       bytea not null,                -- SHA-256 of that and the code: without the browser nobody can try codes
	attempts     integer not null default 0,
	address      text not null,                 -- IP address
	created      timestamptz not null,
	expires      timestamptz not null,
	used         timestamptz,
	primary key (workspace_id, id),
	constraint code_challenge unique (challenge),
	foreign key (workspace_id, link_id) references links (workspace_id, id)
);
create index codes_email on codes (workspace_id, email, created);
create index codes_address on codes (workspace_id, address, created);
create index codes_created on codes (workspace_id, created);

-- What a recipient of a link was given is an exposure like any other, of nobody who is a user.
alter table exposures
	alter column user_id drop not null,
	add column link_id uuid,
	add column recipient text not null default '',
	add constraint exposure_of check (num_nonnulls(user_id, link_id) = 1),
	add foreign key (workspace_id, link_id) references links (workspace_id, id);

-- A guest signs in without an identity provider.
alter table sessions alter column connection_id drop not null;
