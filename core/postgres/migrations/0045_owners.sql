-- Who owns an account is asked at each change and, by a review, of thousands of items at once: reading all its grants
-- made freezing fifty thousand items of ten accounts a matter of minutes.
create index grants_owners on grants (workspace_id, account_id, created, id) include (user_id, team_id, expires)
	where role = 'owner' and revoked is null;
