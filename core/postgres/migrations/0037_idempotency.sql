-- Requests of the admin API that came with an Idempotency-Key.
create table idempotency_keys (
	workspace_id       uuid not null,
	service_account_id uuid not null,
	key                text not null,
	claim              uuid not null,           -- of the request that may have the effect: a late one finds another here
	digest             bytea not null,          -- SHA-256 of the request
	state              text not null check (state in ('begun', 'committed', 'answered')),
	begun              timestamptz not null,
	answer             bytea,                   -- sealed under the token it was given to
	primary key (workspace_id, service_account_id, key)
);
create index idempotency_keys_begun on idempotency_keys (workspace_id, begun);
