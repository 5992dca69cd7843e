-- What somebody can use is listed in the order of accounts, a page at a time.
drop index grants_user;
create index grants_user on grants (workspace_id, user_id, account_id) where revoked is null;
drop index grants_team;
create index grants_team on grants (workspace_id, team_id, account_id) where revoked is null;
