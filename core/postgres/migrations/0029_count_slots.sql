-- The slot of a count that a transaction writes to: one that no other transaction of the moment has, as long as there
-- is one among the first few it looks at. Server processes have any numbers, and two that write to the same slot wait
-- for each other's disk.
create function count_slot() returns smallint language sql volatile as $$
	select (case
		when pg_try_advisory_xact_lock(1886352244, pg_backend_pid() % 64) then pg_backend_pid() % 64
		when pg_try_advisory_xact_lock(1886352244, (pg_backend_pid() + 21) % 64) then (pg_backend_pid() + 21) % 64
		when pg_try_advisory_xact_lock(1886352244, (pg_backend_pid() + 42) % 64) then (pg_backend_pid() + 42) % 64
		when pg_try_advisory_xact_lock(1886352244, (pg_backend_pid() + 9) % 64) then (pg_backend_pid() + 9) % 64
		else (pg_backend_pid() + 30) % 64
	end)::smallint
$$;
