-- siem/sinks: where a workspace has its own events delivered to. A sink for all workspaces is configured by flags and has its state
-- in sinks.
create table workspace_sinks (
	id             uuid not null,
	workspace_id   uuid not null references workspaces (id),
	name           text not null,
	kind           text not null,
	settings       jsonb not null,               -- as its kind has them
	credentials    text[] not null default '{}', -- the names of those that are set; item id = sink id, one field, a JSON object
	secret_version integer not null default 0,   -- of the sealed credentials; 0: none are sealed
	filter         jsonb not null,               -- siem/sinks.Filter
	redaction      jsonb not null,               -- siem/sinks.Redaction, one after the other
	enabled        boolean not null,
	revision       bigint not null default 1,    -- raised by each change: whoever delivers reads it anew
	state          text not null default 'running' check (state in ('running', 'retrying', 'paused', 'draining')),
	reason         text not null default '',     -- in words; no secret
	held           boolean not null default false, -- a person paused it: it goes on when a person says so
	began          bigint not null,              -- the first sequence that is for it
	delivered      bigint not null,              -- the last sequence that was delivered, or is not meant for it
	delivered_at   timestamptz,                  -- when the receiver last took something
	served         timestamptz,                  -- when a process last said that it delivers
	created        timestamptz not null,
	updated        timestamptz not null,
	primary key (workspace_id, id),
	constraint workspace_sink_name unique (workspace_id, name)
);

create table sink_replays (
	-- What is to be delivered once more, in order, beside what is new.
	id            uuid not null,
	workspace_id  uuid not null,
	sink_id       uuid not null,
	from_sequence bigint not null,
	to_sequence   bigint not null,
	next_sequence bigint not null,
	state         text not null default 'running' check (state in ('running', 'done', 'cancelled')),
	delivered     bigint not null default 0,      -- events
	created       timestamptz not null,
	finished      timestamptz,
	primary key (workspace_id, id),
	foreign key (workspace_id, sink_id) references workspace_sinks (workspace_id, id) on delete cascade
);
create index sink_replays_running on sink_replays (workspace_id, sink_id, id) where state = 'running';
create index sink_replays_sink on sink_replays (workspace_id, sink_id, created);

alter table dead_letters
	add column sink_id  uuid,                      -- of a workspace's own sink; null: the sink serves all workspaces
	add column type     text not null default '',
	add column sequence bigint not null default 0;
create unique index dead_letters_event on dead_letters (workspace_id, sink_id, event_id) where sink_id is not null;
