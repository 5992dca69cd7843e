-- How people sign in through a connection: see directory.SignIn.
alter table connections add column sign_in jsonb not null default '{}';
