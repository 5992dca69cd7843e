-- What a signal writes, without what it knows already: its transaction has read the connection it belongs to, and
-- each look of a foreign key locks that one row once more for everybody at the same time.
alter table signed_token_uses drop constraint signed_token_uses_connection_id_fkey;
alter table signals drop constraint signals_workspace_id_fkey;
