-- core/accounts: the secret an account's one-time codes are made from (TOTP, RFC 6238). Its value is vault item
-- (account_id, 'totp', version); one that is replaced or removed stays there, and opens for nobody any more.
create table account_totps (
	workspace_id uuid not null,
	account_id   uuid not null,
	version      integer not null,
	stored       timestamptz not null,
	removed      timestamptz,
	given        timestamptz,                   -- when the last step ends of which somebody was given the code
	spent        timestamptz,                   -- when the last step ends of which Postern itself used the code
	primary key (workspace_id, account_id),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id)
);

-- Who was given a code is on record like who was given a password; the version is that of the secret. It is no exposure of the password.
alter table exposures
	drop constraint exposures_level_check,
	add constraint exposures_level_check check (level in ('injected', 'filled', 'revealed', 'code'));
