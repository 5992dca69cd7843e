-- core/rotation: whether a rotation's candidate is, or was, set by way of the app's forgotten-password mail.
alter table rotations add column mailed boolean not null default false;
