-- Of a held signal that means several people: what waits for whom, {user id: [commands]}. Null: all of waiting, for everybody.
alter table signals add column owed jsonb;

-- A destination's page lists what was sent to it last, whatever became of it.
create index deliveries_delivered on deliveries (workspace_id, lane_id, number) where state = 'delivered';
