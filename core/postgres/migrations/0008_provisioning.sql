-- How a connection's provisioning behaves: see directory.Provisioning.
alter table connections add column provisioning jsonb not null default '{}';
