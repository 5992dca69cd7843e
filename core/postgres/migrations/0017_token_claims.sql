-- A write may begin on the strength of a token this process found before. Whether the token still
-- opens the connection, and the connection is still as it was found, is asked inside the write's own
-- transaction: where it is not so, nothing of the write happens.

create function require_connection_token(wanted bytea, opened uuid, version text, moment timestamptz) returns void
language plpgsql as $$
begin
	perform from connection_tokens t join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
	where t.hash = wanted and (t.expires is null or t.expires > moment) and c.id = opened and c.xmin = version::xid;
	if not found then
		raise exception 'the token does not open the connection as it was found' using errcode = 'PT401';
	end if;
end $$;
