-- core/accounts: the codes an app gives out for when a second factor is lost. The value of each is vault item
-- (account_id, 'backup_code', number).
create table account_backup_codes (
	workspace_id uuid not null,
	account_id   uuid not null,
	number       integer not null,              -- counts the account's codes from 1
	list         integer not null,              -- of the first one of its list: a new list takes the place of the ones before
	stored       timestamptz not null,
	given        timestamptz,                   -- when somebody was given it; nobody is given it again
	given_to     uuid,
	primary key (workspace_id, account_id, number),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);
