-- core/reviews: asking those who answer for access whether it is still needed, and doing what they say.

-- Who gave access, as far as somebody kept it: a core.Actor.
alter table grants add column giver json;

-- Whoever is asked when nobody closer can be.
create index users_administrators on users (workspace_id, id) where role in ('owner', 'super_admin', 'admin') and deleted is null;

create table review_campaigns (
	-- What is asked again and again. What it asked is in reviews.
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null,
	scope        json not null,                 -- core/reviews.Scope
	days         integer not null,              -- that reviewers have
	fallback     text not null check (fallback in ('keep', 'revoke')), -- what is done where nobody decides
	reminders    integer[] not null,            -- so many days before the last one
	months       integer not null,              -- until it begins again; 0: by hand only
	anchor       timestamptz,                   -- from when the months are counted; null with months 0
	next         timestamptz,                   -- when it begins by itself; null: it does not
	version      integer not null,
	created      timestamptz not null,
	updated      timestamptz not null,
	primary key (workspace_id, id),
	constraint review_campaign_name unique (workspace_id, name)
);
create index review_campaigns_next on review_campaigns (next) where next is not null;

create table review_triggers (
	-- What the workspace says about small reviews, where it says something.
	workspace_id uuid not null references workspaces (id),
	trigger      text not null check (trigger in ('owner_change', 'scope_growth', 'unused')),
	enabled      boolean not null,
	days         integer not null,
	fallback     text not null check (fallback in ('keep', 'revoke')),
	looked       timestamptz,                   -- of unused: when somebody last looked for such access
	primary key (workspace_id, trigger)
);

create table reviews (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	campaign_id  uuid,                          -- null: a small one, or the campaign is gone
	trigger      text not null check (trigger in ('campaign', 'owner_change', 'scope_growth', 'unused')),
	occasion     text not null default '',      -- of a small one: what it is about, once
	name         text not null,
	scope        json,                          -- of a campaign, as it was then
	cause        json not null,                 -- core.Cause
	started      timestamptz not null,
	due          timestamptz not null,          -- the end of the last day
	fallback     text not null check (fallback in ('keep', 'revoke')),
	reminders    integer[] not null,
	items        integer not null,
	state        text not null default 'open' check (state in ('open', 'closing', 'closed')),
	look         timestamptz,                   -- when somebody has to look; null: when an event tells of something new
	closed       timestamptz,
	counts       integer[],                     -- when it was closed: kept, revoked, changed, ended; by default, failed
	cancelled    text,                          -- why, if it was
	issued       integer not null default 0,    -- number of the latest signed evidence; 0: none yet
	complete     boolean not null default false, -- by it, everything that was decided is done
	primary key (workspace_id, id),
	foreign key (workspace_id, campaign_id) references review_campaigns (workspace_id, id) on delete set null (campaign_id)
);
create unique index reviews_occasion on reviews (workspace_id, trigger, occasion) where occasion <> '';
create index reviews_page on reviews (workspace_id, started, id);
create index reviews_campaign on reviews (workspace_id, campaign_id, started);
create index reviews_look on reviews (look) where look is not null;

create table review_items (
	-- One access that is asked about, as it was when the review began or, until somebody decides, as it was changed since.
	-- Grants and rotations are never deleted, and are written too often to be referred to.
	id                 uuid not null,
	workspace_id       uuid not null,
	review_id          uuid not null,
	place              integer not null,        -- in the order of apps, accounts and names
	account_id         uuid,                    -- null: of a service account
	grant_id           uuid,
	user_id            uuid,
	team_id            uuid,
	service_account_id uuid,
	kind               text not null check (kind in ('user', 'guest', 'team', 'service_account')),
	app_name           text not null,
	username           text not null,
	subject            text not null,           -- name of who has the access
	role               text not null,           -- owner or collaborator; of a service account its scopes
	purpose            text not null,
	giver              text not null,           -- name of who gave it; '': it was not kept
	avoid_id           uuid,                    -- who is not asked whether it was right: they gave it
	given              timestamptz not null,
	expires            timestamptz,
	last_used          timestamptz,             -- null: never
	changed            timestamptz,             -- when it was given anew since the review began

	reviewer_id        uuid,                    -- null: nobody but administrators
	asked_as           text not null check (asked_as in ('owner', 'manager', 'administrator', 'delegate', '')),

	decision           text check (decision in ('keep', 'revoke', 'change', 'ended')),
	new_role           text,
	new_expires        timestamptz,
	reason             text not null default '',
	decided            timestamptz,
	decider            json,                    -- core.Actor
	defaulted          boolean not null default false, -- nobody decided until the end
	correlation        uuid,                    -- of what followed
	failure            text not null default '', -- why it could not be done
	rotation_id        uuid,                    -- under way when access had ended
	primary key (workspace_id, review_id, id),
	unique (workspace_id, review_id, place),
	check ((decision is null) = (decided is null)),
	check ((grant_id is null) = (account_id is null) and (grant_id is null) <> (kind <> 'service_account')),
	foreign key (workspace_id, review_id) references reviews (workspace_id, id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, team_id) references teams (workspace_id, id),
	foreign key (workspace_id, service_account_id) references service_accounts (workspace_id, id) on delete set null (service_account_id),
	foreign key (workspace_id, reviewer_id) references users (workspace_id, id)
);
create index review_items_mine on review_items (workspace_id, reviewer_id, review_id, place) where decision is null;
create index review_items_open on review_items (workspace_id, review_id, place) where decision is null;
create index review_items_decisions on review_items (workspace_id, review_id, decision);
create index review_items_account on review_items (workspace_id, account_id) where decision is null;
create index review_items_grant on review_items (workspace_id, grant_id);
create index review_items_service_account on review_items (workspace_id, service_account_id) where service_account_id is not null;
create index review_items_rotation on review_items (workspace_id, rotation_id) where rotation_id is not null;

create table review_mails (
	-- Whom mail was sent to about a review, and how many days before its last one. Nobody gets the same twice.
	workspace_id uuid not null,
	review_id    uuid not null,
	user_id      uuid not null,
	mark         integer not null,
	sent         timestamptz not null,
	primary key (workspace_id, review_id, user_id, mark),
	foreign key (workspace_id, review_id) references reviews (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);

create table review_issues (
	-- What was signed. Rows stay.
	workspace_id uuid not null,
	review_id    uuid not null,
	number       integer not null,              -- from 1, each superseding the one before
	issued       timestamptz not null,
	complete     boolean not null,
	evidence     text not null,                 -- canonical JSON: exactly the bytes that were signed
	digest       bytea not null,                -- SHA-256 of it
	signature    text not null,                 -- JWS with detached payload (RFC 7515 appendix F)
	key          json not null,                 -- the public key, as a JWK
	primary key (workspace_id, review_id, number),
	foreign key (workspace_id, review_id) references reviews (workspace_id, id)
);

-- What happened before there were reviews is nobody's question.
insert into cursors (name, position) select 'reviews', coalesce((select position from cursors where name = 'sequencer'), 0)
on conflict (name) do nothing;
