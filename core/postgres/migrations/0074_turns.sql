-- core/rotation: whose turn it is. No app may take every place of the workers.
alter table rotations
	add column app_id uuid,                          -- of its account; only open ones need it
	add column parked boolean not null default false; -- due, but its app has no place: without a job, until another of the app rests
update rotations r set app_id = a.app_id from accounts a where a.workspace_id = r.workspace_id and a.id = r.account_id and r.finished is null;
create index rotations_waiting on rotations (workspace_id, app_id, priority, created) where finished is null and next_attempt is not null and not parked;
create index rotations_parked on rotations (workspace_id, app_id, priority, created) where parked;
create index rotations_leased on rotations (workspace_id, app_id) where lease_until is not null;

-- How fast an app may be asked, where that was said.
create table app_paces (
	workspace_id uuid not null,
	app_id       uuid not null,
	at_once      integer check (at_once > 0),       -- rotations under way; null: as many as of any
	spacing      interval not null default '0',     -- between the beginnings of two
	next         timestamptz,                       -- before which none begins
	primary key (workspace_id, app_id),
	foreign key (workspace_id, app_id) references apps (workspace_id, id)
);
