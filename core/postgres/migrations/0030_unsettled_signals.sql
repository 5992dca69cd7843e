-- Signals whose sessions are dead and which are answered, and the rest of which is still to be done: whom they meant
-- and what was said. A row goes with the transaction that does the rest and writes the receipt, whose id it has.
create table signals_unsettled (
	id           uuid primary key,              -- the receipt's
	workspace_id uuid not null,
	users        uuid[] not null,               -- whose sessions are dead
	said         json not null,                 -- core/signals.unsettled
	due          timestamptz not null,          -- not to be tried before
	attempts     integer not null default 0     -- that failed
) with (fillfactor = 70);
