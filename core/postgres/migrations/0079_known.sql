-- core/directory: who knows which secret of a service account. Rows stay when the secret goes.
create table service_exposures (
	id                 uuid not null,
	workspace_id       uuid not null,
	service_account_id uuid not null,           -- which may be gone
	account_name       text not null,           -- as it was called then
	user_id            uuid not null,
	how                text not null check (how in ('shown', 'entered')),
	seen               timestamptz not null,
	kind               text not null check (kind in ('token', 'key', 'password')),
	token_id           uuid,                    -- a token for Postern
	credential_id      uuid,                    -- of core/services; of a token once that has found it
	version            integer,                 -- of the credential
	name               text not null default '', -- of the credential
	expires            timestamptz,
	ended              timestamptz,             -- when it was revoked, or its service account removed
	primary key (workspace_id, id),
	check (token_id is not null or credential_id is not null and version is not null),
	foreign key (workspace_id, user_id) references users (workspace_id, id)
);
create unique index service_exposures_token on service_exposures (workspace_id, token_id) where token_id is not null;
create unique index service_exposures_version on service_exposures (workspace_id, credential_id, version) where credential_id is not null;
create index service_exposures_user on service_exposures (workspace_id, user_id);
create index service_exposures_account on service_exposures (workspace_id, service_account_id) where ended is null;

alter table service_findings
	drop constraint service_findings_kind_check,
	add constraint service_findings_kind_check check (kind in ('ownerless', 'one_owner', 'used_after_idle', 'new_network', 'interactive_use',
		'used_after_owner_left', 'expires_soon', 'known_by_leaver'));

-- core/rotation: every trigger of a policy is a reason of its own.
alter table rotations
	drop constraint rotations_reason_check,
	add constraint rotations_reason_check check (reason in ('manual', 'deprovision', 'logout', 'verify', 'schedule', 'sign_in', 'revocation', 'owner_change',
		'admin_change', 'link_end', 'enrol'));
drop index rotations_locked_out;
drop index rotations_locking_out;
create index rotations_locked_out on rotations (finished) where receipt is not null and reason in ('deprovision', 'revocation', 'link_end', 'logout');
create index rotations_locking_out on rotations (id) where finished is null and reason in ('deprovision', 'revocation', 'link_end', 'logout');

-- core/health: whom it is to be mailed to that an account needs a person.
create table account_alarms (
	workspace_id uuid not null,
	account_id   uuid not null,
	state        text not null check (state in ('desynced', 'app_disabled', 'orphaned', 'rotation_blocked')),
	due          timestamptz,             -- null: it was mailed
	mailed       timestamptz,             -- when it was last
	primary key (workspace_id, account_id, state),
	foreign key (workspace_id, account_id) references accounts (workspace_id, id) on delete cascade
);
create index account_alarms_due on account_alarms (due) where due is not null;
create index account_alarms_mailed on account_alarms (mailed) where due is null;

alter table health_settings add column quiet boolean not null default false; -- nobody is mailed
