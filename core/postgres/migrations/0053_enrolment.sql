-- core/rotation: turning on an account's second factor is a rotation of its own kind.
alter table rotations
	drop constraint rotations_reason_check,
	add constraint rotations_reason_check check (reason in ('manual', 'deprovision', 'logout', 'verify', 'schedule', 'sign_in', 'revocation', 'enrol')),
	add column factors     integer[] not null default '{}',  -- TOTP secrets the app showed that may be in force, in the order in which they are tried
	add column factor_said text not null default '';         -- what the app said to the first code of the latest

-- core/accounts: secrets that an app has shown and that nobody knows to be in force yet. No codes are given of them; a row that has
-- nothing else counts as removed.
alter table account_totps add column candidate integer not null default 0;  -- the newest of them
