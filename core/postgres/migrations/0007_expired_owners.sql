-- Ownership that ends by itself is looked for every minute.
create index grants_owner_expires on grants (expires) where revoked is null and role = 'owner' and expires is not null;
