-- A statement finds its index by a condition that only it and the index name. Without statistics, as
-- in the first minutes of a database, the planner takes every index that begins with the workspace for
-- equally good, and a connection to the database keeps what it chose: a person was looked up by going
-- through all. An index with a condition of its own is no choice for those who do not state it.
drop index user_name;
create unique index user_name on users (workspace_id, connection_id, (fold(user_name) collate "C")) nulls not distinct
where deleted is null and user_name <> '';
drop index users_email;
create index users_email on users (workspace_id, (fold(email) collate "C")) where deleted is null and email <> '';
drop index users_page;
create index users_page on users (workspace_id, connection_id, created, id) where deleted is null and created > '-infinity';

-- Every change of a person was written into every index because of this one (it doubled what a change
-- costs, and tripled its log), for a question that is asked now and then: who changed since. Now that
-- one goes through the connection's people, and a change touches the row alone, on its own page.
drop index users_updated;
alter table users set (fillfactor = 85);

drop index team_display_name;
create unique index team_display_name on teams (workspace_id, connection_id, (fold(display_name) collate "C")) nulls not distinct
where deleted is null and display_name <> '';
drop index teams_page;
create index teams_page on teams (workspace_id, connection_id, created, id) where deleted is null and created > '-infinity';
