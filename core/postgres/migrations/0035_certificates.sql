-- core/accounts: whom an account passes to when its last living owner goes.

create table successors (
	workspace_id uuid not null references workspaces (id),
	account_id   uuid,                          -- null: the workspace's list, for accounts whose own leads to nobody
	place        integer not null,
	user_id      uuid,
	team_id      uuid,                          -- neither: the manager of whoever goes
	check (num_nonnulls(user_id, team_id) <= 1),
	constraint successor_place unique nulls not distinct (workspace_id, account_id, place),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id),
	foreign key (workspace_id, team_id) references teams (workspace_id, id)
);

-- Who the identity provider says somebody's manager is (RFC 7643 §4.3). Its value is to be a user's id; some
-- providers send what they call the manager themselves.
create function manager_of(workspace uuid, person uuid) returns uuid language sql stable as $$
	with said as (
		select u.connection_id, coalesce(m.manager ->> 'value', case when jsonb_typeof(m.manager) = 'string' then m.manager #>> '{}' end) as value
		from users u
		cross join lateral (select u.attributes -> 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User' -> 'manager' as manager) m
		where u.workspace_id = $1 and u.id = $2
	)
	select found.id
	from said cross join lateral (
		select 1 as place, u.id from users u
		where u.workspace_id = $1 and u.id = case when said.value ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then said.value::uuid end
		union all
		select 2, u.id from users u
		where u.workspace_id = $1 and u.connection_id = said.connection_id and u.external_id = said.value and u.external_id <> '' and u.deleted is null
		union all
		select 3, u.id from users u
		where u.workspace_id = $1 and u.connection_id = said.connection_id and (fold(u.user_name) collate "C") = (fold(said.value) collate "C")
			and u.deleted is null and u.user_name <> ''
	) found
	where found.id <> $2
	order by found.place limit 1
$$;

-- What somebody had who is back is proposed, until it is given anew or declined.
alter table grants add column declined timestamptz;

-- core/certificates: what became of every password somebody knew when they left. What they knew is written down as
-- they leave; what became of it is read from the rotations each time.

create table certificate_settings (
	workspace_id uuid primary key references workspaces (id),
	deadline     interval not null              -- after which a certificate is signed though something is open
);

create table certificates (
	id           uuid not null,
	workspace_id uuid not null,
	user_id      uuid not null,
	reason       text not null check (reason in ('deprovision', 'logout')),
	cause        json not null,                 -- core.Cause
	departed     timestamptz not null,          -- since when they can do nothing
	opened       timestamptz not null,          -- when everything was taken
	deadline     timestamptz not null,
	taken        json not null,                 -- core/certificates.Taken
	accounts     uuid[] not null,               -- of the passwords they knew or could have looked at, each one once:
	versions     integer[] not null,            --   which password of the account
	saw          boolean[] not null,            --   they were given it; otherwise they could have looked
	rotations    uuid[] not null,               --   what was planned; null: nothing, by policy
	reactivated  timestamptz,                   -- when they were first active again
	due          timestamptz,                   -- when somebody has to look; null: when an event tells of something new
	issued       integer not null default 0,    -- number of the latest issue; 0: none yet
	state        text not null default 'pending' check (state in ('pending', 'complete', 'incomplete')),
	primary key (workspace_id, id),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
create index certificates_user on certificates (workspace_id, user_id, opened);
create index certificates_page on certificates (workspace_id, opened, id);
create index certificates_due on certificates (due) where due is not null;
create index certificates_accounts on certificates using gin (accounts);

create table certificate_issues (
	-- What was signed. Rows stay.
	workspace_id   uuid not null,
	certificate_id uuid not null,
	number         integer not null,            -- from 1, each superseding the one before
	issued         timestamptz not null,
	state          text not null,
	certificate    text not null,               -- canonical JSON: exactly the bytes that were signed
	digest         bytea not null,              -- SHA-256 of it
	signature      text not null,               -- JWS with detached payload (RFC 7515 appendix F)
	key            json not null,               -- the public key, as a JWK
	primary key (workspace_id, certificate_id, number),
	foreign key (workspace_id, certificate_id) references certificates (workspace_id, id)
);

-- Who was there before this table was has no certificate: nothing of theirs has to be looked at.
insert into cursors (name, position) select 'certificates', coalesce((select position from cursors where name = 'sequencer'), 0)
on conflict (name) do nothing;
