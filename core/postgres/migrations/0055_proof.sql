-- core/proof: the public keys that checkpoints, exports and proofs were ever signed with. They are the installation's:
-- what an old key has signed is verified with it after it was replaced. The private keys are in no database.
create table audit_keys (
	key_id     text primary key,               -- the first 8 bytes of the public key's SHA-256, hexadecimal
	public_key bytea not null check (octet_length(public_key) = 32),
	first_used timestamptz not null
);

-- An event by its id, which is what a SIEM knows it by.
create index audit_log_event on audit_log (event_id);
