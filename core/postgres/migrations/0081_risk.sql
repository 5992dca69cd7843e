-- How bad an account were in wrong hands: of those that wait alike, the riskier are rotated first.
alter table apps
	add column risk integer not null default 3 check (risk between 1 and 5);
alter table accounts
	add column risk integer check (risk between 1 and 5); -- null: its app's
alter table rotations
	add column risk integer not null default 3;           -- of its account; only open ones need it
drop index rotations_waiting;
create index rotations_waiting on rotations (workspace_id, app_id, priority, risk desc, created) where finished is null and next_attempt is not null and not parked;
drop index rotations_parked;
create index rotations_parked on rotations (workspace_id, app_id, priority, risk desc, created) where parked;
