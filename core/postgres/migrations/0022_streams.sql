-- Streams of Shared Signals that identity providers send us, by push or by poll.
create table streams (
	id               uuid not null,
	workspace_id     uuid not null references workspaces (id),
	connection_id    uuid not null,
	profile          text not null,             -- which departures from the standard are understood
	delivery         text not null check (delivery in ('push', 'poll')),
	issuer           text not null,             -- the transmitter: iss of its tokens, exactly
	remote_id        text not null default '',  -- what the transmitter calls the stream; '': not known
	audiences        text[] not null,
	metadata         jsonb not null,            -- webhooks/ssf.Metadata: the transmitter's endpoints
	access           jsonb not null,            -- webhooks/ssf.Access: how we get in there, without the secret
	secret_version   integer not null default 0, -- of the sealed secret, item id = stream id; 0: none is sealed
	push_hashes      bytea[] not null default '{}', -- SHA-256 of the Authorization headers we chose
	poll_url         text not null default '',
	description      text not null default '',
	requested        text[] not null,           -- event types
	delivered        text[] not null,
	status           text not null check (status in ('creating', 'enabled', 'paused', 'disabled')),
	reason           text not null default '',  -- of the status, in the transmitter's words
	told             timestamptz,               -- iat of the last stream-updated event that was followed
	verify_interval  integer not null default 0, -- seconds between two verifications, at least
	verify_states    text[] not null default '{}', -- that we sent and that may come back, newest last
	verify_asked     timestamptz,
	verified         timestamptz,
	last_event       timestamptz,
	last_event_type  text not null default '',
	failures         integer not null default 0, -- in a row, of poll
	last_error       text not null default '',
	last_error_stage text not null default '',
	last_error_at    timestamptz,
	lease_owner      uuid,                      -- the process that polls, or keeps the subjects
	lease_until      timestamptz,
	subjects_after   timestamptz not null,      -- when to look for people the transmitter was not told of
	created          timestamptz not null,
	updated          timestamptz not null,
	primary key (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index streams_connection on streams (workspace_id, connection_id, created);
create index streams_poll on streams (lease_until nulls first, id) where delivery = 'poll' and status <> 'creating';
create index streams_subjects on streams (subjects_after) where status = 'enabled';

create table stream_subjects (
	-- Whom a transmitter with default_subjects NONE was told that we want to hear about.
	workspace_id uuid not null,
	stream_id    uuid not null,
	user_id      uuid not null,
	added        timestamptz not null,
	primary key (workspace_id, stream_id, user_id),
	foreign key (workspace_id, stream_id) references streams (workspace_id, id) on delete cascade,
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
