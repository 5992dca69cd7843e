-- A team's name too is unique within what one IdP sees: two connections may each push a "Sales", and
-- neither learns what the other has.
drop index team_display_name;
create unique index team_display_name on teams (workspace_id, connection_id, lower(display_name)) nulls not distinct where deleted is null;
