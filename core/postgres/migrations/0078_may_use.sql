-- Who may use what is answered by indexes alone: what a grant gives, and whether a membership counts, are in them.
drop index grants_user;
create index grants_user on grants (workspace_id, user_id, account_id) include (role, expires) where revoked is null;
drop index grants_team;
create index grants_team on grants (workspace_id, team_id, account_id) include (role, expires) where revoked is null;
drop index grant_team;
create unique index grant_team on grants (workspace_id, account_id, team_id) include (role, expires) where revoked is null and team_id is not null;
drop index team_members_user;
create index team_members_user on team_members (workspace_id, user_id, team_id) include (suspended);
