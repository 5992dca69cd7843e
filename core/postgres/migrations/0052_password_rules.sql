-- What apps say of the passwords they take, in the language of core/passwordrules.

alter table apps
	add column password_rules text not null default '', -- as a person gave them
	add column seen_rules     text not null default ''; -- as its forms and its refusals say

alter table rotations
	add column rung integer not null default 0; -- candidates refused since the app last said something new of its rules

-- For the objective of the time to lockout: those proven lately, and those not yet.
create index rotations_locked_out on rotations (finished) where receipt is not null and reason in ('deprovision', 'revocation', 'logout');
create index rotations_locking_out on rotations (id) where finished is null and reason in ('deprovision', 'revocation', 'logout');
