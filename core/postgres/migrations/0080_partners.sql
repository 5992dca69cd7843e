-- core/links: organisations outside, whose people are guests.

create table partners (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	name         text not null check (char_length(name) between 1 and 100),
	sponsor_id   uuid not null,                 -- the user who answers for it
	ends         timestamptz,                   -- no guest of it has access after that
	created      timestamptz not null,
	ended        timestamptz,
	cause        jsonb,                         -- what ended it: its guests are sent away in its name
	primary key (workspace_id, id),
	foreign key (workspace_id, sponsor_id) references users (workspace_id, id)
);
create unique index partner_name on partners (workspace_id, lower(name)) where ended is null;
create index partners_ends on partners (ends) where ended is null;
create index partners_sponsor on partners (workspace_id, sponsor_id);

create table partner_domains (
	-- Of e-mail addresses. Those of an ended partner stay, so that its people are not invited again by mistake.
	workspace_id uuid not null,
	partner_id   uuid not null,
	domain       text not null,                 -- in lower case
	live         boolean not null default true, -- the partner has not ended
	primary key (workspace_id, partner_id, domain),
	foreign key (workspace_id, partner_id) references partners (workspace_id, id)
);
create unique index partner_domain on partner_domains (workspace_id, domain) where live;
create index partner_domains_domain on partner_domains (workspace_id, domain);

alter table guests add column partner_id uuid;
alter table guests add foreign key (workspace_id, partner_id) references partners (workspace_id, id);
create index guests_partner on guests (workspace_id, partner_id) where partner_id is not null;

alter table guest_settings add column partners_only boolean not null default false;

-- core/accounts: a team is not proposed any more to whoever is back, until the membership is suspended anew.
alter table team_members add column declined timestamptz;
