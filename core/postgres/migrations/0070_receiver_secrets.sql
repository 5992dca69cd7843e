-- Which secret of a receiver an access token was given out for: revoked with it, at once.
alter table service_account_tokens add constraint service_account_token_of unique (workspace_id, id);
alter table transmitter_tokens add column secret_id uuid;
alter table transmitter_tokens add foreign key (workspace_id, secret_id) references service_account_tokens (workspace_id, id) on delete cascade;
create index transmitter_tokens_secret on transmitter_tokens (workspace_id, secret_id);
