-- core/accounts: the account of an app whose password sets those of the others when nobody knows them any more.
-- core/rotation: which account set, or is to set, a rotation's candidate.
alter table apps
	add column reconcile_account uuid,
	add constraint app_reconcile_account foreign key (workspace_id, reconcile_account) references accounts (workspace_id, id);

alter table rotations
	add column administrator uuid,          -- null: the account itself changes its password
	drop constraint rotations_state_check,
	add constraint rotations_state_check check (state in ('planned', 'stored', 'armed', 'submitted', 'probing', 'new_proven', 'old_dead', 'done',
	                                                      'not_sent', 'unchanged', 'drifted', 'unknown', 'reconciling', 'blocked'));
