-- core/accounts: who typed a secret in knows it like who was shown it. entered: a password; totp_entered: a TOTP secret, whose
-- version it is; backup_entered: a list of backup codes, whose number it is; backup_code: one backup code, by its number.
alter table exposures
	drop constraint exposures_level_check,
	add constraint exposures_level_check check (level in (
		'injected', 'filled', 'revealed', 'code', 'message', 'entered', 'totp_entered', 'backup_entered', 'backup_code'));
