-- What a departure writes, without what nobody asks for. A step is written with its rotation and a
-- departure with its user locked, so neither has to be looked for again; and each of these rows was
-- found by the same id through two indexes.
alter table rotation_steps drop constraint rotation_steps_workspace_id_rotation_id_fkey;
alter table rotations drop constraint rotations_workspace_id_id_key;
alter table grants drop constraint grants_workspace_id_id_key;
alter table departures drop constraint departures_workspace_id_user_id_fkey;
