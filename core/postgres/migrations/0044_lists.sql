-- Lists in the order of names, a page at a time, and by how a name begins: the order "C" serves prefixes. Each has a
-- condition that only its own statement states, see 0014_plans.sql.
create index apps_named on apps (workspace_id, (fold(name) collate "C"), id) where name <> '';
create index accounts_named on accounts (workspace_id, app_id, (fold(username) collate "C"), id) where username <> '';
create index accounts_username on accounts (workspace_id, (fold(username) collate "C"), id) where username > '';
