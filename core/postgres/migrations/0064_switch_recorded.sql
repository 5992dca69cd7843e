-- core/rotation: when the app's own record of an account, read back, said that it is disabled, or enabled.
alter table switches add column recorded timestamptz;
