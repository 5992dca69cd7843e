-- Every change an identity provider asks for writes an entry, so the journal has one index: by
-- connection, in the order of the entries. What is old is found by the blocks it lies in.
drop index provisioning_requests_page;
drop index provisioning_requests_resource;
alter table provisioning_requests drop constraint provisioning_requests_pkey;
alter table provisioning_requests add primary key (workspace_id, connection_id, id);
create index provisioning_requests_received on provisioning_requests using brin (received);
