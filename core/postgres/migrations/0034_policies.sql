-- core/policies: what starts a rotation.

alter table accounts add column tags text[] not null default '{}';
create index accounts_tags on accounts using gin (tags) where tags <> '{}';
-- The order in which a schedule goes through a workspace's accounts: as good as random, and always the same.
create index accounts_place on accounts (workspace_id, (uuid_hash_extended(id, 0) & 9223372036854775807));

-- A grant that ran out is like one that was taken back, once somebody has looked.
alter table grants add column settled timestamptz;  -- when what follows from its end by time was done
create index grants_ended on grants (expires) where expires is not null and revoked is null and settled is null;

create table policies (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null,
	trigger      text not null check (trigger in ('schedule', 'sign_in', 'deprovision', 'logout', 'revocation',
	                                              'owner_change', 'admin_change', 'link_end')),
	enabled      boolean not null,
	covers       text not null check (covers in ('all', 'apps', 'tags', 'accounts')),
	apps         uuid[] not null,
	tags         text[] not null,
	accounts     uuid[] not null,
	excluded     uuid[] not null,               -- accounts it never touches
	spacing      interval not null,             -- between two rotations of an account, at least
	delay        interval not null,             -- sign_in: how long after
	schedule     jsonb,                         -- core/policies.Schedule
	version      integer not null,
	created      timestamptz not null,
	updated      timestamptz not null,

	-- How far a schedule has come.
	occurrence   date,                          -- the one under way, or the next
	starts       timestamptz,                   -- the window it is carried out in
	ends         timestamptz,
	base         bigint not null default 0,     -- the place of an account that is due at the window's start
	done         bigint not null default -1,    -- accounts up to this place were seen to
	planned      integer not null default 0,    -- rotations begun in this occurrence
	passed       integer not null default 0,    -- accounts passed over in it
	finished     timestamptz,                   -- when an occurrence was last carried out to its end
	next         timestamptz,                   -- when somebody has to look again; null: it is off, or no schedule
	primary key (workspace_id, id),
	constraint policy_name unique (workspace_id, name)
);
create index policies_trigger on policies (workspace_id, trigger);
create index policies_next on policies (next) where next is not null;

create table policy_dues (
	-- Accounts somebody signed in with, whose password is to be changed after a while.
	workspace_id uuid not null,
	policy_id    uuid not null,
	account_id   uuid not null,
	since        timestamptz not null,          -- of the sign-in
	due          timestamptz not null,
	primary key (workspace_id, policy_id, account_id),
	foreign key (workspace_id, policy_id) references policies (workspace_id, id) on delete cascade
) with (fillfactor = 70);
create index policy_dues_due on policy_dues (due, workspace_id);
