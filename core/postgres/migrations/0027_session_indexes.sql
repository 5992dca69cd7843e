-- What tells sessions apart comes first: of indexes that all begin with the workspace PostgreSQL, as long as it has
-- no statistics, takes any of them, and reads a whole workspace to find one person.
drop index sessions_user;
drop index sessions_sid;
drop index sessions_subject;
create index sessions_user on sessions (user_id, workspace_id) where ended is null;
create index sessions_sid on sessions (sid, connection_id, workspace_id) where ended is null and sid <> '';
create index sessions_subject on sessions (subject, connection_id, workspace_id) where ended is null;
