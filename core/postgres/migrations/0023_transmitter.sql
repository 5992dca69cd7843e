-- What Postern tells others: security event tokens to receivers of Shared Signals, logouts to apps. webhooks/delivery.
create table delivery_lanes (
	-- One destination: a stream, a logout target. What is for it is delivered by one process at a time.
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	kind         text not null,                 -- which carrier delivers
	name         text not null,
	ordered      boolean not null,              -- what cannot be delivered holds up what comes after it
	carried      boolean not null,              -- we deliver; false: it is fetched
	state        text not null default 'running' check (state in ('running', 'paused', 'disabled')),
	reason       text not null default '',
	due          timestamptz,                   -- when there is something to do; null: nothing
	lease_owner  uuid,
	lease_until  timestamptz,
	succeeded    timestamptz,                   -- the last success
	failures     integer not null default 0,    -- in a row
	last_error   text not null default '',
	last_error_at timestamptz,
	created      timestamptz not null,
	primary key (workspace_id, id)
);
create index delivery_lanes_due on delivery_lanes (due) where due is not null;

create table deliveries (
	id           uuid not null,                 -- the same however often it is sent: jti, webhook-id
	number       bigint generated always as identity, -- the order within a lane
	workspace_id uuid not null,
	lane_id      uuid not null,
	event_id     uuid not null,                 -- of the audit log; or, of what nobody recorded, its own
	type         text not null,
	payload      jsonb not null,                -- what the carrier makes the message of; no secret
	urgent       boolean not null default false, -- delivered though the lane is paused or disabled
	state        text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
	attempts     integer not null default 0,
	next         timestamptz not null,
	last_error   text not null default '',
	status       integer not null default 0,    -- of the last answer
	created      timestamptz not null,
	finished     timestamptz,
	primary key (workspace_id, id),
	constraint delivery_once unique (workspace_id, lane_id, event_id, type),
	foreign key (workspace_id, lane_id) references delivery_lanes (workspace_id, id) on delete cascade
);
create index deliveries_waiting on deliveries (workspace_id, lane_id, number) where state = 'waiting';
create index deliveries_dead on deliveries (workspace_id, lane_id, number) where state = 'dead';
create index deliveries_finished on deliveries (finished) where state <> 'waiting';

-- Who follows the log begins where it ends now: what happened before there were receivers is nobody's.
insert into cursors (name, position)
select 'deliveries', coalesce((select position from cursors where name = 'sequencer'), 0)
on conflict (name) do nothing;

create table receivers (
	-- Who may have a stream of Shared Signals from us: a client with OAuth client credentials.
	id                 uuid not null,
	workspace_id       uuid not null references workspaces (id),
	service_account_id uuid not null,
	name               text not null,
	subject_format     text not null check (subject_format in ('email', 'iss_sub')),
	audience           text not null,           -- aud of its tokens
	sessions           boolean not null,        -- hears of single sessions too
	accounts           boolean not null,        -- hears of rotations of shared accounts
	created            timestamptz not null,
	primary key (workspace_id, id),
	unique (workspace_id, service_account_id),
	constraint receiver_name unique (workspace_id, name),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id)
);

create table transmitter_tokens (
	-- Access tokens of receivers.
	hash               bytea primary key,       -- SHA-256 of the token
	workspace_id       uuid not null,
	receiver_id        uuid not null,
	scopes             text[] not null,
	created            timestamptz not null,
	expires            timestamptz not null,
	foreign key (workspace_id, receiver_id) references receivers (workspace_id, id) on delete cascade
);
create index transmitter_tokens_receiver on transmitter_tokens (workspace_id, receiver_id, expires);

create table transmitter_streams (
	-- A receiver has at most one. Its lane has the same id, its state and its reason.
	id             uuid not null,
	workspace_id   uuid not null,
	receiver_id    uuid not null,
	delivery       text not null check (delivery in ('push', 'poll')),
	endpoint_url   text not null default '',    -- push
	header_version integer not null default 0,  -- of the sealed authorization_header, item id = stream id; 0 or less: none
	description    text not null default '',
	requested      text[] not null,
	delivered      text[] not null,
	verify_asked   timestamptz,
	created        timestamptz not null,
	updated        timestamptz not null,
	primary key (workspace_id, id),
	constraint transmitter_stream_one unique (workspace_id, receiver_id),
	foreign key (workspace_id, receiver_id) references receivers (workspace_id, id) on delete cascade,
	foreign key (workspace_id, id) references delivery_lanes (workspace_id, id) on delete cascade
);

create table transmitter_removed_subjects (
	-- Whom a stream is not told about any more; everybody else it is (default_subjects ALL).
	workspace_id uuid not null,
	stream_id    uuid not null,
	subject      text not null,                 -- in one spelling
	removed      timestamptz not null,
	primary key (workspace_id, stream_id, subject),
	foreign key (workspace_id, stream_id) references transmitter_streams (workspace_id, id) on delete cascade
);

create table logout_targets (
	-- Apps that end a person's sessions when Postern says so. The lane has the same id.
	id             uuid not null,
	workspace_id   uuid not null,
	app_id         uuid,
	name           text not null,
	kind           text not null check (kind in ('back_channel', 'global_token_revocation')),
	address        text not null,
	client_id      text not null,               -- aud of a logout token; sub of a revocation's token
	subject_format text not null check (subject_format in ('email', 'iss_sub', 'user_id', 'external_id')),
	created        timestamptz not null,
	updated        timestamptz not null,
	primary key (workspace_id, id),
	constraint logout_target_name unique (workspace_id, name),
	foreign key (workspace_id, id) references delivery_lanes (workspace_id, id) on delete cascade,
	foreign key (workspace_id, app_id) references apps (workspace_id, id)
);
