-- core/audit: the log is kept in a table per calendar month (UTC), so that what is old goes by dropping a table.
-- Who did it and whether it failed are columns now: looking for them in the text was half of what an event cost.
-- What is there moves over whole; that takes about a minute for every few million events.

alter table audit_log rename to audit_log_before;
alter index audit_log_pkey rename to audit_log_before_pkey;
alter index audit_log_workspace_id_sequence_key rename to audit_log_before_sequence;
drop index audit_log_correlation, audit_log_actor, audit_log_type, audit_log_failure, audit_log_event;
alter table audit_targets rename to audit_targets_before;
alter index audit_targets_pkey rename to audit_targets_before_pkey;

create table audit_log (
	position     bigint not null,               -- order over all workspaces: what the relay follows
	workspace_id uuid not null,
	sequence     bigint not null,               -- gap-free per workspace, from 1
	event_id     uuid not null,
	type         text collate "C" not null,
	occurred     timestamptz not null,
	correlation  uuid not null,
	actor        uuid,                          -- null: the system, or somebody without an id
	failed       boolean not null,
	event        text not null,                 -- canonical JSON: exactly the bytes that were hashed
	previous     bytea not null,
	hash         bytea not null,                -- SHA-256(previous, sequence as 8 bytes big-endian, event)
	sequenced    timestamptz not null,
	primary key (position, sequenced),
	unique (workspace_id, sequence, sequenced)
) partition by range (sequenced);
create index audit_log_correlation on audit_log (workspace_id, correlation, sequence);
create index audit_log_actor on audit_log (workspace_id, actor, sequence) where actor is not null;
create index audit_log_type on audit_log (workspace_id, type, sequence);
create index audit_log_failure on audit_log (workspace_id, sequence) where failed;
create index audit_log_event on audit_log (event_id);

create table audit_targets (
	-- Which events tell of a thing: the activity of one account, user or team.
	workspace_id uuid not null,
	target_id    uuid not null,
	sequence     bigint not null,
	sequenced    timestamptz not null,          -- that of the event: the same month
	primary key (workspace_id, target_id, sequence, sequenced)
) partition by range (sequenced);

-- audit_month makes the tables of the month of a moment, if there are none. Nobody who reads waits for it.
create function audit_month(moment timestamptz) returns void language plpgsql as $$
declare
	month  timestamp := date_trunc('month', moment at time zone 'UTC');
	parent text;
	child  text;
begin
	foreach parent in array array['audit_log', 'audit_targets'] loop
		child := parent || to_char(month, '_YYYY_MM');
		if to_regclass(format('%I.%I', current_schema(), child)) is null then
			execute format('create table %I (like %I including defaults including constraints)', child, parent);
			execute format('alter table %I attach partition %I for values from (%L) to (%L)',
				parent, child, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
		end if;
	end loop;
end $$;

select audit_month(m) from (
	select distinct date_trunc('month', sequenced at time zone 'UTC') at time zone 'UTC' as m from audit_log_before
	union select now()
) months;

insert into audit_log (position, workspace_id, sequence, event_id, type, occurred, correlation, actor, failed, event, previous, hash, sequenced)
select position, workspace_id, sequence, event_id, type, occurred, correlation,
	case when starts_with(event, '{"actor":{"id":"') then substr(event, 17, 36)::uuid end,
	position('"outcome":"failure"' in event) > 0,
	event, previous, hash, sequenced
from audit_log_before
order by position;

insert into audit_targets (workspace_id, target_id, sequence, sequenced)
select t.workspace_id, t.target_id, t.sequence, l.sequenced
from audit_log_before l join audit_targets_before t on t.workspace_id = l.workspace_id and t.sequence = l.sequence
order by l.position;

drop table audit_log_before, audit_targets_before;

create table audit_holds (
	-- Workspaces whose records stay, however old: a legal hold.
	workspace_id uuid primary key,
	reason       text not null,
	placed       timestamptz not null
);
