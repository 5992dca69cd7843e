-- core/services: credentials that are tokens of an account in an app, which Postern has the app make and end.

alter table service_credentials
	drop constraint service_credentials_held_check,
	drop constraint service_credentials_check,
	add constraint service_credentials_held_check check (held in ('postern', 'vault', 'account', 'app')),
	add constraint service_credentials_check check ((held in ('account', 'app')) = (account_id is not null) and (held in ('vault', 'app')) = (vault_id is not null));

alter table service_versions
	add column app_token text not null default '', -- held by an app: its id of the token
	add column ending timestamptz,                 -- held by an app: since when it is to end there
	add column ending_reason text not null default '';

create table service_app_work (
	-- What an app has to be asked for a credential it holds.
	workspace_id  uuid not null,
	credential_id uuid not null,
	making        text not null default '',     -- name of a token the app was asked for, of which nobody has heard
	removing      boolean not null default false, -- the credential goes once its tokens have ended
	fence         integer not null default 0,
	lease_until   timestamptz,
	attempts      integer not null default 0,   -- in vain, one after the other
	next_attempt  timestamptz,                  -- null: there is nothing to do
	detail        text not null default '',     -- why the last was in vain
	primary key (workspace_id, credential_id),
	foreign key (workspace_id, credential_id) references service_credentials (workspace_id, id) on delete cascade
);
create index service_app_work_next on service_app_work (next_attempt) where next_attempt is not null;
