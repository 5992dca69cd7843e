-- Endpoints that are told of events by Standard Webhooks: webhooks/outgoing.
create table webhooks (
	-- The lane has the same id, its state and its reason.
	id             uuid not null,
	workspace_id   uuid not null,
	name           text not null,
	address        text not null,
	types          text[] not null,             -- event types, or the first word of them with .*; empty: all
	scheme         text not null check (scheme in ('v1', 'v1a')),
	secret_version integer not null,            -- of the sealed secret, item id = webhook id; the one before signs too until previous_ends
	previous_ends  timestamptz,
	created        timestamptz not null,
	updated        timestamptz not null,
	primary key (workspace_id, id),
	constraint webhook_name unique (workspace_id, name),
	foreign key (workspace_id, id) references delivery_lanes (workspace_id, id) on delete cascade
);

create table webhook_attempts (
	-- What became of each attempt, for as long as its message is kept.
	workspace_id uuid not null,
	webhook_id   uuid not null,
	delivery_id  uuid not null,
	at           timestamptz not null,
	status       integer not null,              -- 0: no answer
	took         interval not null,
	error        text not null,
	foreign key (workspace_id, webhook_id) references webhooks (workspace_id, id) on delete cascade,
	foreign key (workspace_id, delivery_id) references deliveries (workspace_id, id) on delete cascade
);
create index webhook_attempts_delivery on webhook_attempts (workspace_id, delivery_id, at);
