-- core/accounts: the accounts of one app, a page at a time.
create index accounts_app on accounts (workspace_id, app_id, id);
