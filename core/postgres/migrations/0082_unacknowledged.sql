-- What an indexer has taken and not acknowledged when the process that waited for it stops: whoever delivers next asks for that
-- instead of sending the events again. What is kept is the receiver's own and holds no secret.
create table sink_unacknowledged (
	-- Of the sinks for all workspaces.
	sink      text not null references sinks (name) on delete cascade,
	partition integer not null,
	events    uuid[] not null, -- in order
	pending   jsonb not null,
	primary key (sink, partition)
);

alter table workspace_sinks
	add column pending    jsonb,
	add column pending_to bigint; -- the last sequence of what is pending
