-- What access was given for, in the words of whoever gave it; and that its end was told.
alter table grants
	add column purpose text not null default '' check (char_length(purpose) <= 200),
	add column expired timestamptz;             -- when its end by the clock was told

-- Access that ends by itself ends by the clock; this is what is still to be told of. Who took it back
-- before told of that instead.
create index grants_expired on grants (expires)
where expires is not null and expired is null and (revoked is null or revoked >= expires);
drop index grants_owner_expires;
