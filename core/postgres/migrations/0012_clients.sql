-- OAuth clients of a connection (RFC 6749 §4.4), and the access tokens they are given.

create table connection_clients (
	id            uuid not null,
	workspace_id  uuid not null,
	connection_id uuid not null,
	client_id     text not null unique,         -- pst_client_…, not a secret
	hash          bytea not null,               -- SHA-256 of the secret
	created       timestamptz not null,
	expires       timestamptz,
	last_used     timestamptz,
	primary key (id),
	unique (workspace_id, id),
	foreign key (workspace_id, connection_id) references connections (workspace_id, id)
);
create index connection_clients_connection on connection_clients (workspace_id, connection_id);

-- A static token is made by an administrator and fills a slot. An access token is issued by the token
-- endpoint, to a client or, where client is null, for a client assertion. It dies with its client.
alter table connection_tokens
	add column kind text not null default 'static' check (kind in ('static', 'access')),
	add column client uuid,
	add check (kind = 'access' and expires is not null or kind = 'static' and client is null),
	add foreign key (workspace_id, client) references connection_clients (workspace_id, id) on delete cascade;
create index connection_tokens_connection on connection_tokens (workspace_id, connection_id, kind, created, id);
create index connection_tokens_client on connection_tokens (workspace_id, client) where client is not null;

-- Whose assertion this is, when the request does not say.
create index connections_assertion on connections
	((provisioning -> 'assertion' ->> 'issuer'), (provisioning -> 'assertion' ->> 'subject'))
	where provisioning -> 'assertion' ->> 'issuer' is not null;
