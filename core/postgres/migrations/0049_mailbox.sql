-- core/mailbox: where apps send messages to an account, and the messages.
create table mailboxes (
	workspace_id uuid not null,
	account_id   uuid not null,
	address      text,                          -- e-mail, in lower case, like no other of any workspace; null: none
	phone        text,                          -- E.164, such as +4930123456; null: none
	received     integer not null default 0,    -- messages so far: the number of the latest
	primary key (workspace_id, account_id),
	constraint mailbox_phone unique (workspace_id, phone),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
create unique index mailbox_address on mailboxes (address) where address is not null;

create table messages (
	id           uuid not null,
	workspace_id uuid not null,
	account_id   uuid not null,
	number       integer not null,              -- counts the account's messages from 1
	kind         text not null check (kind in ('email', 'sms')),
	sender       text not null,                 -- as the message says
	subject      text not null,                 -- every word with a digit in it masked
	spf          text not null,                 -- 'pass example.com'; empty: not checked
	dkim         text not null,
	origin       text not null,                 -- the host its code says it is for; empty: it does not say
	code         boolean not null,              -- whether one was found
	link         boolean not null,
	sealed       bytea not null,                -- subject, text, code and link, under the workspace's message key
	received     timestamptz not null,
	spent        timestamptz,                   -- when Postern itself used its code or its link
	primary key (workspace_id, id),
	unique (workspace_id, account_id, number),
	foreign key (workspace_id, account_id) references mailboxes (workspace_id, account_id)
);
create index messages_received on messages (received);

create table message_digests (
	-- What came already, longer than the message is kept.
	workspace_id uuid not null,
	account_id   uuid not null,
	digest       bytea not null,                -- SHA-256 of the sender's id of the message, and of what it says
	received     timestamptz not null,
	primary key (workspace_id, account_id, digest),
	foreign key (workspace_id, account_id) references mailboxes (workspace_id, account_id)
);
create index message_digests_received on message_digests (received);

create table sms_providers (
	-- Who hands over text messages. The secret they sign with is vault item (id, 'secret', 1).
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	kind         text not null check (kind in ('twilio', 'standard')),
	name         text not null,
	created      timestamptz not null,
	primary key (workspace_id, id),
	constraint sms_provider_name unique (workspace_id, name)
);

-- Who read a message is on record like who was given a password; the version is the message's number. It is no exposure
-- of the password.
alter table exposures
	drop constraint exposures_level_check,
	add constraint exposures_level_check check (level in ('injected', 'filled', 'revealed', 'code', 'message'));
