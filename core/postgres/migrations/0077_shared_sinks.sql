-- A sink for all workspaces can be paused, resumed, replayed and forgotten by the operator, while other processes deliver to it: what
-- they are told is in its row, and they look at it every second.
alter table sinks
	add column kind      text not null default '',      -- of its receiver
	add column held      boolean not null default false, -- the operator paused it: it goes on when the operator says so
	add column revision  bigint not null default 0,     -- raised by each order: a receiver that rests is asked again
	add column replay_to bigint not null default 0,     -- a position: up to there events are delivered once more; the cursors 'sink/NAME/replay/PARTITION' say how far that is
	add column served    timestamptz;                   -- when a process last said that it delivers
create index dead_letters_shared on dead_letters (sink, id) where sink_id is null;
