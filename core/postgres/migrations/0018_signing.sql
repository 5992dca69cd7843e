-- The keys a workspace signs with when Postern speaks to others. The private half is an item of the
-- workspace's vault, by the same id.
create table signing_keys (
	id           uuid not null,                  -- the kid
	workspace_id uuid not null references workspaces (id),
	algorithm    text not null check (algorithm in ('RS256')),
	public_key   bytea not null,                 -- PKIX, DER
	created      timestamptz not null,
	activates    timestamptz not null,           -- signs from then on, until the next one does
	primary key (workspace_id, id),
	constraint signing_key_order unique (workspace_id, activates)
);
