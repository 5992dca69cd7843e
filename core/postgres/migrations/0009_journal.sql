-- core/journal: what identity providers asked for, in their own words, and what came of it. The table
-- refers to no other: a request is kept as it was, whatever becomes of what it was about.

create table provisioning_requests (
	id            uuid not null,
	workspace_id  uuid not null,
	connection_id uuid not null,
	received      timestamptz not null,
	method        text not null,                -- POST, PUT, PATCH, DELETE
	address       text not null,                -- /Users/0198…: the path under the endpoint
	query         text not null default '',
	body          text,                         -- JSON without passwords; null: none, or none that could be read
	profile       text not null,                -- which profile read it
	rules         text[] not null default '{}', -- which of its rules fired
	status        integer not null,
	detail        text not null default '',     -- what the answer said, if it refused
	resource_id   uuid,                         -- what it was about, if that is known
	correlation   uuid not null,                -- of the events it led to
	primary key (workspace_id, id)
);
create index provisioning_requests_page on provisioning_requests (workspace_id, connection_id, received, id);
create index provisioning_requests_resource on provisioning_requests (workspace_id, resource_id, received) where resource_id is not null;
