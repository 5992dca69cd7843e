-- What somebody did, what happened of a kind, and what failed, each in the order of the log: a page of
-- any of them costs what it shows.

-- The canonical event begins with its actor, whose first member is the id. The system has none.
create index audit_log_actor on audit_log (workspace_id, (substr(event, 17, 36)::uuid), sequence)
	where starts_with(event, '{"actor":{"id":"');

create index audit_log_type on audit_log (workspace_id, type, sequence);

-- Few events fail. The text may stand in a name too, so readers look at the member as well.
create index audit_log_failure on audit_log (workspace_id, sequence)
	where position('"outcome":"failure"' in event) > 0;
