-- core/rotation: a rotation's row changes ten times on its way, and its state and lease every time. As long as no index
-- names what changes, PostgreSQL keeps the new row beside the old one and leaves the indexes alone (HOT).
alter table rotations
	add column leased boolean generated always as (lease_until is not null) stored,
	add column failing boolean generated always as (finished is null and (state = 'blocked' or attempts >= 3)) stored;
drop index rotations_leased, rotations_failing;
create index rotations_leased on rotations (workspace_id, app_id) where leased;
create index rotations_failing on rotations (workspace_id, account_id) where failing;
alter table rotations set (fillfactor = 70);
