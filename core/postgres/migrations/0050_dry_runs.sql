-- core/dryruns: one row per app that is tried: what its last dry run saw, and when the next one is due.
create table dry_runs (
	workspace_id  uuid not null,
	app_id        uuid not null,
	due           timestamptz,                    -- null: only when asked for
	asked         timestamptz not null,           -- the last time one was begun, or wished for
	running       timestamptz,                    -- one is under way until then, unless it is heard of before
	account_id    uuid,                           -- it signed in with
	version       integer,                        -- of that account's password which it typed as the new one; never sent
	result        text not null default '' check (result in ('', 'passed', 'failed', 'no_account', 'put_off')),
	outcome       text not null default '',
	stage         text not null default '',
	detail        text not null default '',
	started       timestamptz,
	finished      timestamptz,
	model         jsonb,                          -- the pages as the last one saw them
	known         jsonb,                          -- and as the last one that passed did
	failing_since timestamptz,
	primary key (workspace_id, app_id),
	foreign key (workspace_id, app_id) references apps (workspace_id, id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);

create index dry_runs_due on dry_runs (due) where due is not null;
create index apps_recipes on apps (workspace_id, id) where connector = 'browser' and settings ? 'recipe';
create index dry_runs_failing on dry_runs (workspace_id, app_id) where failing_since is not null;
